// sim_swarm: whole swarms in simulation, many seeds at a time.
//
//   sim_swarm [--seeds A-B | --seed N] [--nodes N] [--minutes M] [--calm S] [--faults-every S]
//             [--probe-every S] [--idle] [--twice] [--lying-disk] [--torn-writes]
//
// Exit code 0: no invariant was violated. A seed that fails prints itself and how to run it alone;
// the same options give the same run, and --twice checks that (the hash of all that was delivered).
// In test builds KITH_SABOTAGE switches guards off, as for every test.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/sabotage.h"
#include "scenario.h"

using namespace kith;
using namespace kith::simtest;

namespace {

struct Arguments {
    Scenario scenario;
    std::uint64_t first = 1, last = 10;
    std::string again;  // the options but for the seed, to be printed
    enum class Check { once, twice } check = Check::once;
};

[[noreturn]] void usage(std::string const& wrong) {
    std::fprintf(stderr,
                 "sim_swarm: %s\nusage: sim_swarm [--seeds A-B | --seed N] [--nodes N] "
                 "[--minutes M] [--calm SECONDS] [--faults-every SECONDS] [--probe-every SECONDS] "
                 "[--idle] [--twice] [--lying-disk] [--torn-writes]\n",
                 wrong.c_str());
    std::exit(2);
}

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        usage("not a number: " + std::string(text));
    return value;
}

// Options without a value; false: none of them.
bool parse_flag(std::string_view option, Arguments& arguments) {
    if (option == "--twice") {
        arguments.check = Arguments::Check::twice;
        return true;
    }
    if (option == "--idle") {
        arguments.scenario.faults = Scenario::Faults::none;
        arguments.scenario.removal = Scenario::Removal::none;
    } else if (option == "--lying-disk") {
        arguments.scenario.sync = sim::Disk::Sync::lies;
    } else if (option == "--torn-writes") {
        arguments.scenario.write = Scenario::Write::torn;
    } else {
        return false;
    }
    arguments.again += " " + std::string(option);
    return true;
}

void parse_value(std::string const& option, std::string_view value, Arguments& arguments) {
    auto& scenario = arguments.scenario;
    if (option == "--seeds" || option == "--seed") {
        auto const dash = value.find('-');
        arguments.first = number(value.substr(0, dash));
        arguments.last =
            dash == std::string_view::npos ? arguments.first : number(value.substr(dash + 1));
        return;
    }
    auto const amount = number(value);
    auto const seconds = std::chrono::seconds(static_cast<std::int64_t>(amount));
    if (option == "--nodes" && amount >= 2 && amount <= 250)
        scenario.machines_count = static_cast<std::size_t>(amount);
    else if (option == "--minutes" && amount >= 1)
        scenario.faults_for = seconds * 60;
    else if (option == "--calm")
        scenario.calm_for = seconds;
    else if (option == "--faults-every" && amount >= 2)
        scenario.faults_every = seconds;
    else if (option == "--probe-every" && amount >= 1)
        scenario.probe_interval = seconds;
    else
        usage("unknown option or value: " + option + " " + std::string(value));
    arguments.again += " " + option + " " + std::string(value);
}

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        std::string const option = argv[i];
        if (parse_flag(option, arguments)) continue;
        if (i + 1 == argc) usage("unknown option: " + option);
        parse_value(option, argv[++i], arguments);
    }
    return arguments;
}

double kilobytes_resident() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
        if (word == "VmRSS:" && status >> word) return std::atof(word.c_str());
    return 0;
}

// 1 when the seed failed.
int run_seed(Arguments const& arguments, std::uint64_t seed, Identities& identities,
             Report& total) {
    auto scenario = arguments.scenario;
    scenario.seed = seed;
    auto report = run(scenario, identities);
    if (arguments.check == Arguments::Check::twice &&
        run(scenario, identities).trace != report.trace)
        report.violations.emplace_back("the same seed gave two different runs");
    for (auto const& violation : report.violations)
        std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), violation.c_str());
    if (!report.violations.empty())
        std::printf("seed %llu FAILED, trace %016llx; again: sim_swarm --seed %llu%s\n",
                    static_cast<unsigned long long>(seed),
                    static_cast<unsigned long long>(report.trace),
                    static_cast<unsigned long long>(seed), arguments.again.c_str());
    total.trace = total.trace * 31 + report.trace;
    total.simulated += report.simulated;
    total.steps += report.steps;
    total.seals += report.seals;
    total.messages_heard += report.messages_heard;
    total.ends += report.ends;
    total.crashes_in_writes += report.crashes_in_writes;
    total.cuts += report.cuts;
    total.breaks += report.breaks;
    total.joins_refused += report.joins_refused;
    total.hostile_dials += report.hostile_dials;
    total.replays += report.replays;
    total.removals += report.removals;
    total.heap_bytes = report.heap_bytes;
    total.connection_ends = report.connection_ends;
    return report.violations.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
#ifdef KITH_SABOTAGE
    if (char const* names = std::getenv("KITH_SABOTAGE")) base::sabotage_arm(names);
#endif
    auto const arguments = parse(argc, argv);
    Identities identities;
    (void)identities.at(arguments.scenario.machines_count);  // made before the time is taken
    auto const began = std::chrono::steady_clock::now();
    Report total;
    int failed = 0;
    for (auto seed = arguments.first; seed <= arguments.last; ++seed)
        failed += run_seed(arguments, seed, identities, total);
    auto const wall =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    auto const simulated = std::chrono::duration<double>(total.simulated).count();
    auto const count = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf(
        "%llu seeds, %d failed; %.0f s simulated in %.1f s (%.0f times real time), %llu steps\n"
        "%llu messages sealed, %llu heard by features; %llu machines ended, %llu in a write, "
        "%llu cuts, %llu connections broken, %llu joins refused\n"
        "hostile: %llu dials, %llu replays; %llu members removed; trace %016llx; %.0f MiB, at the "
        "last end %.0f KiB of heap and %llu ends of connections\n",
        count(arguments.last - arguments.first + 1), failed, simulated, wall, simulated / wall,
        count(total.steps), count(total.seals), count(total.messages_heard), count(total.ends),
        count(total.crashes_in_writes), count(total.cuts), count(total.breaks),
        count(total.joins_refused), count(total.hostile_dials), count(total.replays),
        count(total.removals), count(total.trace), kilobytes_resident() / 1024,
        static_cast<double>(total.heap_bytes) / 1024, count(total.connection_ends));
    return failed == 0 ? 0 : 1;
}
