#include "proto/kad/routing_table.h"

#include <doctest/doctest.h>

#include <random>

#include "base/encoding.h"
#include "proto/kad/addresses.h"

using namespace kith::proto::kad;
using kith::base::Instant;
using kith::identity::PeerId;
using kith::wire::Multiaddr;
using namespace std::chrono_literals;

namespace {

// Ids from a seed; with_prefix tries until one falls into the bucket that is asked for.
struct Ids {
    std::mt19937 random{7};
    PeerId next() {
        kith::base::ByteArray<32> key;
        for (auto& byte : key) byte = static_cast<std::uint8_t>(random());
        return PeerId(key);
    }
    PeerId with_prefix(Key const& near, std::size_t bits) {
        for (;;)
            if (auto const id = next(); common_prefix_length(Key::of(id), near) == bits) return id;
    }
};

Multiaddr ip(std::string const& text) {
    return Multiaddr::tcp(text, 4001).value();
}

PeerInfo info(PeerId const& id, std::string const& address) {
    return {.id = id, .addresses = {ip(address)}};
}

struct Bench {
    Ids ids;
    PeerId self = ids.next();
    Key self_key = Key::of(self);
    RoutingTable table{self, {}};
    Instant now{};
    unsigned networks = 0;

    std::string fresh_ip() {
        ++networks;
        return "20." + std::to_string(networks / 250) + "." + std::to_string(networks % 250) + ".1";
    }
    Offered offer(PeerId const& id, std::string const& address) {
        return table.offer(info(id, address), {}, now);
    }
    // A full bucket of peers that share no bit with us, each of its own network.
    std::vector<PeerId> fill_bucket() {
        std::vector<PeerId> peers;
        for (std::size_t i = 0; i < bucket_peers_max; ++i) {
            peers.push_back(ids.with_prefix(self_key, 0));
            REQUIRE(offer(peers.back(), fresh_ip()) == Offered::added);
        }
        return peers;
    }
};

}  // namespace

TEST_CASE("distance is XOR, symmetric, and its leading zeros are the common prefix") {
    Ids ids;
    for (int i = 0; i < 100; ++i) {
        auto const a = Key::of(ids.next());
        auto const b = Key::of(ids.next());
        CHECK(distance(a, b) == distance(b, a));
        CHECK(distance(a, a) == Distance{});
        auto const length = common_prefix_length(a, b);
        CHECK(length < key_bits);
        auto const bit = distance(a, b).bits[length / 8] >> (7 - length % 8);
        CHECK(bit == 1);
    }
    CHECK(common_prefix_length(Key{}, Key{}) == key_bits);
    // SHA-256 of "abc", FIPS 180-4.
    CHECK(kith::base::to_hex(Key::of(kith::base::as_bytes("abc")).hash).starts_with("ba7816bf"));
}

TEST_CASE("the closest come nearest first, and never more than asked for") {
    Bench bench;
    for (int i = 0; i < 100; ++i) bench.offer(bench.ids.next(), bench.fresh_ip());
    auto const target = Key::of(bench.ids.next());
    auto const peers = bench.table.closest(target, 20);
    REQUIRE(peers.size() == 20);
    for (std::size_t i = 1; i < peers.size(); ++i)
        CHECK(distance(Key::of(peers[i - 1].id), target) < distance(Key::of(peers[i].id), target));
    CHECK(bench.table.closest(target, 1000).size() == bench.table.size());
    CHECK(bench.offer(bench.self, "1.2.3.4") == Offered::refused);
}

TEST_CASE("S88: no number of newcomers evicts old peers that answer") {
    Bench bench;
    auto const old = bench.fill_bucket();
    std::vector<PeerId> newcomers;
    for (int i = 0; i < 200; ++i) {
        bench.now += 2min;
        newcomers.push_back(bench.ids.with_prefix(bench.self_key, 0));
        bench.offer(newcomers.back(), bench.fresh_ip());
        while (auto const probed = bench.table.poll_probe(bench.now))
            bench.table.on_alive(*probed, bench.now);
    }
    for (auto const& peer : old) CHECK(bench.table.find(peer) != nullptr);
    for (auto const& peer : newcomers) CHECK(bench.table.find(peer) == nullptr);
    CHECK(bench.table.size() == bucket_peers_max);
}

