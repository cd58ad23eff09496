#include "swarm.h"

#include <algorithm>

namespace kith::simtest {

using base::Code;
using namespace std::chrono_literals;

namespace {

constexpr base::Duration join_again = 2s;
constexpr base::Duration operator_boots_within = 20s;
constexpr std::size_t turns_max = 1'000'000;  // of one step; beyond it the machines talk in circles

identity::Identity new_identity(std::uint64_t seed) {
    sim::SeededRng rng(seed);
    sim::VirtualClock const clock;
    crypto::Secret<identity::identity_random_bytes> random;
    (void)rng.fill(random.mutable_view());
    return identity::Identity::create(random, clock.unix_now()).value();
}

}  // namespace

identity::Identity const& Identities::at(std::size_t index) {
    while (identities_.size() <= index)
        identities_.push_back(
            std::make_unique<identity::Identity>(new_identity(4242 + identities_.size())));
    return *identities_[index];
}

Swarm::Swarm(Options const& options, Identities& identities_in, Invariants& invariants)
    : network(sim::Network::Tape::off, sim::Chance(options.seed).split(1).next()),
      identities(identities_in),
      options_(options),
      invariants_(invariants),
      chance_(sim::Chance(options.seed).split(2)) {
    for (std::size_t i = 0; i < options.machines_count; ++i) {
        machines.push_back(
            std::make_unique<Machine>(Machine{.index = i,
                                              .address = {"10.0.0." + std::to_string(i + 1), 8810},
                                              .identity = &identities.at(i),
                                              .disk = sim::Disk(options.sync),
                                              .clock = sim::DriftingClock(clock, new_local_time()),
                                              .numbers = {i}}));
        by_address_[machines.back()->address] = machines.back().get();
    }
}

sim::LocalTime Swarm::new_local_time() {
    auto const drift = static_cast<std::int64_t>(chance_.below(
                           static_cast<std::uint64_t>(2 * options_.drift_ppm_max + 1))) -
                       options_.drift_ppm_max;
    return {.since = clock.now(),
            .offset = chance_.between(0s, 1h) - clock.now().time_since_epoch() + 10s,
            .drift_ppm = drift};
}

void Swarm::boot(Machine& machine) {
    machine.boots_at.reset();
    if (machine.lives > 0) machine.clock.restart(new_local_time());
    auto const life = ++machine.lives;
    machine.rng = std::make_unique<sim::SeededRng>(
        sim::Chance(options_.seed).split(1000 + machine.index * 1'000'000 + life).next());
    machine.probe = std::make_unique<Probe>(Probe::Edges{.machine = machine.index,
                                                         .numbers = machine.numbers,
                                                         .invariants = invariants_,
                                                         .truth = clock,
                                                         .interval = options_.probe_interval});
    try {
        auto node = node::Node::create({.identity = *machine.identity,
                                        .rng = *machine.rng,
                                        .clock = machine.clock,
                                        .store = machine.disk,
                                        .secrets = machine.disk,
                                        .log = [](std::string const&) {}},
                                       machine.local_now());
        if (!node)
            return invariants_.violated("machine " + std::to_string(machine.index) +
                                        " does not start again: " + node.error().message);
        machine.node = std::move(*node);
    } catch (sim::Crash const&) {
        return reap(machine);
    }
    auto& node = *machine.node;
    machine.probe->set_node(node);
    node.attach(*machine.probe);
    node.set_listen_addresses({"/ip4/" + machine.address.ip + "/tcp/8810"});
    network.attach(
        machine.address, node, [&machine] { machine.node->pump(machine.local_now()); },
        machine.clock.local());
    if (machine.has_joined && node.swarm() == nullptr)
        invariants_.violated("machine " + std::to_string(machine.index) +
                             " forgot the swarm it had joined");
    if (node.swarm() != nullptr) {
        machine.has_joined = true;
        machine.joins_at.reset();
    } else if (!machine.token.empty()) {
        machine.joins_at = clock.now() + join_again;
    }
    if (machine.is_operator() && node.swarm() == nullptr)
        command(machine, [&] {
            machine.has_joined = node.create_swarm("kin", machine.local_now()).has_value();
        });
    if (machine.node) check(machine);
}

// What is left of a machine whose power went: its disk.
void Swarm::reap(Machine& machine) {
    ++crashes_in_writes;
    network.power_off(machine.address);
    machine.node.reset();
    machine.disk.power_cut();
    machine.boots_at = clock.now() + chance_.between(100ms, operator_boots_within);
}

void Swarm::end(Machine& machine, End how, base::Duration boots_after) {
    if (!machine.node) return;
    if (how == End::kill) network.detach(machine.address, clock.now());
    if (how == End::power) network.power_off(machine.address);
    machine.node.reset();
    if (how == End::power)
        machine.disk.power_cut();
    else
        machine.disk.disarm();  // what was written is in the system's memory
    machine.boots_at = clock.now() + boots_after;
}

template <typename Command>
void Swarm::command(Machine& machine, Command const& run) {
    if (!machine.node) return;
    network.touch(machine.address);
    try {
        run();
    } catch (sim::Crash const&) {
        reap(machine);
    }
}

std::string Swarm::invite() {
    std::string token;
    command(op(), [&] {
        auto const coordinator = op().node->coordinator();
        if (!coordinator) return;
        auto issued = (*coordinator)
                          ->create_invite({}, *op().node->swarm(), op().node->listen_addresses(),
                                          op().clock.unix_now());
        if (issued) token = std::move(issued->token);
    });
    return token;
}

void Swarm::join(Machine& machine) {
    machine.joins_at.reset();
    if (machine.token.empty()) machine.token = invite();
    machine.joins_at = clock.now() + join_again;
    if (machine.token.empty() || !machine.node) return;
    machine.joins_at.reset();
    command(machine, [&] {
        machine.node->join(
            machine.token,
            [this, &machine](base::Result<node::JoinedSwarm> const& joined) {
                if (joined) {
                    machine.has_joined = true;
                    return;
                }
                ++joins_refused;
                machine.joins_at = clock.now() + join_again;
            },
            machine.local_now());
    });
}

bool Swarm::remove(identity::Identity const& member) {
    if (!op().node) return false;
    bool removed = false;
    command(op(), [&] {
        removed = op().node->kick(member.address().to_text(), op().local_now()).has_value();
    });
    if (!op().node)  // it died in a write: the disk says whether the removal happened
        removed = op().disk.get("revocation", member.root_id().bytes).value().has_value();
    if (removed) invariants_.on_removed(member.node_id(), clock.now());
    return removed;
}

void Swarm::add_hostile() {
    hostile =
        std::make_unique<HostileMember>(hostile_identity(), clock, machines.size(), chance_.next());
    for (auto const& machine : machines)
        hostile->knows(machine->identity->node_id(), machine->address);
    network.attach(hostile_address, *hostile, [this] { hostile->pump(); });
}

std::optional<base::Instant> Swarm::deadline() const {
    auto earliest = network.deadline();
    auto const consider = [&](std::optional<base::Instant> due) {
        if (due && (!earliest || *due < *earliest)) earliest = due;
    };
    for (auto const& machine : machines) {
        consider(machine->boots_at);
        consider(machine->joins_at);
    }
    return earliest;
}

void Swarm::step() {
    auto const now = clock.now();
    for (auto const& machine : machines) {
        if (machine->boots_at && *machine->boots_at <= now) boot(*machine);
        if (machine->joins_at && *machine->joins_at <= now) join(*machine);
    }
    network.on_deadlines(now);
    for (std::size_t turns = 0; network.turn(now); ++turns)
        if (turns == turns_max) return invariants_.violated("the machines talk in circles");
    for (auto const& at : network.take_crashed())
        if (auto const found = by_address_.find(at); found != by_address_.end())
            reap(*found->second);
    for (auto const& at : network.take_touched())
        if (auto const found = by_address_.find(at); found != by_address_.end())
            check(*found->second);
}

// What can be asked of a machine after each step in which something happened to it.
void Swarm::check(Machine& machine) {
    if (!machine.node) return;
    auto const& node = *machine.node;
    if (auto const* registry = node.registry(); registry != nullptr && registry->list() != nullptr)
        invariants_.on_list(machine.index, *registry->list());
    for (auto const& [member, since] : invariants_.removed())
        if (node.is_ready(member)) invariants_.on_session(machine.index, member, clock.now());
    check_scores(machine);
    auto const connections_max = node::HostLimits{}.connections_max + node::closing_links_max;
    if (network.connections_count(machine.address) > connections_max)
        invariants_.violated("machine " + std::to_string(machine.index) +
                             " has more connections than a node may have");
}

// The hostile member's score moves, so it is looked at after every step; of the others one after
// the other.
void Swarm::check_scores(Machine& machine) {
    auto const& node = *machine.node;
    auto const& other = *machines[scores_checked_++ % machines.size()];
    invariants_.on_score(machine.index, other.identity->node_id(),
                         node.trust_in(other.identity->node_id()).deviation());
    if (hostile)
        invariants_.on_score(machine.index, hostile_identity().node_id(),
                             node.trust_in(hostile_identity().node_id()).deviation());
}

}  // namespace kith::simtest
