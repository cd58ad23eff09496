#include "scenario.h"

#include <malloc.h>

#include <algorithm>

#include "crypto/seal_witness.h"

namespace kith::simtest {

using namespace std::chrono_literals;

namespace {

constexpr std::int64_t drift_ppm_max = 1000;
constexpr std::int64_t wall_error_seconds_max = 3000;  // less than bindings are backdated
constexpr std::uint64_t backup_one_in = 6;
constexpr base::Duration silence_max = 100s;  // of a cut, and of a machine without power

bool knows_of_removal(Machine const& machine) {
    if (!machine.node || machine.node->registry() == nullptr) return false;
    auto const* list = machine.node->registry()->list();
    return list != nullptr && !list->document().revocations.empty();
}

class Run {
public:
    Run(Scenario const& scenario, Identities& identities)
        : scenario_(scenario),
          chance_(sim::Chance(scenario.seed).split(3)),
          swarm_({.seed = scenario.seed,
                  .machines_count = scenario.machines_count,
                  .drift_ppm_max = scenario.faults == Scenario::Faults::all ? drift_ppm_max : 0,
                  .probe_interval = scenario.probe_interval,
                  .sync = scenario.sync},
                 identities, invariants_) {}

    Report go();

private:
    void plan();
    void advance_to(base::Instant until);
    void fault();
    void write_fault();
    void cut_some();
    void cut_from_operator();
    void wall_jump();
    void change_conditions();
    void heal_if_due();
    void remove_if_due();
    void back_up_if_due();
    void calm();
    void expect_all_well();
    Machine& any_machine() {
        return *swarm_.machines[static_cast<std::size_t>(chance_.below(swarm_.machines.size()))];
    }
    [[nodiscard]] bool uses_backup() const;

