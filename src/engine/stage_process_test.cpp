// A stage in a confined process: the bits of infer::Stage, and what a worker in hostile hands can
// do to the node.
#include "engine/stage_process.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <thread>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "engine/worker_error.h"
#include "infer/model_tool.h"

namespace kith::engine {
namespace {

using base::Code;
using base::code_of;
using infer::LayerRange;
using infer::TokenId;

constexpr std::size_t positions = 600;

WorkerProgram worker(std::string const& flaw) {
    char const* const armed = std::getenv("KITH_SABOTAGE");
    return {.path = ENGINE_WORKER,
            .environment = {"KITH_SABOTAGE=" + (armed ? std::string(armed) + "," : std::string()) +
                            flaw}};
}

std::vector<TokenId> some_tokens(std::size_t count) {
    std::vector<TokenId> out;
    for (std::size_t i = 0; i < count; ++i)
        out.push_back(static_cast<TokenId>((i * 37 + 11) % 200));
    return out;
}

// A model file, and a stage of it in a worker.
struct Bench {
    base::TemporaryFolder folder;
    std::string path = (folder.path() / "tiny.gguf").string();
    std::optional<StageProcess> stage;
    LayerRange all;
    std::size_t width = 0;

    explicit Bench(std::string const& flaw = "none", StageProcessOptions options = {}) {
        auto made = make(flaw, options);
        if (!made) FAIL(made.error().message);
        stage.emplace(*std::move(made));
        all = {0, stage->model().layers_count};
        width = stage->model().hidden_size;
    }
    base::Result<StageProcess> make(std::string const& flaw, StageProcessOptions options = {}) {
        REQUIRE(infer::model_synth({.path = path, .shape = {.context_length = 1024}}));
        std::vector<infer::RegularFile> files;
        files.push_back(infer::open_regular(path).value());
        return StageProcess::create(worker(flaw), std::move(files), options);
    }
    std::vector<float> embedded(std::vector<TokenId> const& tokens) {
        std::vector<float> rows(tokens.size() * width);
        REQUIRE(stage->embed(tokens, rows));
        return rows;
    }
    SequenceId sequence() {
        auto made = stage->make_sequence(all, positions);
        if (!made) FAIL(made.error().message);
        return *made;
    }
};

// infer::Stage in this process.
struct Reference {
    std::shared_ptr<infer::Model const> model;
    infer::Stage stage;
    infer::KvCache cache;
    explicit Reference(std::string const& path)
        : model(infer::Model::load_path(path).value()),
          stage(infer::Stage::create(model).value()),
          cache(infer::KvCache::create(model->hparams(), {0, model->hparams().layers_count},
                                       positions)
                    .value()) {}
};

}  // namespace

TEST_CASE("a stage in a worker gives the bits of a stage in this process") {
    Bench bench("none", {.stage = {.threads = 2}});
    Reference reference(bench.path);
    auto const tokens = some_tokens(border_rows_max + 3);  // two exchanges
    auto rows = bench.embedded(tokens);
    std::vector<float> expected(rows.size());
    REQUIRE(reference.stage.embed(tokens, expected));
    CHECK(rows == expected);
    auto const sequence = bench.sequence();
    REQUIRE(bench.stage->forward(sequence, rows, 0, bench.all));
    REQUIRE(reference.stage.forward(reference.cache, expected, 0, bench.all));
    CHECK(rows == expected);

    auto const last = std::span<float const>(rows).last(2 * bench.width);
    std::vector<float> logits(2 * bench.stage->model().vocabulary_size);
    auto expected_logits = logits;
    REQUIRE(bench.stage->logits(last, logits));
    REQUIRE(reference.stage.logits(last, expected_logits));
    CHECK(logits == expected_logits);
}

TEST_CASE("sequences decode together, each with its own result, and are cut and dropped") {
    Bench bench;
    Reference reference(bench.path);
    auto const first = bench.sequence();
    auto const second = bench.sequence();
    auto const other_row = bench.embedded({9});
    auto a = bench.embedded({5});
    auto b = other_row;
    std::vector<float> two_too_far = other_row;
    auto expected = other_row;
    REQUIRE(reference.stage.forward(reference.cache, expected, 0, bench.all));
    StageProcess::Step const steps[] = {
        {.sequence = first, .hidden = a},
        {.sequence = {.worker = first.worker, .number = 77}, .hidden = two_too_far},
        {.sequence = second, .hidden = b},
        {.sequence = {.worker = 0, .number = 1}, .hidden = two_too_far}};
    auto const done = bench.stage->forward_many(steps, bench.all);
    CHECK(done[0]);
    CHECK(code_of(done[1]) == Code::not_found);
    CHECK(done[2]);
    CHECK(code_of(done[3]) == Code::not_found);
    CHECK(b == expected);

    CHECK(code_of(bench.stage->forward(second, b, 0, bench.all)) == Code::conflict);
    REQUIRE(bench.stage->truncate(second, 0));
    b = other_row;
    REQUIRE(bench.stage->forward(second, b, 0, bench.all));
    CHECK(b == expected);
    bench.stage->drop(second);
    CHECK(code_of(bench.stage->truncate(second, 0)) == Code::not_found);
}

TEST_CASE("sizes that do not fit together are refused before the worker hears of them") {
    Bench bench;
    std::vector<float> rows(bench.width + 1);
    auto const sequence = bench.sequence();
    CHECK(code_of(bench.stage->embed(some_tokens(1), rows)) == Code::invalid);
    CHECK(code_of(bench.stage->forward(sequence, rows, 0, bench.all)) == Code::invalid);
    CHECK(code_of(bench.stage->forward(sequence, {}, 0, bench.all)) == Code::invalid);
    CHECK(code_of(bench.stage->logits(rows, rows)) == Code::invalid);
    CHECK(code_of(bench.stage->embed(std::vector<TokenId>{1 << 30},
                                     std::span(rows).first(bench.width))) == Code::invalid);
}

TEST_CASE("S87: a crash in the middle of a forward pass is an error of that call") {
    Bench bench("flaw.crash_forward");
    auto const sequence = bench.sequence();
    auto rows = bench.embedded({1, 2});
    auto const crashed = bench.stage->forward(sequence, rows, 0, bench.all);
    REQUIRE(code_of(crashed) == Code::unavailable);
    CHECK(crashed.error().message.find("signal 11") != std::string::npos);
    // The next call has a new worker; what the old one knew is gone, and said to be.
    CHECK(code_of(bench.stage->truncate(sequence, 0)) == Code::not_found);
    CHECK(bench.embedded({1, 2}).size() == 2 * bench.width);
    CHECK(bench.sequence().worker == sequence.worker + 1);
}

TEST_CASE("S87: numbers that are none do not come out of a worker") {
    Bench bench("flaw.lie_number");
    auto rows = bench.embedded({1, 2});
    CHECK(code_of(bench.stage->forward(bench.sequence(), rows, 0, bench.all)) == Code::unavailable);
}

TEST_CASE("S87: a worker that speaks of an unknown error is ended") {
    Bench bench("flaw.lie_code");
    std::vector<float> rows(bench.width);
    CHECK(code_of(bench.stage->embed(some_tokens(1), rows)) == Code::unavailable);
}

TEST_CASE("S87: a worker whose model is impossibly large is refused") {
    Bench bench;
    CHECK(code_of(bench.make("flaw.lie_size")) == Code::internal);
}

TEST_CASE("a worker stops between layers when it is told to, and goes on afterwards") {
    Bench bench("flaw.await_cancel");
    auto const sequence = bench.sequence();
    auto rows = bench.embedded({1, 2});
    std::atomic<bool> cancel = false;
    std::thread other([&cancel] { cancel = true; });
    CHECK(code_of(bench.stage->forward(sequence, rows, 0, bench.all, &cancel)) == Code::cancelled);
    other.join();
    CHECK(bench.stage->truncate(sequence, 0));
}

TEST_CASE("a worker that does not stop is ended") {
    Bench bench("flaw.hang", {.cancel_patience = std::chrono::milliseconds(20)});
    auto rows = bench.embedded({1});
    std::atomic<bool> const cancel = true;
    CHECK(code_of(bench.stage->forward(bench.sequence(), rows, 0, bench.all, &cancel)) ==
          Code::unavailable);
}

TEST_CASE("a worker that answers never is ended") {
    Bench bench("flaw.hang", {.answer_patience = std::chrono::milliseconds(100)});
    auto rows = bench.embedded({1});
    CHECK(code_of(bench.stage->forward(bench.sequence(), rows, 0, bench.all)) == Code::unavailable);
}

TEST_CASE("facts and starts that are cut anywhere are refused") {
    StageFacts facts;
    facts.model = {.architecture = "llama",
                   .name = "x",
                   .layers_count = 2,
                   .hidden_size = 8,
                   .vocabulary_size = 9,
                   .context_length = 10,
                   .layers = {{0, 2}}};
    auto const bytes = encode(base::Result<StageFacts>(facts));
    REQUIRE(decode_stage_facts(bytes));
    auto const start = encode(StageStart{.file_sizes = {1, 2}});
    REQUIRE(decode_stage_start(start));
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_FALSE(decode_stage_facts(base::ByteView(bytes).first(size)));
    for (std::size_t size = 0; size < start.size(); ++size)
        CHECK_FALSE(decode_stage_start(base::ByteView(start).first(size)));
    facts.model.layers = {{0, 3}};
    CHECK_FALSE(decode_stage_facts(encode(base::Result<StageFacts>(facts))));
}

TEST_CASE("what a worker says is printable") {
    CHECK(plain_text("a\x1b[2J\xc3\xa4", 100) == "a?[2J??");
    CHECK(plain_text("abc", 2) == "ab");
}

}  // namespace kith::engine
