// tests/sim/scenario.h: one run: a swarm forms while everything that can go wrong goes wrong, then
// all is healed and the swarm must come together. A run is a function of its options.
#pragma once

#include <string>
#include <vector>

#include "swarm.h"

namespace kith::simtest {

struct Scenario {
    enum class Faults { none, all };
    enum class Removal { none, hostile };             // a member is removed and does not accept it
    enum class Backup { never, some_seeds, always };  // the operator goes back to an old disk
    enum class Write { whole, torn };                 // what a power cut leaves of a write

    std::uint64_t seed = 1;
    std::size_t machines_count = 5;
    base::Duration faults_for = std::chrono::minutes(3);
    base::Duration calm_for = std::chrono::seconds(180);  // after it, all must be well
    base::Duration faults_every = std::chrono::seconds(8);
    Faults faults = Faults::all;
    Removal removal = Removal::hostile;
    Backup backup = Backup::some_seeds;
    Write write = Write::whole;
    sim::Disk::Sync sync = sim::Disk::Sync::honest;
    base::Duration probe_interval = std::chrono::seconds(10);
};

struct Report {
    std::uint64_t trace = 0;  // hash of everything that was delivered, and when
    std::vector<std::string> violations;
    base::Duration simulated{};
    std::uint64_t steps = 0, seals = 0, messages_heard = 0;
    std::uint64_t ends = 0, crashes_in_writes = 0, cuts = 0, breaks = 0, joins_refused = 0;
    std::uint64_t hostile_dials = 0, replays = 0, removals = 0;
    std::int64_t lowest_score = 0;  // of all, as Score::deviation()
    bool was_set_back = false;
    // At the end, while everything stands: the heap of all machines and what simulates them (0
    // under sanitizers), and how many ends their connections have.
    std::uint64_t heap_bytes = 0, connection_ends = 0;
};

Report run(Scenario const& scenario, Identities& identities);

}  // namespace kith::simtest
