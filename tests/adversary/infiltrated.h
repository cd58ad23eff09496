// A swarm with a member that has to go.
#pragma once

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "hostile.h"

namespace kith::adversary {

using namespace std::chrono_literals;

// Two members, and a third one with evil intent and an open session to ada.
struct Infiltrated {
    Infiltrated() {
        REQUIRE(bench.run_until([&] { return meet(ada, bo); }, 60s));
        member.join(op, bench.invite(op));
        bench.run_for(1s);  // the list that names the member reaches ada
        member.open_session(ada);
        REQUIRE(member.session_ready());
    }
    bool meet(Machine const& one, Machine const& other) const {
        return one.node->is_ready(other.identity.node_id()) &&
               other.node->is_ready(one.identity.node_id());
    }
    bool all_meet() const { return meet(op, ada) && meet(op, bo) && meet(ada, bo); }
    node::Kicked kick() {
        auto const kicked = op.node->kick(member.identity.address().to_text(), bench.clock.now());
        if (!kicked) FAIL(kicked.error().message);
        return *kicked;
    }
    static bool same_secret(Machine const& one, Machine const& other) {
        return base::equal(one.node->swarm()->secret.view(), other.node->swarm()->secret.view());
    }
    SwarmBench bench;
    Machine& op = bench.add_operator();
    Machine& ada = bench.add_member(op);
    Machine& bo = bench.add_member(op);
    Hostile member{bench};
};

inline std::size_t members_count(Machine const& machine) {
    return machine.node->registry()->list()->members().size();
}

}  // namespace kith::adversary
