#include "proto/gossip/router.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "proto/gossip/gossip_test_bench.h"

using namespace kith::proto::gossip;
using kith::base::as_bytes;
using kith::base::Code;
using kith::base::code_of;
using namespace std::chrono_literals;
using test::Bench;
using test::peer_of;
using test::plain_options;

namespace {

// `count` peers that want topic "t", which we want as well, one heartbeat later.
void gather(Bench& bench, std::size_t count) {
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    for (std::size_t i = 0; i < count; ++i) {
        bench.add(i);
        CHECK(bench.subscribes(i, "t").has_value());
    }
    bench.beat();
}

std::size_t first_outside(Bench const& bench, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        if (!bench.in_mesh(i, "t")) return i;
    return count;
}

}  // namespace

TEST_CASE("the first RPC to a peer names all our topics, later ones what changed") {
    Bench bench;
    CHECK(bench.router.subscribe("a", bench.now).has_value());
    CHECK(bench.router.subscribe("b", bench.now).has_value());
    bench.add(1);
    CHECK(bench.heard(1).subscriptions_size() == 2);
    bench.router.unsubscribe("a", bench.now);
    auto const later = bench.heard(1);
    REQUIRE(later.subscriptions_size() == 1);
    CHECK(later.subscriptions(0).topic() == "a");
    CHECK_FALSE(later.subscriptions(0).subscribe());
}

TEST_CASE("a mesh grows to D at the next heartbeat, and only with subscribers") {
    Bench bench;
    gather(bench, 10);
    bench.add(99);
    CHECK(bench.router.mesh("t").size() == 6);
    std::size_t grafts = 0;
    for (std::size_t i = 0; i < 10; ++i) {
        auto const said = bench.heard(i).control().graft_size();
        CHECK(said == (bench.in_mesh(i, "t") ? 1 : 0));
        grafts += static_cast<std::size_t>(said);
    }
    CHECK(grafts == 6);
    CHECK(bench.heard(99).control().graft_size() == 0);
}

TEST_CASE("a message is delivered once, and forwarded only when the owner has accepted it") {
    Bench bench;
    gather(bench, 4);
    for (std::size_t i = 0; i < 4; ++i) static_cast<void>(bench.heard(i));
    CHECK(bench.message(0, "t", "hello").has_value());
    CHECK(bench.message(1, "t", "hello").has_value());
    REQUIRE(bench.delivered.size() == 1);
    CHECK(bench.delivered[0].relay == peer_of(0));
    CHECK(kith::base::to_text(bench.delivered[0].data) == "hello");
    CHECK_FALSE(bench.delivered[0].author.has_value());
    CHECK(bench.heard(2).publish_size() == 0);
    bench.accept_all();
    CHECK(bench.heard(2).publish_size() == 1);
    CHECK(bench.heard(3).publish_size() == 1);
    CHECK(bench.heard(0).publish_size() == 0);
    CHECK(bench.heard(1).publish_size() == 0);  // it sent a copy meanwhile
    CHECK(bench.score(0) > bench.score(1));
    CHECK(bench.router.pending_count() == 0);
}

TEST_CASE("reject costs every sender score, also later ones; ignore costs nobody") {
    Bench bench;
    gather(bench, 4);
    CHECK(bench.message(0, "t", "bad").has_value());
    CHECK(bench.message(1, "t", "bad").has_value());
    bench.router.validated(bench.delivered[0].handle, Verdict::reject, bench.now);
    CHECK(bench.message(2, "t", "bad").has_value());
    for (std::size_t i = 0; i < 3; ++i) CHECK(bench.score(i) < 0);
    CHECK(bench.heard(3).publish_size() == 0);
    CHECK(bench.message(3, "t", "stale").has_value());
    bench.router.validated(bench.delivered[1].handle, Verdict::ignore, bench.now);
    CHECK(bench.score(3) >= 0);
    CHECK(bench.message(3, "t", "stale").has_value());
    CHECK(bench.delivered.size() == 2);
    bench.router.validated({.value = 12345}, Verdict::accept, bench.now);  // unknown: nothing
}

TEST_CASE("messages wait for a verdict up to a limit, in all and per peer, and not for ever") {
    Bench bench;
    gather(bench, 6);
    for (std::size_t i = 0; i <= pending_per_peer_max; ++i)
        CHECK(bench.message(0, "t", "a" + std::to_string(i)).has_value());
    CHECK(bench.router.pending_count() == pending_per_peer_max);
    for (std::size_t peer = 1; peer < 6; ++peer)
        for (std::size_t i = 0; i < pending_per_peer_max; ++i)
            CHECK(bench.message(peer, "t", std::to_string(peer) + "." + std::to_string(i))
                      .has_value());
    CHECK(bench.router.pending_count() == pending_max);
    // What was refused for want of room was not marked as seen.
    bench.accept_all();
    CHECK(bench.message(0, "t", "a" + std::to_string(pending_per_peer_max)).has_value());
    CHECK(bench.router.pending_count() == 1);
    bench.beat(59);
    CHECK(bench.router.pending_count() == 1);
    bench.beat(1);
    CHECK(bench.router.pending_count() == 0);
}

