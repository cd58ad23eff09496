#include "proto/dcutr/responder.h"

#include "proto/dcutr/dcutr_test_bench.h"

using namespace kith::proto::dcutr;
using namespace kith::proto::dcutr::test;
using kith::base::Bytes;
using kith::base::Code;
using kith::base::Instant;
using kith::wire::Multiaddr;
using kith::wire::Reach;
using namespace std::chrono_literals;

namespace {

std::vector<Multiaddr> const own{at("/ip4/203.0.113.5/tcp/8810")};
std::vector<Multiaddr> const theirs{at("/ip4/198.51.100.9/tcp/4001")};

struct Bench {
    kith::base::Status feed(Bytes const& bytes) { return machine.feed(bytes, now); }
    std::vector<Action> actions() { return all_actions(machine); }

    Instant now{1000s};
    Responder machine{{.own = own, .reach = Reach::public_network}, now};
};

}  // namespace

TEST_CASE("it answers CONNECT, and dials when SYNC is here, not before") {
    Bench bench;
    REQUIRE(bench.feed(frame(Connect{theirs})).has_value());
    auto actions = bench.actions();
    REQUIRE(actions.size() == 1);
    REQUIRE(first<Send>(actions) != nullptr);
    CHECK(std::get<Connect>(parse(body(first<Send>(actions)->bytes)).value()).addresses == own);
    REQUIRE(bench.feed(frame(Sync{})).has_value());
    actions = bench.actions();
    REQUIRE(first<Dial>(actions) != nullptr);
    CHECK(first<Dial>(actions)->to == theirs);
    CHECK(first<Dial>(actions)->manner == Manner::simultaneous);
}

TEST_CASE("any cut of the bytes is the same exchange") {
    auto bytes = frame(Connect{theirs});
    kith::base::append(bytes, frame(Sync{}));
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        Bench bench;
        auto const split = bytes.begin() + static_cast<std::ptrdiff_t>(cut);
        REQUIRE(bench.feed(Bytes(bytes.begin(), split)).has_value());
        REQUIRE(bench.feed(Bytes(split, bytes.end())).has_value());
        CHECK(first<Dial>(bench.actions()) != nullptr);
    }
}

TEST_CASE("the same stream serves the next attempt, but only attempts_max of them") {
    Bench bench;
    for (std::size_t i = 0; i < attempts_max; ++i) {
        REQUIRE(bench.feed(frame(Connect{theirs})).has_value());
        REQUIRE(bench.feed(frame(Sync{})).has_value());
        auto const actions = bench.actions();
        CHECK(first<Dial>(actions) != nullptr);
        CHECK((first<CancelDials>(actions) != nullptr) == (i > 0));
    }
    CHECK(bench.feed(frame(Connect{theirs})).error().code == Code::too_large);
    auto const actions = bench.actions();
    CHECK(first<Dial>(actions) == nullptr);
    CHECK(first<GiveUp>(actions) != nullptr);
}

TEST_CASE("messages out of turn end it") {
    Bench sync_first;
    CHECK_FALSE(sync_first.feed(frame(Sync{})).has_value());
    CHECK(first<Dial>(sync_first.actions()) == nullptr);
    Bench twice;
    REQUIRE(twice.feed(frame(Connect{theirs})).has_value());
    CHECK_FALSE(twice.feed(frame(Connect{theirs})).has_value());
    Bench large;
    CHECK(large.feed(Bytes{0x81, 0x20}).error().code == Code::too_large);  // 4097
}

TEST_CASE("an initiator that says nothing more is forgotten") {
    Bench bench;
    REQUIRE(bench.feed(frame(Connect{theirs})).has_value());
    (void)bench.actions();
    REQUIRE(bench.machine.deadline() == bench.now + answer_timeout);
    bench.machine.on_deadline(bench.now + answer_timeout);
    CHECK(first<GiveUp>(bench.actions()) != nullptr);
    CHECK(bench.machine.deadline() == std::nullopt);
}

TEST_CASE("dials outlive the stream they were agreed on, until their time is over") {
    Bench bench;
    REQUIRE(bench.feed(frame(Connect{theirs})).has_value());
    REQUIRE(bench.feed(frame(Sync{})).has_value());
    (void)bench.actions();
    bench.machine.on_stream_gone();
    CHECK(bench.actions().empty());
    bench.machine.on_deadline(bench.now + dial_timeout);
    auto const actions = bench.actions();
    CHECK(first<CancelDials>(actions) != nullptr);
    CHECK(first<GiveUp>(actions) != nullptr);
    Bench early;
    early.machine.on_stream_gone();
    CHECK(first<GiveUp>(early.actions()) != nullptr);
}