    Scenario scenario_;
    Invariants invariants_;
    sim::Chance chance_;
    Swarm swarm_;
    Report report_;
    base::Instant start_{}, faults_end_{};
    base::Instant fault_at_{}, remove_at_{}, back_up_at_{}, restore_at_{};
    std::optional<base::Instant> heal_at_, hostile_joins_at_;
    std::string hostile_token_;
    std::optional<sim::Disk::Image> backup_;
};

bool Run::uses_backup() const {
    if (scenario_.faults == Scenario::Faults::none) return false;
    switch (scenario_.backup) {
        case Scenario::Backup::never:
            return false;
        case Scenario::Backup::some_seeds:
            return sim::Chance(scenario_.seed).split(4).one_in(backup_one_in);
        case Scenario::Backup::always:
            return true;
    }
    return false;
}

void Run::plan() {
    start_ = swarm_.clock.now();
    auto const span = scenario_.faults_for;
    faults_end_ = start_ + span;
    fault_at_ = start_ + scenario_.faults_every;
    remove_at_ = start_ + chance_.between(span * 2 / 5, span * 7 / 10);
    bool const goes_back = uses_backup();
    auto const never = base::Instant::max();
    back_up_at_ = goes_back ? start_ + span * 3 / 10 : never;
    restore_at_ = goes_back ? start_ + span * 3 / 4 : never;
    if (scenario_.faults == Scenario::Faults::none) fault_at_ = never;
    if (scenario_.removal == Scenario::Removal::none)
        remove_at_ = never;
    else
        hostile_joins_at_ = start_ + 1s;
    change_conditions();
    // The first half of the members joins at the start, the others at some time.
    for (auto& machine : swarm_.machines) {
        machine->boots_at = start_;
        if (machine->is_operator()) continue;
        bool const early = machine->index * 2 <= swarm_.machines.size();
        machine->joins_at = start_ + chance_.between(1s, early ? 10s : span / 2);
    }
}

Report Run::go() {
#ifdef KITH_SABOTAGE  // only test builds show their frames
    proto::session::set_witness([this](auto const& frame) { invariants_.on_opened(frame); });
    crypto::set_seal_witness(
        [this](auto const key, auto const& nonce) { invariants_.on_seal(key, nonce); });
#endif
    plan();
    advance_to(faults_end_);
    calm();
    advance_to(faults_end_ + scenario_.calm_for);
    expect_all_well();
#ifdef KITH_SABOTAGE
    proto::session::set_witness({});
    crypto::set_seal_witness({});
#endif
    report_.trace = swarm_.network.trace();
    report_.violations = invariants_.violations();
    report_.simulated = swarm_.clock.now() - start_;
    report_.seals = invariants_.seals();
    report_.lowest_score = invariants_.lowest_score();
    report_.messages_heard = invariants_.messages_heard();
    report_.crashes_in_writes = swarm_.crashes_in_writes;
    report_.joins_refused = swarm_.joins_refused;
    if (swarm_.hostile) {
        report_.hostile_dials = swarm_.hostile->dials_count();
        report_.replays = swarm_.hostile->replays_count();
    }
    report_.removals = invariants_.removed().size();
    report_.heap_bytes = ::mallinfo2().uordblks;
    for (auto const& machine : swarm_.machines)
        report_.connection_ends += swarm_.network.connections_count(machine->address);
    return report_;
}

void Run::advance_to(base::Instant until) {
    for (;;) {
        auto next = std::min({until, fault_at_, remove_at_, back_up_at_, restore_at_});
        for (auto const& due : {heal_at_, hostile_joins_at_, swarm_.deadline()})
            if (due) next = std::min(next, *due);
        auto const now = swarm_.clock.now();
        if (next >= until && now >= until) return;
        // A timer that is due and stays due must not stop the clock.
        swarm_.clock.set(next > now ? next : now + 1ms);
        swarm_.step();
        ++report_.steps;
        heal_if_due();
        remove_if_due();
        back_up_if_due();
        if (swarm_.clock.now() >= fault_at_) fault();
    }
}

// --- faults

void Run::fault() {
    fault_at_ = swarm_.clock.now() + chance_.between(1s, scenario_.faults_every * 2 - 1s);
    auto const soon =
        chance_.one_in(3) ? chance_.between(10s, silence_max) : chance_.between(100ms, 10s);
    switch (chance_.below(10)) {
        case 0:
            ++report_.ends;
            return swarm_.end(any_machine(), Swarm::End::power, soon);
        case 1:
            ++report_.ends;
            return swarm_.end(any_machine(), Swarm::End::kill, soon);
        case 2:
            ++report_.ends;
            return swarm_.end(swarm_.op(), chance_.one_in(2) ? Swarm::End::kill : Swarm::End::power,
                              soon);
        case 3:
        case 4:
            return write_fault();
        case 5:
            return cut_some();
        case 6:
            return cut_from_operator();
        case 7:
            return wall_jump();
        case 8:
            return change_conditions();
        default:
            for (std::uint64_t i = 0; i < 3; ++i) {
                ++report_.breaks;
                auto const how =
                    chance_.one_in(2) ? sim::Network::Break::both : sim::Network::Break::half_open;
                swarm_.network.break_one(chance_.next() >> 8, how, swarm_.clock.now());
            }
    }
}

// The next write or one soon after does not return. Half the time at the operator, who writes most.
void Run::write_fault() {
    auto& machine = chance_.one_in(2) ? swarm_.op() : any_machine();
    if (scenario_.sync == sim::Disk::Sync::lies && chance_.one_in(2)) machine.disk.sync();
    auto cut = chance_.one_in(2) ? sim::Disk::Cut::before : sim::Disk::Cut::after;
    if (scenario_.write == Scenario::Write::torn) cut = sim::Disk::Cut::torn;
    machine.disk.crash_in(1 + static_cast<std::uint32_t>(chance_.below(4)), cut);
}

// One direction or both, between two halves, around one machine, or between two machines.
void Run::cut_some() {
    ++report_.cuts;
    auto const shape = chance_.below(3);
    bool const both_ways = !chance_.one_in(4);
    auto const& lonely = any_machine();
    auto const& other = any_machine();
    auto const sides = chance_.next();
    for (auto const& a : swarm_.machines)
        for (auto const& b : swarm_.machines) {
            bool is_cut = false;
            if (shape == 0)
                is_cut = ((sides >> a->index % 64) & 1) != ((sides >> b->index % 64) & 1);
            if (shape == 1) is_cut = a.get() == &lonely;
            if (shape == 2) is_cut = a.get() == &lonely && b.get() == &other;
            if (!is_cut || a == b) continue;
            swarm_.network.cut(a->address, b->address);
            if (both_ways) swarm_.network.cut(b->address, a->address);
        }
    heal_at_ = swarm_.clock.now() + chance_.between(1s, silence_max);
}

void Run::cut_from_operator() {
    ++report_.cuts;
    for (auto const& machine : swarm_.machines) {
        if (machine->is_operator() || chance_.one_in(3)) continue;
        swarm_.network.cut(machine->address, swarm_.op().address);
        swarm_.network.cut(swarm_.op().address, machine->address);
    }
    heal_at_ = swarm_.clock.now() + chance_.between(20s, silence_max);
}

void Run::wall_jump() {
    auto const error = static_cast<std::int64_t>(chance_.below(2 * wall_error_seconds_max)) -
                       wall_error_seconds_max;
    any_machine().clock.set_wall_error(std::chrono::seconds(error));
}

void Run::change_conditions() {
    if (scenario_.faults == Scenario::Faults::none)
        return swarm_.network.set_conditions({.latency_min = 5ms, .latency_max = 50ms});
    bool const bad = chance_.one_in(3);
    swarm_.network.set_conditions({.latency_min = 1ms,
                                   .latency_max = bad ? base::Duration(1s) : base::Duration(100ms),
                                   .slow_one_in = bad ? 10U : 100U,
                                   .slow_max = bad ? base::Duration(15s) : base::Duration(2s),
                                   .split_one_in = 8});
}

void Run::heal_if_due() {
    if (!heal_at_ || swarm_.clock.now() < *heal_at_) return;
    heal_at_.reset();
    swarm_.network.heal();
}

// --- the hostile member and its removal

void Run::remove_if_due() {
    auto const now = swarm_.clock.now();
    auto& op = swarm_.op();
    bool const can_ask = op.node && op.node->swarm() != nullptr;
    bool const is_removed = swarm_.is_removed(swarm_.hostile_identity().node_id());
    if (hostile_joins_at_ && now >= *hostile_joins_at_) {
        if (!swarm_.hostile) swarm_.add_hostile();
        hostile_joins_at_ = now + 5s;
        if (swarm_.hostile->has_joined()) {
            if (can_ask && !is_removed) swarm_.hostile->learn(*op.node->registry()->list());
        } else if (!swarm_.hostile->is_joining()) {
            if (hostile_token_.empty()) hostile_token_ = swarm_.invite();
            swarm_.network.touch(swarm_.hostile_address);
            if (!hostile_token_.empty()) swarm_.hostile->join(hostile_token_);
        }
    }
    if (now < remove_at_) return;
    remove_at_ = now + 1s;
    if (!can_ask || !swarm_.hostile || !swarm_.hostile->has_joined()) return;
    swarm_.hostile->learn(*op.node->registry()->list());
    // The moment that matters most: the others cannot hear of it.
    if (scenario_.faults == Scenario::Faults::all && chance_.one_in(2)) cut_from_operator();
    if (!swarm_.remove(swarm_.hostile_identity())) return;
    remove_at_ = base::Instant::max();
    auto const& unlucky = any_machine();
    if (scenario_.faults == Scenario::Faults::all && chance_.one_in(3) && unlucky.has_joined &&
        !unlucky.is_operator())
        (void)swarm_.remove(*unlucky.identity);
}

// --- the operator goes back to an old disk

void Run::back_up_if_due() {
    auto const now = swarm_.clock.now();
    auto& op = swarm_.op();
    if (now >= back_up_at_ && op.has_joined) {
        back_up_at_ = base::Instant::max();
        backup_ = op.disk.image();
    }
    if (now < restore_at_) return;
    restore_at_ = base::Instant::max();
    if (!backup_) return;
    report_.was_set_back = true;
    swarm_.end(op, Swarm::End::power, 0s);
    op.disk.restore(*backup_);
    invariants_.on_set_back(op.index);
    for (auto const& machine : swarm_.machines)
        if (!knows_of_removal(*machine)) invariants_.on_ignorant(machine->index);
    // Each start makes a new version of the list. After a removal that may be one newer than what
    // the others know; otherwise it should be older.
    auto const starts_max = scenario_.removal == Scenario::Removal::none ? 2U : 20U;
    for (auto starts = chance_.below(starts_max); starts > 0; --starts) {
        swarm_.boot(op);
        swarm_.end(op, Swarm::End::power, 0s);
    }
    op.boots_at = now;
}

// --- the end

void Run::calm() {
    auto const never = base::Instant::max();
    fault_at_ = remove_at_ = back_up_at_ = restore_at_ = never;
    heal_at_.reset();
    swarm_.network.heal();
    swarm_.network.set_conditions({.latency_min = 5ms, .latency_max = 50ms, .split_one_in = 50});
    for (auto& machine : swarm_.machines) {
        machine->disk.disarm();
        machine->clock.set_wall_error(0s);
        if (machine->boots_at) machine->boots_at = swarm_.clock.now() + 1s;
    }
}

void Run::expect_all_well() {
    for (auto const& invite : swarm_.op().disk.image().invites)
        if (invite.second.uses > invite.second.uses_max)
            invariants_.violated("P16: an invite was used more often than it allows");
    if (report_.was_set_back) return;  // its members refuse the operator's old lists, and must
    for (auto const& a : swarm_.machines) {
        auto const name = "machine " + std::to_string(a->index);
        if (!a->node || !a->has_joined) {
            invariants_.violated(name + " is not back although all is healed");
            continue;
        }
        if (swarm_.is_removed(a->identity->node_id())) continue;
        if (swarm_.network.connections_count(a->address) > swarm_.machines.size() + 4)
            invariants_.violated(name + " has connections that it does not need");
        for (auto const& b : swarm_.machines)
            if (a != b && !swarm_.is_removed(b->identity->node_id()) &&
                !a->node->is_ready(b->identity->node_id()))
                invariants_.violated(name + " has no session with machine " +
                                     std::to_string(b->index) + " although all is healed");
    }
}

}  // namespace

Report run(Scenario const& scenario, Identities& identities) {
    return Run(scenario, identities).go();
}

}  // namespace kith::simtest