TEST_CASE("the oldest peer is probed; only when it fails does the one that waits take its place") {
    Bench bench;
    auto const old = bench.fill_bucket();
    auto const newcomer = bench.ids.with_prefix(bench.self_key, 0);
    CHECK(bench.offer(newcomer, bench.fresh_ip()) == Offered::waiting);
    auto const probed = bench.table.poll_probe(bench.now);
    REQUIRE(probed.has_value());
    CHECK((*probed == old.front()));
    CHECK(bench.table.poll_probe(bench.now + 59s) == std::nullopt);
    CHECK(bench.table.poll_probe(bench.now + probe_interval).has_value());
    bench.table.on_failed(*probed, bench.now);
    CHECK(bench.table.find(old.front()) == nullptr);
    CHECK(bench.table.find(newcomer) != nullptr);
    CHECK(bench.table.size() == bucket_peers_max);
}

TEST_CASE("a peer leaves after two failures in a row, and not when it answers in between") {
    Bench bench;
    auto const peer = bench.ids.next();
    bench.offer(peer, "1.2.3.4");
    bench.table.on_failed(peer, bench.now);
    bench.table.on_alive(peer, bench.now);
    bench.table.on_failed(peer, bench.now);
    CHECK(bench.table.find(peer) != nullptr);
    bench.table.on_failed(peer, bench.now);
    CHECK(bench.table.find(peer) == nullptr);
    bench.table.on_failed(peer, bench.now);  // nobody: nothing
    CHECK(bench.table.size() == 0);
}

TEST_CASE("S88: one network gets two places in a bucket and three in the table") {
    Bench bench;
    auto const near = [&bench](std::size_t bits) {
        return bench.ids.with_prefix(bench.self_key, bits);
    };
    CHECK(bench.offer(near(0), "66.1.1.1") == Offered::added);
    CHECK(bench.offer(near(0), "66.1.1.2") == Offered::added);
    CHECK(bench.offer(near(0), "66.1.1.3") == Offered::refused);
    CHECK(bench.offer(near(1), "66.1.1.3") == Offered::added);
    CHECK(bench.offer(near(2), "66.1.1.4") == Offered::refused);
    CHECK(bench.offer(near(2), "66.1.2.4") == Offered::added);  // the next /24
    CHECK(bench.offer(near(0), "2001:db8:1:1::1") == Offered::added);
    CHECK(bench.offer(near(0), "2001:db8:1:1:ffff::2") == Offered::added);
    CHECK(bench.offer(near(0), "2001:db8:1:1::3") == Offered::refused);
    CHECK(bench.offer(near(0), "2001:db8:1:2::3") == Offered::added);    // the next /64
    CHECK(bench.offer(near(0), "::ffff:66.1.1.9") == Offered::refused);  // IPv4 in disguise
    for (int i = 0; i < 200; ++i) bench.offer(bench.ids.next(), "66.1.1." + std::to_string(i));
    CHECK(bench.table.size() == 7);
}

TEST_CASE("S88: what counts is where the connection goes, not what the peer says") {
    Bench bench;
    std::size_t entered = 0;
    for (unsigned i = 0; i < 50; ++i) {
        auto const claimed = info(bench.ids.next(), bench.fresh_ip());
        auto const real = ip("66.1.1." + std::to_string(i));
        if (bench.table.offer(claimed, real, bench.now) == Offered::added) ++entered;
    }
    CHECK(entered <= group_table_max);
    // Nor does it help to enter from many networks and to move into one later.
    std::vector<PeerInfo> movers;
    for (int i = 0; i < 20; ++i) {
        movers.push_back(info(bench.ids.next(), bench.fresh_ip()));
        bench.table.offer(movers.back(), {}, bench.now);
    }
    for (auto const& mover : movers) bench.table.offer(mover, ip("66.1.1.99"), bench.now);
    CHECK(bench.table.size() == group_table_max);
}

TEST_CASE("loopback and what the owner exempts count for no network") {
    Ids ids;
    auto const office = [](Multiaddr const& address) {
        return scope_of(address) == AddressScope::private_network;
    };
    RoutingTable table(ids.next(), office);
    for (int i = 0; i < 10; ++i) {
        CHECK(table.offer(info(ids.next(), "127.0.0.1"), {}, {}) == Offered::added);
        CHECK(table.offer(info(ids.next(), "10.0.0.1"), {}, {}) == Offered::added);
        CHECK(table.offer(info(ids.next(), "::1"), {}, {}) == Offered::added);
    }
}

