#include "io/nat/port_keeper.h"

#include <doctest/doctest.h>

using namespace kith::io;
using kith::base::Code;
using kith::base::fail;
using kith::base::Instant;
using namespace std::chrono_literals;

namespace {

constexpr Instant start{};

PortMapping granted(std::uint16_t external, kith::base::Duration lease) {
    return {.internal_port = 8810, .external_port = external, .lease = lease};
}

}  // namespace

TEST_CASE("a mapping is asked for at once, stands for its lease and is renewed at half of it") {
    PortKeeper keeper(8810, start);
    CHECK(keeper.poll_request(start) == PortMapping{8810, 8810, mapping_lease});
    CHECK_FALSE(keeper.poll_request(start + 1h).has_value());  // one question at a time
    keeper.on_answer(granted(40'001, 1h), start);
    CHECK(keeper.external_port(start) == 40'001);
    CHECK(keeper.deadline() == start + 30min);
    CHECK_FALSE(keeper.poll_request(start + 30min - 1us).has_value());
    CHECK(keeper.poll_request(start + 30min)->external_port == 40'001);
    CHECK(keeper.external_port(start + 1h - 1us) == 40'001);
    CHECK_FALSE(keeper.external_port(start + 1h).has_value());
    keeper.on_answer(granted(40'002, 1h), start + 1h);
    CHECK(keeper.external_port(start + 1h) == 40'002);
}

TEST_CASE("without a router it asks ever more rarely, and what stood ends with its lease") {
    PortKeeper keeper(8810, start);
    Instant now = start;
    auto expected = mapping_retry_first;
    for (int i = 0; i < 10; ++i) {
        REQUIRE(keeper.poll_request(now).has_value());
        keeper.on_answer(fail(Code::unavailable, "no router"), now);
        CHECK_FALSE(keeper.poll_request(now + expected - 1us).has_value());
        now += expected;
        expected = std::min(expected * 2, mapping_retry_max);
    }
    CHECK(expected == mapping_retry_max);
    REQUIRE(keeper.poll_request(now).has_value());
    keeper.on_answer(granted(8810, 10min), now);
    REQUIRE(keeper.poll_request(now + 5min).has_value());
    keeper.on_answer(fail(Code::unavailable, "gone"), now + 5min);
    CHECK(keeper.external_port(now + 10min - 1us) == 8810);
    CHECK_FALSE(keeper.external_port(now + 10min).has_value());
    CHECK(keeper.poll_request(now + 6min).has_value());  // soon again, as at first
}

TEST_CASE(
    "leases are taken between two minutes and a day, and one for ever is looked after hourly") {
    auto const lease_of = [](kith::base::Duration lease) {
        PortKeeper keeper(8810, start);
        (void)keeper.poll_request(start);
        keeper.on_answer(granted(1, lease), start);
        return (*keeper.deadline() - start) * 2;
    };
    CHECK(lease_of(1s) == mapping_lease_min);
    CHECK(lease_of(-1h) == mapping_lease_min);
    CHECK(lease_of(1000h) == mapping_lease_max);
    CHECK(lease_of(kith::base::Duration::max()) == mapping_lease_max);
    CHECK(lease_of(0s) == mapping_lease);
}

TEST_CASE("an answer that cannot be meant is no answer") {
    for (auto const& answer : {granted(0, 1h), PortMapping{8811, 8810, 1h}}) {
        PortKeeper keeper(8810, start);
        (void)keeper.poll_request(start);
        keeper.on_answer(answer, start);
        CHECK_FALSE(keeper.external_port(start).has_value());
        CHECK(keeper.deadline() == start + mapping_retry_first);
    }
}