TEST_CASE("a peer that comes back has the share of messages that its first visit left") {
    Bench bench;
    gather(bench, 6);
    for (std::size_t i = 0; i < pending_per_peer_max - 1; ++i)
        CHECK(bench.message(0, "t", "a" + std::to_string(i)).has_value());
    bench.router.on_peer_removed(peer_of(0), bench.now);
    bench.add(0);
    CHECK(bench.message(0, "t", "b").has_value());
    CHECK(bench.message(0, "t", "one too many").has_value());
    CHECK(bench.router.pending_count() == pending_per_peer_max);
    bench.accept_all();
    CHECK(bench.router.pending_count() == 0);
    for (std::size_t i = 0; i <= pending_per_peer_max; ++i)
        CHECK(bench.message(0, "t", "c" + std::to_string(i)).has_value());
    CHECK(bench.router.pending_count() == pending_per_peer_max);
}

TEST_CASE("pending messages are bounded in bytes") {
    Bench bench;
    gather(bench, 4);
    for (int i = 0; i < 20; ++i)
        CHECK(bench
                  .message(static_cast<std::size_t>(i % 4), "t",
                           std::to_string(i) + std::string(1'000'000, 'x'))
                  .has_value());
    CHECK(bench.router.pending_count() == 16);
}

TEST_CASE("publishing floods to subscribers, or keeps to the mesh when told so") {
    Bench flood;
    gather(flood, 20);
    CHECK(flood.router.publish("t", as_bytes("x"), flood.now).has_value());
    std::size_t sent = 0;
    for (std::size_t i = 0; i < 20; ++i)
        sent += static_cast<std::size_t>(flood.heard(i).publish_size());
    CHECK(sent == 20);
    auto options = plain_options();
    options.flood_publish = FloodPublish::off;
    Bench mesh(options);
    gather(mesh, 20);
    CHECK(mesh.router.publish("t", as_bytes("x"), mesh.now).has_value());
    CHECK(code_of(mesh.router.publish("t", as_bytes("x"), mesh.now)) == Code::conflict);
    for (std::size_t i = 0; i < 20; ++i)
        CHECK(mesh.heard(i).publish_size() == (mesh.in_mesh(i, "t") ? 1 : 0));
}

TEST_CASE("who publishes without being subscribed keeps the same D peers for a minute") {
    auto options = plain_options();
    options.flood_publish = FloodPublish::off;
    Bench bench(options);
    for (std::size_t i = 0; i < 20; ++i) {
        bench.add(i);
        CHECK(bench.subscribes(i, "t").has_value());
    }
    auto const reached = [&](std::string const& data) {
        CHECK(bench.router.publish("t", as_bytes(data), bench.now).has_value());
        std::set<std::size_t> found;
        for (std::size_t i = 0; i < 20; ++i)
            if (bench.heard(i).publish_size() == 1) found.insert(i);
        return found;
    };
    auto const first = reached("1");
    CHECK(first.size() == 6);
    bench.beat(30);
    CHECK(reached("2") == first);
    CHECK(bench.router.mesh("t").empty());
    for (std::size_t i = 0; i <= fanouts_max; ++i)
        CHECK(bench.router.publish(std::to_string(i), as_bytes("x"), bench.now).has_value());
}

TEST_CASE("a peer outside the mesh hears IHAVE, asks with IWANT, and gets it three times at most") {
    auto options = plain_options();
    options.flood_publish = FloodPublish::off;
    Bench bench(options);
    gather(bench, 7);
    auto const outside = first_outside(bench, 7);
    auto const id = bench.router.publish("t", as_bytes("x"), bench.now).value();
    CHECK(bench.heard(outside).publish_size() == 0);
    bench.beat();
    auto const gossip = bench.heard(outside);
    REQUIRE(gossip.control().ihave_size() == 1);
    CHECK(gossip.control().ihave(0).ids(0) == id);
    for (int i = 0; i < 5; ++i) {
        CHECK(bench.iwant(outside, id).has_value());
        CHECK(bench.heard(outside).publish_size() == (i < 3 ? 1 : 0));
    }
    bench.beat(5);
    CHECK(bench.heard(outside).control().ihave_size() == 2);  // three heartbeats in all
}

TEST_CASE("IDONTWANT: large messages are announced to peers of 1.2 before they are judged") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    for (std::size_t i = 0; i < 3; ++i) {
        bench.add(i, i == 2 ? Version::v1_1 : Version::v1_2);
        CHECK(bench.subscribes(i, "t").has_value());
    }
    bench.beat();
    for (std::size_t i = 0; i < 3; ++i) static_cast<void>(bench.heard(i));
    CHECK(bench.message(0, "t", std::string(2000, 'x')).has_value());
    CHECK(bench.heard(1).control().idontwant_size() == 1);
    CHECK(bench.heard(0).control().idontwant_size() == 0);
    CHECK(bench.heard(2).control().idontwant_size() == 0);
    CHECK(bench.message(0, "t", "small").has_value());
    CHECK(bench.heard(1).control().idontwant_size() == 0);
}

