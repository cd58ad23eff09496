#include "proto/sealed_gossip/replay.h"

#include <doctest/doctest.h>

#include "base/code_of.h"

using namespace kith::proto::sealed_gossip;
using kith::base::Code;
using kith::base::code_of;
using kith::base::UnixTime;
using kith::identity::NodeId;

namespace {

NodeId node(std::size_t number) {
    NodeId id;
    kith::base::store_be<std::uint64_t>(id.bytes, number);
    return id;
}
BootNonce boot(std::uint8_t number) {
    BootNonce nonce{};
    nonce[0] = number;
    return nonce;
}

}  // namespace

TEST_CASE("a window takes each counter once, out of order up to 1024 back") {
    CounterWindow window;
    CHECK(window.is_new(0));
    window.accept(5000);
    CHECK_FALSE(window.is_new(5000));
    CHECK(window.is_new(5000 - 1023));
    CHECK_FALSE(window.is_new(5000 - 1024));
    window.accept(4999);
    CHECK_FALSE(window.is_new(4999));
    CHECK(window.is_new(4998));
    window.accept(5003);
    CHECK_FALSE(window.is_new(5000));
    CHECK_FALSE(window.is_new(4999));
    CHECK(window.is_new(5002));
    window.accept(1'000'000);
    CHECK_FALSE(window.is_new(5003));
}

TEST_CASE("boot nonces of one sender and senders are bounded, and forgotten only when stale") {
    ReplayGuard guard;
    UnixTime const until{1000};
    for (std::uint8_t i = 0; i < boots_per_sender_max; ++i) {
        CHECK(guard.check(node(1), boot(i), 0).has_value());
        guard.accept(node(1), boot(i), 0, until);
    }
    CHECK(code_of(guard.check(node(1), boot(99), 0)) == Code::too_large);
    CHECK(code_of(guard.check(node(1), boot(3), 0)) == Code::conflict);
    CHECK(guard.check(node(1), boot(3), 1).has_value());
    CHECK(guard.check(node(2), boot(99), 0).has_value());
    guard.expire(until);
    CHECK(code_of(guard.check(node(1), boot(3), 0)) == Code::conflict);
    guard.expire(UnixTime{1001});
    CHECK(guard.senders_count() == 0);

    for (std::size_t i = 0; i < senders_max; ++i) guard.accept(node(i), boot(0), 0, until);
    CHECK(code_of(guard.check(node(senders_max), boot(0), 0)) == Code::too_large);
    CHECK(guard.check(node(5), boot(0), 1).has_value());
}
