#include "proto/ping/ping.h"

#include <doctest/doctest.h>

#include <numeric>

using namespace kith::proto::ping;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::Instant;
using namespace std::chrono_literals;

namespace {
Payload counting() {
    Payload payload;
    std::iota(payload.begin(), payload.end(), std::uint8_t{1});
    return payload;
}
}  // namespace

TEST_CASE("an echo of the whole payload gives the round trip, in any pieces") {
    Requester requester;
    Responder responder;
    auto const question = requester.start(counting(), Instant{});
    CHECK(requester.deadline() == Instant{} + timeout);
    CHECK(responder.feed(ByteView(question).first(5)).has_value());
    CHECK(responder.pending().empty());
    CHECK(responder.feed(ByteView(question).subspan(5)).has_value());
    REQUIRE(responder.pending().size() == payload_bytes);
    CHECK(requester.feed(responder.pending().first(10), Instant{} + 1ms).value() == std::nullopt);
    responder.sent(10);
    REQUIRE(responder.pending().size() == payload_bytes - 10);
    CHECK(requester.feed(responder.pending(), Instant{} + 3ms).value() == 3ms);
    responder.sent(payload_bytes - 10);
    CHECK(responder.pending().empty());
    CHECK_FALSE(requester.is_waiting());
    CHECK(requester.deadline() == std::nullopt);
}

TEST_CASE("a changed, unasked or too long answer is refused") {
    auto wrong = counting();
    wrong[31] ^= 1;
    Requester requester;
    requester.start(counting(), Instant{});
    CHECK_FALSE(requester.feed(wrong, Instant{}).has_value());
    Requester idle;
    CHECK_FALSE(idle.feed(wrong, Instant{}).has_value());
    Requester flooded;
    flooded.start(counting(), Instant{});
    CHECK_FALSE(flooded.feed(Bytes(payload_bytes + 1, 0), Instant{}).has_value());
}

TEST_CASE("a peer that does not take its answers is cut off at the backlog limit") {
    Responder responder;
    CHECK(responder.feed(Bytes(echo_backlog_max, 1)).has_value());
    CHECK(responder.pending().size() == echo_backlog_max);
    CHECK(responder.feed(Bytes(1, 1)).error().code == Code::too_large);
}
