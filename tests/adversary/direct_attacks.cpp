// Direct connections that were punched: nobody gets more out of them than out of relayed ones.
#include <doctest/doctest.h>

#include <algorithm>

#include "hostile.h"
#include "proto/dcutr/message.h"
#include "routed.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
namespace dcutr = kith::proto::dcutr;
using sim::Network;

TEST_CASE("P31: what is said on the direct connection is a Noise channel of the two, as before") {
    Routed world(Network::Router::punchable);
    REQUIRE(world.bench.run_until([&] { return world.is_direct(); }, 120s));
    world.bench.run_for(1s);
    auto const& tape = world.bench.network.tape(world.ada->address, world.bo->address);
    auto const before = tape.size();
    wire::v1::Control control;
    control.mutable_stage_close()->set_request_id("only for the two of us");
    REQUIRE(world.ada->node->send(world.bo->identity.node_id(), control).has_value());
    world.bench.run_for(1s);
    CHECK(tape.size() > before);
    CHECK_FALSE(contains(tape, base::as_bytes("only for the two of us")));
    auto const heard = Routed::heard(*world.bo, *world.ada);
    CHECK(std::ranges::any_of(
        heard, [](std::string const& one) { return one == "only for the two of us"; }));
}

TEST_CASE("P5: without a fresh list direct sessions end like relayed ones") {
    Routed world(Network::Router::punchable);
    REQUIRE(world.bench.run_until([&] { return world.is_direct(); }, 120s));
    world.bench.network.unplug(world.op.address);
    world.bench.run_for(31s);
    CHECK_FALSE(world.ada->node->is_ready(world.bo->identity.node_id()));
    CHECK_FALSE(world.bo->node->is_ready(world.ada->identity.node_id()));
    CHECK(world.bench.network.connections_count(world.bo->address) <= 1);
}

TEST_CASE("P19: a member that is removed loses the direct connection as well") {
    Routed world(Network::Router::punchable);
    REQUIRE(world.bench.run_until([&] { return world.is_direct(); }, 120s));
    auto const name = world.bo->identity.address().to_text();
    REQUIRE(world.op.node->kick(name, world.bench.clock.now()).has_value());
    world.bench.run_for(5s);
    CHECK_FALSE(world.ada->node->is_ready(world.bo->identity.node_id()));
    CHECK(world.bench.network.connections_count(world.ada->address) == 1);
}

TEST_CASE("P5: a stranger does not make a member dial") {
    Routed world(Network::Router::punchable);
    world.bench.network.set_conditions({});
    Hostile stranger(world.bench);
    auto asks =
        dcutr::frame(dcutr::Connect{{wire::Multiaddr::from_text("/ip4/10.0.0.99/tcp/22").value()}});
    base::append(asks, dcutr::frame(dcutr::Sync{}));
    auto const& visit = stranger.visit(world.op, std::string(dcutr::protocol), asks);
    CHECK(visit.connected);
    CHECK(visit.received.empty());
}