TEST_CASE("silent peers are named, the longest silent first") {
    Bench bench;
    auto const first = bench.ids.next(), second = bench.ids.next(), third = bench.ids.next();
    bench.offer(first, bench.fresh_ip());
    bench.now += 1min;
    bench.offer(second, bench.fresh_ip());
    bench.now += stale_after - 1min;
    bench.offer(third, bench.fresh_ip());
    CHECK((bench.table.stale(bench.now, 8) == std::vector{first}));
    bench.now += 1min;
    CHECK((bench.table.stale(bench.now, 8) == std::vector{first, second}));
    CHECK(bench.table.stale(bench.now, 1).size() == 1);
    bench.table.on_alive(first, bench.now);
    CHECK((bench.table.stale(bench.now, 8) == std::vector{second}));
    bench.table.remove(second);
    CHECK(bench.table.stale(bench.now, 8).empty());
}

TEST_CASE("addresses of strangers are dialled only where the owner allows it") {
    auto const scope = [](std::string const& text) {
        return scope_of(Multiaddr::from_text(text).value());
    };
    for (auto const* text :
         {"/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/tcp/1", "/ip4/255.255.255.255/tcp/1",
          "/ip4/169.254.169.254/tcp/80", "/ip6/::/tcp/1", "/ip6/fe80::1/tcp/1",
          "/ip6/ff02::1/tcp/1", "/ip4/1.2.3.4/tcp/0", "/ip4/1.2.3.4/udp/1", "/dns4/localhost/tcp/1",
          "/ip6/64:ff9b::7f00:1/tcp/1", "/ip6/2002:7f00:1::/tcp/1", "/ip6/::ffff:0.0.0.0/tcp/1",
          "/ip4/8.8.8.8/tcp/1/p2p-circuit"})
        CHECK_MESSAGE(scope(text) == AddressScope::unusable, text);
    for (auto const* text : {"/ip4/127.0.0.1/tcp/1", "/ip4/127.9.9.9/tcp/1", "/ip6/::1/tcp/1",
                             "/ip6/::ffff:127.0.0.1/tcp/1"})
        CHECK_MESSAGE(scope(text) == AddressScope::loopback, text);
    for (auto const* text :
         {"/ip4/10.1.2.3/tcp/1", "/ip4/172.16.0.1/tcp/1", "/ip4/172.31.0.1/tcp/1",
          "/ip4/192.168.0.1/tcp/1", "/ip4/100.64.0.1/tcp/1", "/ip6/fd00::1/tcp/1",
          "/ip6/::ffff:10.0.0.1/tcp/1"})
        CHECK_MESSAGE(scope(text) == AddressScope::private_network, text);
    for (auto const* text : {"/ip4/8.8.8.8/tcp/1", "/ip4/172.32.0.1/tcp/1",
                             "/ip4/100.128.0.1/tcp/1", "/ip6/2a00::1/tcp/1"})
        CHECK_MESSAGE(scope(text) == AddressScope::public_network, text);
    CHECK_FALSE(is_reachable(Reach::public_network, ip("10.0.0.1")));
    CHECK_FALSE(is_reachable(Reach::private_network, ip("127.0.0.1")));
    CHECK(is_reachable(Reach::private_network, ip("10.0.0.1")));
    CHECK(is_reachable(Reach::loopback, ip("127.0.0.1")));
    CHECK_FALSE(is_reachable(Reach::loopback, ip("0.0.0.0")));
}

TEST_CASE(
    "a failed address is avoided for two minutes, for this peer only, and the list is bounded") {
    Ids ids;
    FailedAddresses failed;
    auto const peer = ids.next();
    Instant now{};
    failed.add(peer, ip("1.2.3.4"), now);
    CHECK(failed.has(peer, ip("1.2.3.4"), now + failed_address_ttl - 1us));
    CHECK_FALSE(failed.has(peer, ip("1.2.3.4"), now + failed_address_ttl));
    CHECK_FALSE(failed.has(peer, ip("1.2.3.5"), now));
    CHECK_FALSE(failed.has(ids.next(), ip("1.2.3.4"), now));
    for (std::size_t i = 0; i < failed_addresses_max + 10; ++i) {
        now += 1us;
        failed.add(ids.next(), ip("1.2.3.4"), now);
    }
    CHECK(failed.size() == failed_addresses_max);
    CHECK_FALSE(failed.has(peer, ip("1.2.3.4"), now));  // the oldest went first
    failed.expire(now + failed_address_ttl);
    CHECK(failed.size() == 0);
}
