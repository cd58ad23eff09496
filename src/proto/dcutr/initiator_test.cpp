#include "proto/dcutr/initiator.h"

#include "proto/dcutr/dcutr_test_bench.h"

using namespace kith::proto::dcutr;
using namespace kith::proto::dcutr::test;
using kith::base::Code;
using kith::base::Duration;
using kith::base::Instant;
using kith::wire::Multiaddr;
using kith::wire::Reach;
using namespace std::chrono_literals;

namespace {

std::vector<Multiaddr> const own{at("/ip4/203.0.113.5/tcp/8810")};
std::vector<Multiaddr> const theirs{at("/ip4/198.51.100.9/tcp/4001")};

struct Bench {
    explicit Bench(std::vector<Multiaddr> const& known = {})
        : machine({.own = own, .reach = Reach::public_network}, known, now) {}

    void after(Duration span) {
        now += span;
        machine.on_deadline(now);
    }
    std::vector<Action> actions() { return all_actions(machine); }
    // The stream is agreed, CONNECT sent, and answered half a second later.
    void exchange() {
        machine.on_opened(now);
        REQUIRE(first<Send>(actions()) != nullptr);
        now += 500ms;
        REQUIRE(machine.feed(frame(Connect{theirs}), now).has_value());
    }

    Instant now{1000s};
    Initiator machine;
};

}  // namespace

TEST_CASE("CONNECT, SYNC, and the dial half a round trip later") {
    Bench bench;
    CHECK(first<OpenStream>(bench.actions()) != nullptr);
    bench.machine.on_opened(bench.now);
    auto actions = bench.actions();
    REQUIRE(first<Send>(actions) != nullptr);
    CHECK(std::get<Connect>(parse(body(first<Send>(actions)->bytes)).value()).addresses == own);
    bench.now += 500ms;
    REQUIRE(bench.machine.feed(frame(Connect{theirs}), bench.now).has_value());
    actions = bench.actions();
    REQUIRE(first<Send>(actions) != nullptr);
    CHECK(first<Send>(actions)->bytes == frame(Sync{}));
    CHECK(first<Dial>(actions) == nullptr);
    CHECK(bench.machine.deadline() == bench.now + 250ms);
    bench.after(249ms);
    CHECK(bench.actions().empty());
    bench.after(1ms);
    actions = bench.actions();
    REQUIRE(first<Dial>(actions) != nullptr);
    CHECK(first<Dial>(actions)->to == theirs);
    CHECK(first<Dial>(actions)->manner == Manner::simultaneous);
}

TEST_CASE("who says where it listens is dialled plainly first") {
    Bench bench(theirs);
    auto const actions = bench.actions();
    REQUIRE(actions.size() == 1);
    REQUIRE(first<Dial>(actions) != nullptr);
    CHECK(first<Dial>(actions)->manner == Manner::plain);
    SUBCASE("and asked when that fails") {
        bench.machine.on_dials_failed(bench.now);
    }
    SUBCASE("and asked when that takes too long") {
        bench.after(reverse_timeout);
    }
    CHECK(first<OpenStream>(bench.actions()) != nullptr);
}

TEST_CASE("three attempts, each with a stream of its own, then it gives up") {
    Bench bench;
    for (std::size_t i = 0; i < attempts_max; ++i) {
        CHECK(first<OpenStream>(bench.actions()) != nullptr);
        bench.exchange();
        bench.after(250ms);
        CHECK(first<Dial>(bench.actions()) != nullptr);
        bench.machine.on_dials_failed(bench.now);
        CHECK(bench.actions().empty());  // the other may still come
        bench.after(dial_timeout);
    }
    auto const actions = bench.actions();
    CHECK(first<OpenStream>(actions) == nullptr);
    CHECK(first<CancelDials>(actions) != nullptr);
    CHECK(first<GiveUp>(actions) != nullptr);
    CHECK(bench.machine.deadline() == std::nullopt);
    bench.after(1h);
    bench.machine.on_stream_gone(Initiator::Gone::ended, bench.now);
    bench.machine.on_opened(bench.now);
    CHECK(bench.machine.feed(frame(Connect{theirs}), bench.now).has_value());
    CHECK(bench.actions().empty());
}

TEST_CASE("a peer that does not answer costs three times answer_timeout and no more") {
    Bench bench;
    for (std::size_t i = 0; i < attempts_max; ++i) {
        CHECK(first<OpenStream>(bench.actions()) != nullptr);
        bench.after(answer_timeout);
    }
    CHECK(first<GiveUp>(bench.actions()) != nullptr);
}

TEST_CASE("a peer that does not speak the protocol is not asked again") {
    Bench bench;
    bench.machine.on_stream_gone(Initiator::Gone::refused, bench.now);
    auto const actions = bench.actions();
    CHECK(first<GiveUp>(actions) != nullptr);
}

TEST_CASE("a stream that ends early is one attempt less") {
    Bench bench;
    (void)bench.actions();
    bench.machine.on_stream_gone(Initiator::Gone::ended, bench.now);
    CHECK(first<OpenStream>(bench.actions()) != nullptr);
    CHECK(bench.machine.attempts_count() == 2);
}

TEST_CASE("a peer that says what it was not asked is not dialled") {
    for (auto const& said :
         {frame(Sync{}), kith::base::Bytes{0x00}, kith::base::Bytes{0x81, 0x20}}) {
        Bench bench;
        (void)bench.actions();
        bench.machine.on_opened(bench.now);
        (void)bench.actions();
        CHECK_FALSE(bench.machine.feed(said, bench.now).has_value());
        auto const actions = bench.actions();
        CHECK(first<GiveUp>(actions) != nullptr);
        CHECK(first<Dial>(actions) == nullptr);
    }
    Bench twice;
    (void)twice.actions();
    twice.exchange();
    CHECK_FALSE(twice.machine.feed(frame(Connect{theirs}), twice.now).has_value());
    CHECK(first<Dial>(twice.actions()) == nullptr);
}

TEST_CASE("without an address that may be dialled it waits for the other to come") {
    Bench bench;
    (void)bench.actions();
    bench.machine.on_opened(bench.now);
    (void)bench.actions();
    REQUIRE(
        bench.machine.feed(frame(Connect{{at("/ip4/127.0.0.1/tcp/22")}}), bench.now).has_value());
    CHECK(first<Send>(bench.actions()) != nullptr);
    bench.after(1ms);
    CHECK(bench.actions().empty());
}
