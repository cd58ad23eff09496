// tests/sim/swarm.h: whole machines (disk, clocks, randomness, node::Node) on a simulated network,
// and the loop that moves the time. What happens to them is said by tests/sim/scenario.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hostile_member.h"
#include "invariants.h"
#include "node/node.h"
#include "probe.h"
#include "sim/chance.h"
#include "sim/clock.h"
#include "sim/disk.h"
#include "sim/network.h"

namespace kith::simtest {

// Identities cost a signature each and mean nothing to a scenario: made once, used by every seed.
// Index 0 is the operator's, the last one the hostile member's.
class Identities {
public:
    identity::Identity const& at(std::size_t index);

private:
    std::vector<std::unique_ptr<identity::Identity>> identities_;
};

struct Machine {
    std::size_t index = 0;
    sim::Address address;
    identity::Identity const* identity = nullptr;
    sim::Disk disk;
    sim::DriftingClock clock;
    Numbers numbers;
    std::uint64_t lives = 0;
    std::unique_ptr<sim::SeededRng> rng;
    std::unique_ptr<Probe> probe;
    std::unique_ptr<node::Node> node;  // nullptr: off
    std::optional<base::Instant> boots_at;
    std::optional<base::Instant> joins_at;  // of those with a token that have not joined
    std::string token;
    bool has_joined = false;  // acknowledged by its node

    [[nodiscard]] base::Instant local_now() const { return clock.now(); }
    [[nodiscard]] bool is_operator() const { return index == 0; }
};

class Swarm {
public:
    struct Options {
        std::uint64_t seed = 1;
        std::size_t machines_count = 5;  // the operator's included; a hostile member comes on top
        std::int64_t drift_ppm_max = 0;
        base::Duration probe_interval = std::chrono::seconds(10);
        sim::Disk::Sync sync = sim::Disk::Sync::honest;
    };
    Swarm(Options const& options, Identities& identities, Invariants& invariants);
    Swarm(Swarm const&) = delete;
    Swarm& operator=(Swarm const&) = delete;

    // --- what happens
    void boot(Machine& machine);
    enum class End { kill, power };  // kill: the system is alive and resets the connections
    void end(Machine& machine, End how, base::Duration boots_after);
    // The operator's node makes an invite; empty when it is off, or dies in it.
    std::string invite();
    void join(Machine& machine);
    // True: the coordinator's list says so (or its disk does, and it died).
    bool remove(identity::Identity const& member);
    void add_hostile();

    // --- the loop
    // The next time at which something is due, faults not counted.
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    // Everything that is due at the time of `clock`.
    void step();

    std::vector<std::unique_ptr<Machine>> machines;
    std::unique_ptr<HostileMember> hostile;
    sim::Address hostile_address{"10.1.0.1", 8810};
    sim::VirtualClock clock;
    sim::Network network;
    Identities& identities;
    std::uint64_t crashes_in_writes = 0;
    std::uint64_t joins_refused = 0;

    [[nodiscard]] Machine& op() { return *machines.front(); }
    [[nodiscard]] identity::Identity const& hostile_identity() {
        return identities.at(machines.size());
    }
    [[nodiscard]] bool is_removed(identity::NodeId const& node) const {
        return invariants_.removed().contains(node);
    }

private:
    // Runs a command on the machine's node; the machine may die in it.
    template <typename Command>
    void command(Machine& machine, Command const& run);
    void reap(Machine& machine);
    void check(Machine& machine);
    void check_scores(Machine& machine);
    [[nodiscard]] sim::LocalTime new_local_time();

    std::uint64_t scores_checked_ = 0;
    Options options_;
    Invariants& invariants_;
    sim::Chance chance_;
    std::map<sim::Address, Machine*> by_address_;
};

}  // namespace kith::simtest
