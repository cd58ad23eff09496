// Kademlia among members, in whole nodes: who is believed about where somebody is, and who may
// take part. The machine itself is attacked in src/proto/kad/kad_attack_test.cpp.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/encoding.h"
#include "hostile.h"
#include "node/services/swarm_discovery.h"
#include "proto/kad/kad.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
namespace kad = kith::proto::kad;

namespace {

std::string domain_of(Machine const& member) {
    return std::string(kad::kith_protocol) + "/" + base::to_hex(member.node->swarm()->id);
}

base::Bytes body_of(std::string const& address) {
    return node::encode_addresses(std::vector{wire::Multiaddr::from_text(address).value()});
}

// PUT_VALUE of what `author` says about the addresses behind `key`.
base::Bytes put(base::Bytes const& key, std::string const& domain, identity::Identity const& author,
                base::UnixTime issued) {
    kad::Signer const signer{
        .public_key = author.operational_public_key(),
        .sign = [&author](base::ByteView bytes) { return author.sign_operational(bytes); }};
    kad::Message message;
    message.type = kad::MessageType::put_value;
    message.key = key;
    message.record = kad::Record{
        .key = key,
        .value = kad::sign_record({.kind = kad::RecordKind::value, .domain = domain, .key = key},
                                  {.sequence = ~std::uint64_t{0} >> 1, .issued = issued},
                                  body_of("/ip4/10.66.66.66/tcp/666"), signer)};
    base::Bytes framed;
    wire::append_frame(framed, kad::encode(message));
    return framed;
}

struct World {
    World() : op(bench.add_operator()), ada(bench.add_member(op)), bo(bench.add_member(op)) {
        REQUIRE(bench.run_until(
            [&] { return records(op) == 3 && records(ada) == 3 && records(bo) == 3; }, 120s));
    }
    static std::size_t records(Machine const& machine) {
        return machine.node->discovery_counts().records;
    }
    SwarmBench bench;
    Machine &op, &ada, &bo;
};

bool was_refused(Hostile::Visit const& visit) {
    return visit.reset || visit.down || !visit.agreed;
}

}  // namespace

TEST_CASE("S25: a coordinator that moved is found by what it signed, through another member") {
    World world;
    auto& [bench, op, ada, bo] = world;
    bench.network.hide(ada.address);  // so op cannot come to her
    auto const moved = bench.next_address();
    bench.network.move(op.address, moved, bench.clock.now());
    op.address = moved;
    op.node->set_listen_addresses({op.multiaddr()});
    bench.network.touch(moved);
    REQUIRE(bench.run_until([&] { return ada.node->is_ready(op.identity.node_id()); }, 25s));
    CHECK(ada.node->discovery_counts().found == 1);
}

// Nobody else is there who could be asked, and what the member knows of its coordinator is old.
TEST_CASE(
    "S25: a coordinator that moved in the middle of a session's handshake comes back itself") {
    SwarmBench bench;
    Machine& op = bench.add_operator();
    Machine& ada = bench.add_member(op);
    bench.network.set_conditions({.latency_min = 40ms, .latency_max = 40ms});
    auto const move = [&] {
        auto const moved = bench.next_address();
        bench.network.move(op.address, moved, bench.clock.now());
        op.address = moved;
        op.node->set_listen_addresses({op.multiaddr()});
        bench.network.touch(moved);
    };
    auto const is_connected = [&] {
        for (auto const& peer : ada.node->peers(bench.clock.now()))
            if (peer.node == op.identity.node_id()) return peer.connected;
        return false;
    };
    move();
    REQUIRE(bench.run_until([&] { return !is_connected(); }, 5s));
    REQUIRE(bench.run_until(is_connected, 10s));
    CHECK_FALSE(ada.node->is_ready(op.identity.node_id()));
    move();
    REQUIRE(bench.run_until([&] { return !is_connected(); }, 5s));
    CHECK(bench.run_until([&] { return ada.node->is_ready(op.identity.node_id()); }, 25s));
}

TEST_CASE("S23: a member cannot say where another is: not in its name, nor for another swarm") {
    World world;
    auto& [bench, op, ada, bo] = world;
    Hostile eve(bench);
    eve.join(op, bench.invite(op));
    bench.run_for(2s);
    auto const now = bench.clock.unix_now();
    auto const protocol = std::string(kad::kith_protocol);
    auto const of_ada = node::member_key(ada.identity.node_id());
    auto const before = bo.node->discovery_counts();
    CHECK(was_refused(eve.visit(bo, protocol, put(of_ada, domain_of(bo), eve.identity, now))));
    CHECK(was_refused(
        eve.visit(bo, protocol, put(of_ada, "/kith/kad/1.0.0/another swarm", ada.identity, now))));
    CHECK(bo.node->discovery_counts().refused == before.refused + 2);
    CHECK(bo.node->discovery_counts().records == before.records);
    // The same bytes from their author are taken.
    eve.visit(bo, protocol,
              put(node::member_key(eve.identity.node_id()), domain_of(bo), eve.identity, now));
    CHECK(bo.node->discovery_counts().records == before.records + 1);
}

TEST_CASE("S25: a member cannot fill the others with addresses of keys that are no members") {
    World world;
    auto& [bench, op, ada, bo] = world;
    Hostile eve(bench);
    eve.join(op, bench.invite(op));
    bench.run_for(2s);
    SeededRng rng(7);
    auto const sybil = new_identity(rng, bench.clock.unix_now());
    auto const before = bo.node->discovery_counts();
    CHECK(was_refused(eve.visit(
        bo, std::string(kad::kith_protocol),
        put(node::member_key(sybil.node_id()), domain_of(bo), sybil, bench.clock.unix_now()))));
    CHECK(bo.node->discovery_counts().records == before.records);
}

TEST_CASE("S26: an hour after a member was last heard nobody keeps where it was") {
    World world;
    auto& [bench, op, ada, bo] = world;
    bench.network.unplug(bo.address);
    bench.run_for(62min);
    CHECK(World::records(op) == 2);  // and those of the living were published again
    CHECK(World::records(ada) == 2);
}

TEST_CASE("S88: who is removed leaves the tables, and a stranger gets no answer") {
    World world;
    auto& [bench, op, ada, bo] = world;
    CHECK(op.node->discovery_counts().known == 2);
    Hostile stranger(bench);
    kad::Message question;
    question.type = kad::MessageType::find_node;
    question.key = base::to_bytes(ada.identity.peer_id().to_multihash());
    base::Bytes framed;
    wire::append_frame(framed, kad::encode(question));
    auto const& visit = stranger.visit(op, std::string(kad::kith_protocol), framed);
    CHECK(visit.connected);
    CHECK(was_refused(visit));
    CHECK(visit.received.empty());
    REQUIRE(op.node->kick(bo.identity.node_id().to_short().substr(0, 8), bench.clock.now())
                .has_value());
    bench.run_for(5s);
    CHECK(op.node->discovery_counts().known == 1);
    CHECK(ada.node->discovery_counts().known == 1);
}
