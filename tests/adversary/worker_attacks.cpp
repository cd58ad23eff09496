// What a model whose file takes over, or crashes, the process that reads it can do to the node.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "swarm_bench.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

// A worker program whose first stage only has the flaw.
struct FlawedOnce {
    base::TemporaryFolder folder;
    engine::WorkerProgram program;

    FlawedOnce(engine::WorkerProgram const& worker, std::string const& flaw) : program(worker) {
        program.path = (folder.path() / "worker").string();
        std::ofstream(program.path)
            << "#!/bin/sh\ncase \"$*\" in *stage*) ;; *) exec '" << worker.path
            << "' \"$@\" ;; esac\nif /bin/mkdir '" << (folder.path() / "once").string()
            << "'; then KITH_SABOTAGE=\"$KITH_SABOTAGE," << flaw
            << "\"; export KITH_SABOTAGE; fi 2>/dev/null\nexec '" << worker.path << "' \"$@\"\n";
        std::filesystem::permissions(program.path, std::filesystem::perms::owner_all);
    }
};

engine::WorkerProgram with_flaw(engine::WorkerProgram program, std::string const& flaw) {
    if (program.environment.empty()) program.environment.emplace_back("KITH_SABOTAGE=none");
    program.environment.back() += "," + flaw;
    return program;
}

std::ptrdiff_t lines_with(Machine const& machine, std::string const& text) {
    return std::ranges::count_if(
        machine.log, [&](auto const& line) { return line.find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("S87: a model worker that crashes is the error of one question, not of the node") {
    SwarmBench bench;
    FlawedOnce const flawed(bench.worker, "flaw.crash_forward");
    bench.worker = flawed.program;
    auto& asker = bench.add_operator();
    bench.add_model(asker);
    auto const failed = bench.ask(asker, "hello");
    REQUIRE(failed.error.has_value());
    CHECK(failed.error->code == base::Code::unavailable);
    CHECK(failed.error->message.find("signal 11") != std::string::npos);
    CHECK(lines_with(asker, "the model worker crashed") == 1);
    auto const answered = bench.ask(asker, "hello");
    CHECK(answered.finished.has_value());
}

TEST_CASE("S87: a node whose kernel has no landlock says so, once for all models") {
    SwarmBench bench;
    bench.worker = with_flaw(bench.worker, "flaw.no_landlock");
    auto& op = bench.add_operator();
    bench.add_model(op);
    bench.add_model(op);
    CHECK(lines_with(op, "no landlock") == 1);
}

TEST_CASE("S87: a worker that crashes at a member is the error of the one who asked") {
    SwarmBench bench;
    auto& asker = bench.add_operator();
    bench.worker = with_flaw(bench.worker, "flaw.crash_forward");
    auto& remote = bench.add_member(asker);
    bench.add_model(asker);
    REQUIRE(bench.fetch(remote, {}).has_value());
    REQUIRE(bench.drop(asker, {1, 2, 3, 4}).has_value());
    auto const failed = bench.ask(asker, "hello");
    REQUIRE(failed.error.has_value());
    CHECK(failed.error->message.find("signal 11") != std::string::npos);
    CHECK(lines_with(remote, "the model worker crashed") == 1);
    CHECK(lines_with(asker, "the model worker crashed") == 0);
    CHECK_FALSE(remote.ask->models().at(0).shards_local.empty());
    CHECK(remote.ask->kv_bytes() == 0);
}

TEST_CASE("S87: a model whose workers crash again and again is not started in a hot loop") {
    SwarmBench bench;
    bench.worker = with_flaw(bench.worker, "flaw.crash_forward");
    auto& asker = bench.add_operator();
    bench.add_model(asker);
    for (int i = 0; i < 5; ++i) CHECK(bench.ask(asker, "hello").error.has_value());
    CHECK(lines_with(asker, "crashed") == 2);
    bench.run_for(2s);
    CHECK(bench.ask(asker, "hello").error.has_value());
    CHECK(lines_with(asker, "crashed") == 3);
}

TEST_CASE(
    "S87: a model whose worker does not come up is said not to be used, and the node goes on") {
    SwarmBench bench;
    bench.worker.path = "/bin/false";
    auto& asker = bench.add_operator();
    auto const added = bench.try_add_model(asker);
    CHECK(base::code_of(added) == base::Code::internal);
    CHECK(asker.ask->models().empty());
    CHECK(bench.ask(asker, "hello").error.has_value());
}

TEST_CASE("S87: a worker that speaks of another model than the manifest does gets no question") {
    SwarmBench bench;
    bench.worker = with_flaw(bench.worker, "flaw.lie_context");
    auto& op = bench.add_operator();
    CHECK(base::code_of(bench.try_add_model(op)) == base::Code::corrupt);
}
