// A generator that fails at any draw: what a claim rests on is refused or done later, never done
// with bytes that are not random.
#include <doctest/doctest.h>

#include "infiltrated.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

TEST_CASE(
    "P19: a removal that runs out of randomness is said to fail, is repeated, and then holds") {
    std::size_t failed_count = 0;
    for (std::size_t draws = 0;; ++draws) {
        Infiltrated swarm;
        auto& [bench, op, ada, bo, member] = swarm;
        auto const old_secret = op.node->swarm()->secret.clone();
        op.rng.fail_after(draws);
        auto const kicked = op.node->kick(member.identity.address().to_text(), bench.clock.now());
        bool const needed_all = op.rng.draws_left() == 0;
        op.rng.heal();
        if (kicked && !needed_all) break;  // it took fewer draws than there were
        if (!kicked) {
            ++failed_count;
            CHECK(kicked.error().code == base::Code::io);
            swarm.kick();
        }
        bench.run_for(1min);  // who was not told the secret is told it now
        CHECK_FALSE(member.session_ready());
        CHECK(swarm.all_meet());
        for (auto* machine : {&op, &ada, &bo}) {
            CHECK(members_count(*machine) == 3);
            CHECK_FALSE(base::equal(machine->node->swarm()->secret.view(), old_secret.view()));
            CHECK(Infiltrated::same_secret(*machine, op));
            CHECK(machine->node->swarm()->epoch == op.node->swarm()->epoch);
        }
        REQUIRE(draws < 20);
    }
    CHECK(failed_count == 3);  // the secret, the signature of the removal, that of the list
}

TEST_CASE(
    "P16: a join that the operator lacks randomness for is refused, and the invite still works") {
    bool joined_at_once = false;
    for (std::size_t draws = 0; !joined_at_once; ++draws) {
        SwarmBench bench;
        Machine& op = bench.add_operator();
        Machine& guest = bench.add_machine();
        auto const token = bench.invite(op);
        op.rng.fail_after(draws);
        joined_at_once = bench.join(guest, token).has_value();
        op.rng.heal();
        if (!joined_at_once) {
            CHECK(guest.node->swarm() == nullptr);
            CHECK(bench.join(guest, token).has_value());
        }
        CHECK(members_count(op) == 2);
        CHECK(Infiltrated::same_secret(guest, op));
        REQUIRE(draws < 30);
    }
}
