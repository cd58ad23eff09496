// Relays and identify: what strangers get out of them, and what a relay sees.
#include <doctest/doctest.h>

#include <algorithm>

#include "hostile.h"
#include "proto/identify/identify.h"
#include "proto/relay/client.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
namespace relay = kith::proto::relay;
namespace identify = kith::proto::identify;

namespace {

// Two members behind routers that let nobody in, and their coordinator.
struct Hidden {
    Hidden() : op(bench.add_operator()), ada(add()), bo(add()) {}
    Machine& add() {
        auto& machine = bench.add_machine();
        bench.network.hide(machine.address);
        REQUIRE(bench.join(machine, bench.invite(op)).has_value());
        return machine;
    }
    bool linked() {
        return bench.run_until(
            [&] {
                return ada.node->is_ready(bo.identity.node_id()) &&
                       bo.node->is_ready(ada.identity.node_id());
            },
            120s);
    }
    static node::Path path(Machine const& from, Machine const& to) {
        for (auto const& peer : from.node->peers(base::Instant{}))
            if (peer.node == to.identity.node_id()) return peer.path;
        return node::Path::direct;
    }

    SwarmBench bench;
    Machine &op, &ada, &bo;
};

relay::Status status_in(base::Bytes const& received) {
    wire::FrameReader reader(relay::message_bytes_max);
    base::ByteView rest = received;
    auto const frame = reader.next(rest);
    if (!frame || !*frame) return relay::Status::none;
    auto const message = relay::parse_hop(**frame);
    auto const* answer = message ? std::get_if<relay::Answer>(&*message) : nullptr;
    return answer == nullptr ? relay::Status::none : answer->status;
}

}  // namespace

TEST_CASE(
    "P31: two members behind routers speak through the coordinator, in a channel of their own") {
    Hidden world;
    REQUIRE(world.linked());
    CHECK(Hidden::path(world.ada, world.bo) == node::Path::relayed);
    CHECK(Hidden::path(world.ada, world.op) == node::Path::direct);
    wire::v1::Control control;
    control.mutable_stage_close()->set_request_id("only for the two of us");
    auto const before = world.op.recorder.controls.size();
    world.bo.recorder.controls.clear();
    REQUIRE(world.ada.node->send(world.bo.identity.node_id(), control).has_value());
    world.bench.settle();
    auto const& heard = world.bo.recorder.controls;
    CHECK(
        std::ranges::any_of(heard, [](auto const& one) { return one.message.has_stage_close(); }));
    CHECK(std::ranges::none_of(
        world.op.recorder.controls.begin() + static_cast<std::ptrdiff_t>(before),
        world.op.recorder.controls.end(),
        [](auto const& one) { return one.message.has_stage_close(); }));
    // And the session outlives its keys: the next handshake goes the same way.
    world.bench.run_for(11min);
    CHECK(world.ada.node->is_ready(world.bo.identity.node_id()));
    CHECK(Hidden::path(world.ada, world.bo) == node::Path::relayed);
}

TEST_CASE("P5: without a fresh list relayed sessions end like any other") {
    Hidden world;
    REQUIRE(world.linked());
    world.bench.network.unplug(world.op.address);  // no list, no lease: nobody is served
    world.bench.run_for(31s);
    CHECK_FALSE(world.ada.node->is_ready(world.bo.identity.node_id()));
    CHECK_FALSE(world.bo.node->is_ready(world.ada.identity.node_id()));
}

TEST_CASE("P5: a stranger gets no relay: neither a reservation nor a connection to a member") {
    Hidden world;
    Hostile stranger(world.bench);
    auto const hop = std::string(relay::hop_protocol);
    auto const& reserved = stranger.visit(world.op, hop, relay::HopRequest::reserve());
    CHECK(reserved.connected);
    CHECK(status_in(reserved.received) != relay::Status::ok);
    auto const& connected =
        stranger.visit(world.op, hop, relay::HopRequest::connect(world.ada.identity.peer_id()));
    CHECK(status_in(connected.received) != relay::Status::ok);
    auto const asks =
        relay::frame_stop(relay::Connect{.peer = stranger.identity.peer_id(), .limit = {}});
    auto const& stop = stranger.visit(world.op, std::string(relay::stop_protocol), asks);
    CHECK(stop.received != relay::StopAnswer::accept());
}

TEST_CASE("P3: a stranger's identify tells no address, no swarm and no member") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& member = bench.add_member(op);
    Hostile stranger(bench);
    for (auto* machine : {&op, &member}) {
        auto const& visit = stranger.visit(*machine, std::string(identify::protocol));
        identify::Reader reader(machine->identity.peer_id());
        REQUIRE(reader.feed(visit.received).has_value());
        auto const info = reader.finish();
        REQUIRE(info.has_value());
        CHECK(info->listen_addresses.empty());
        CHECK(info->signed_peer_record.empty());
        CHECK(std::ranges::find(info->protocols, node::protocol_peer) == info->protocols.end());
        CHECK_FALSE(contains(visit.received, op.node->swarm()->id));
        CHECK_FALSE(contains(visit.received, base::as_bytes(op.node->swarm()->name)));
        auto& other = machine == &op ? member : op;
        CHECK_FALSE(contains(visit.received, other.identity.node_id().bytes));
        auto const& push = stranger.visit(*machine, std::string(identify::push_protocol));
        CHECK(push.reset);
    }
}
