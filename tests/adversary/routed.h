// tests/adversary/routed.h: two members behind routers, who reach each other through their
// coordinator.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>

#include "swarm_bench.h"

namespace kith::adversary {

struct Routed {
    explicit Routed(sim::Network::Router router) : op(bench.add_operator()) {
        bench.network.set_conditions({.latency_min = std::chrono::milliseconds(20),
                                      .latency_max = std::chrono::milliseconds(20)});
        ada = &add(router);
        bo = &add(router);
    }
    Machine& add(sim::Network::Router router) {
        auto& machine = bench.add_machine();
        bench.network.hide(machine.address, router);
        REQUIRE(bench.join(machine, bench.invite(op)).has_value());
        return machine;
    }
    [[nodiscard]] bool is_ready() const {
        return ada->node->is_ready(bo->identity.node_id()) &&
               bo->node->is_ready(ada->identity.node_id());
    }
    static std::optional<node::Path> path(Machine const& from, Machine const& to) {
        for (auto const& peer : from.node->peers(base::Instant{}))
            if (peer.node == to.identity.node_id() && peer.connected) return peer.path;
        return std::nullopt;
    }
    [[nodiscard]] bool is_direct() const {
        return path(*ada, *bo) == node::Path::direct && path(*bo, *ada) == node::Path::direct;
    }
    static void say(Machine& from, Machine const& to, std::size_t number) {
        wire::v1::Control control;
        control.mutable_stage_close()->set_request_id(std::to_string(number));
        CHECK(from.node->send(to.identity.node_id(), control).has_value());
    }
    static std::vector<std::string> heard(Machine const& machine, Machine const& from) {
        std::vector<std::string> said;
        for (auto const& one : machine.recorder.controls)
            if (one.message.has_stage_close() && one.sender == from.identity.node_id())
                said.push_back(one.message.stage_close().request_id());
        return said;
    }
    static bool lost(Machine const& machine, Machine const& whom) {
        return std::ranges::find(machine.recorder.lost, whom.identity.node_id()) !=
               machine.recorder.lost.end();
    }

    SwarmBench bench;
    Machine& op;
    Machine *ada = nullptr, *bo = nullptr;
};

}  // namespace kith::adversary