TEST_CASE("IDONTWANT: what a peer has is not sent to it, not even when it waits in its queue") {
    Bench bench;
    gather(bench, 3);
    auto const id = content_id("t", as_bytes("x"));
    CHECK(bench.idontwant(1, id).has_value());
    bench.deaf.insert(peer_of(2));
    CHECK(bench.message(0, "t", "x").has_value());
    bench.accept_all();
    CHECK(bench.heard(1).publish_size() == 0);
    CHECK(bench.idontwant(2, id).has_value());
    bench.deaf.clear();
    while (auto const rpc = bench.router.poll_transmit(peer_of(2)))
        CHECK(decode_rpc(*rpc).value().publish_size() == 0);
    CHECK(bench.iwant(1, id).has_value());  // it said that it has it
    CHECK(bench.heard(1).publish_size() == 0);
}

TEST_CASE("unsubscribing prunes with ten seconds of backoff, also towards our own next GRAFT") {
    Bench bench;
    gather(bench, 3);
    for (std::size_t i = 0; i < 3; ++i) static_cast<void>(bench.heard(i));
    bench.router.unsubscribe("t", bench.now);
    auto const said = bench.heard(0);
    REQUIRE(said.control().prune_size() == 1);
    CHECK(said.control().prune(0).backoff() == 10);
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    CHECK(bench.router.mesh("t").empty());
    bench.beat(10);
    CHECK(bench.router.mesh("t").empty());
    bench.beat(2);
    CHECK(bench.router.mesh("t").size() == 3);
}

TEST_CASE("a peer of version 1.0 is pruned without a backoff it could not read") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    bench.add(0, Version::v1_0);
    CHECK(bench.subscribes(0, "t").has_value());
    bench.beat();
    CHECK(bench.in_mesh(0, "t"));
    bench.router.unsubscribe("t", bench.now);
    CHECK_FALSE(bench.heard(0).control().prune(0).has_backoff());
}

TEST_CASE(
    "a mesh above Dhi is pruned to D at the heartbeat; peers we dialled are let in beyond it") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    for (std::size_t i = 0; i < 16; ++i) {
        bench.add(i, Version::v1_2, i < 13 ? Direction::inbound : Direction::outbound);
        CHECK(bench.grafts(i, "t").has_value());
    }
    CHECK(bench.router.mesh("t").size() == 15);  // twelve inbound ones, three outbound
    CHECK_FALSE(bench.in_mesh(12, "t"));
    CHECK(bench.heard(12).control().prune_size() == 1);
    bench.beat();
    auto const mesh = bench.router.mesh("t");
    CHECK(mesh.size() == 6);
    CHECK(mesh.contains(peer_of(13)) + mesh.contains(peer_of(14)) + mesh.contains(peer_of(15)) >=
          2);
}

TEST_CASE("opportunistic grafting: a dull mesh takes in better peers after sixty heartbeats") {
    Bench bench;
    gather(bench, 8);
    std::vector<std::size_t> outside;
    for (std::size_t i = 0; i < 8; ++i)
        if (!bench.in_mesh(i, "t")) outside.push_back(i);
    REQUIRE(outside.size() == 2);
    for (auto const i : outside) bench.router.set_owner_score(peer_of(i), 50);
    bench.beat(58);
    CHECK(bench.router.mesh("t").size() == 6);
    bench.beat(1);
    CHECK(bench.router.mesh("t").size() == 8);
}

TEST_CASE("limits of the owner: topics, their names, message sizes, peers") {
    Bench bench;
    CHECK(code_of(bench.router.subscribe("", bench.now)) == Code::too_large);
    CHECK(bench.router.subscribe(std::string(topic_bytes_max, 't'), bench.now).has_value());
    CHECK(code_of(bench.router.subscribe(std::string(topic_bytes_max + 1, 't'), bench.now)) ==
          Code::too_large);
    for (std::size_t i = 1; i < topics_max; ++i)
        CHECK(bench.router.subscribe(std::to_string(i), bench.now).has_value());
    CHECK(code_of(bench.router.subscribe("past", bench.now)) == Code::too_large);
    // Two tags and lengths of topic and data stand around the data.
    kith::base::Bytes const data(message_bytes_max - 4 - 3, 1);
    CHECK(bench.router.publish("1", data, bench.now).has_value());
    kith::base::Bytes const past(message_bytes_max - 3 - 3, 1);
    CHECK(code_of(bench.router.publish("1", past, bench.now)) == Code::too_large);
    for (std::size_t i = 0; i < peers_max; ++i) bench.add(i);
    CHECK(code_of(bench.router.on_peer_added(peer_of(1), Version::v1_1, Direction::inbound, "::1",
                                             bench.now)) == Code::conflict);
    CHECK(code_of(bench.router.on_peer_added(peer_of(peers_max), Version::v1_1, Direction::inbound,
                                             "::1", bench.now)) == Code::too_large);
    CHECK(code_of(bench.router.on_rpc(peer_of(peers_max), {}, bench.now)) == Code::not_found);
}
