// A stage in a confined process: the bits of infer::Stage, and what a worker in hostile hands can
// do to the node.
#include "engine/stage_process.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "engine/words_message.h"
#include "engine/worker_error.h"
#include "engine/worker_test_support.h"
#include "infer/gguf.h"
#include "infer/model_tool.h"

namespace kith::engine {
namespace {

using base::Code;
using base::code_of;
using infer::LayerRange;
using infer::TokenId;

constexpr std::size_t positions = 600;

std::vector<TokenId> some_tokens(std::size_t count) {
    std::vector<TokenId> out;
    for (std::size_t i = 0; i < count; ++i)
        out.push_back(static_cast<TokenId>((i * 37 + 11) % 200));
    return out;
}

struct Clock final : ports::Clock {
    base::Instant time{};
    [[nodiscard]] base::Instant now() const override { return time; }
    [[nodiscard]] base::UnixTime unix_now() const override { return base::UnixTime{0}; }
};

// A model file, and a stage of it in a worker.
struct Bench {
    base::TemporaryFolder folder;
    std::string path = (folder.path() / "tiny.gguf").string();
    std::optional<StageProcess> stage;
    LayerRange all;
    std::size_t width = 0;

    explicit Bench(std::string const& flaw = "none", StageProcessOptions const& options = {},
                   std::string const& program = ENGINE_WORKER) {
        auto made = make(flaw, options, program);
        if (!made) FAIL(made.error().message);
        stage.emplace(*std::move(made));
        all = {0, stage->model().layers_count};
        width = stage->model().hidden_size;
    }
    base::Result<StageProcess> make(std::string const& flaw,
                                    StageProcessOptions const& options = {},
                                    std::string const& program = ENGINE_WORKER) {
        REQUIRE(infer::model_synth({.path = path, .shape = {.context_length = 1024}}));
        std::vector<infer::RegularFile> files;
        files.push_back(infer::open_regular(path).value());
        return StageProcess::create(worker(flaw, program), std::move(files), options);
    }
    std::vector<float> embedded(std::vector<TokenId> const& tokens) {
        std::vector<float> rows(tokens.size() * width);
        REQUIRE(stage->run({.tokens = tokens, .hidden = rows}));
        return rows;
    }
    // The status of the embedding of one token.
    base::Status embed_one() {
        std::vector<float> row(width);
        return stage->run({.tokens = some_tokens(1), .hidden = row});
    }
    base::Status forward(SequenceId sequence, std::span<float> rows, std::size_t position = 0,
                         std::atomic<bool> const* cancel = nullptr) {
        return stage->run(
            {.sequence = sequence, .position = position, .layers = all, .hidden = rows}, cancel);
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
    auto const tokens = some_tokens(border_rows_max);
    auto rows = bench.embedded(tokens);
    std::vector<float> expected(rows.size());
    REQUIRE(reference.stage.embed(tokens, expected));
    CHECK(rows == expected);
    auto const sequence = bench.sequence();
    REQUIRE(bench.forward(sequence, rows));
    REQUIRE(reference.stage.forward(reference.cache, expected, 0, bench.all));
    CHECK(rows == expected);
    auto more = bench.embedded({1, 2, 3});  // behind it
    auto expected_more = more;
    REQUIRE(bench.forward(sequence, more, border_rows_max));
    REQUIRE(reference.stage.forward(reference.cache, expected_more, border_rows_max, bench.all));
    CHECK(more == expected_more);
}

TEST_CASE("one crossing gives the bits of embedding, layers and head one after the other") {
    Bench bench;
    Reference reference(bench.path);
    auto const sequence = bench.sequence();
    auto const tokens = some_tokens(5);
    std::vector<float> rows(tokens.size() * bench.width);
    auto expected = rows;
    REQUIRE(bench.stage->run(
        {.sequence = sequence, .layers = bench.all, .tokens = tokens, .hidden = rows}));
    REQUIRE(reference.stage.embed(tokens, expected));
    REQUIRE(reference.stage.forward(reference.cache, expected, 0, bench.all));
    CHECK(rows == expected);

    std::vector<float> logits(bench.stage->model().vocabulary_size);
    auto expected_logits = logits;
    REQUIRE(bench.stage->run({.hidden = std::span(rows).last(bench.width), .logits = logits}));
    REQUIRE(reference.stage.logits(std::span(expected).last(bench.width), expected_logits));
    CHECK(logits == expected_logits);

    std::vector<TokenId> const next{7};
    std::vector<float> row(bench.width);
    REQUIRE(bench.stage->run({.sequence = sequence,
                              .position = tokens.size(),
                              .layers = bench.all,
                              .tokens = next,
                              .hidden = row,
                              .logits = logits}));
    REQUIRE(reference.stage.embed(next, row));
    REQUIRE(reference.stage.forward(reference.cache, row, tokens.size(), bench.all));
    REQUIRE(reference.stage.logits(row, expected_logits));
    CHECK(logits == expected_logits);
}

TEST_CASE("a run whose sizes do not fit, or whose rows are no numbers, does not reach the worker") {
    Bench bench;
    auto const tokens = some_tokens(2);
    std::vector<float> rows(3 * bench.width);
    std::vector<float> logits(bench.stage->model().vocabulary_size + 1);
    auto const one = std::span(rows).first(bench.width);
    CHECK(code_of(bench.stage->run({.tokens = tokens, .hidden = rows})) == Code::invalid);
    CHECK(code_of(bench.stage->run({.hidden = one, .logits = logits})) == Code::invalid);
    CHECK(code_of(bench.stage->run({})) == Code::invalid);
    std::vector<float> many((border_rows_max + 1) * bench.width);
    CHECK(code_of(bench.stage->run({.hidden = many})) == Code::too_large);
    rows[1] = std::numeric_limits<float>::quiet_NaN();
    CHECK(code_of(bench.stage->run({.hidden = one})) == Code::invalid);
    CHECK(bench.sequence().worker == 1);  // the first worker still
}

TEST_CASE("the pause between workers doubles from the second end in a row on, up to a minute") {
    CHECK(restart_pause(1) == base::Duration(0));
    CHECK(restart_pause(2) == std::chrono::seconds(1));
    CHECK(restart_pause(4) == std::chrono::seconds(4));
    CHECK(restart_pause(100) == restart_pause_max);
}

TEST_CASE("S87: workers that end one after the other are not started in a hot loop") {
    Clock clock;
    std::vector<std::string> said;
    Bench bench("flaw.lie_code",
                {.clock = &clock, .on_loss = [&](auto const& line) { said.push_back(line); }});
    auto const embed = [&] { return bench.embed_one(); };
    CHECK(code_of(embed()) == Code::unavailable);
    CHECK(code_of(embed()) == Code::unavailable);  // the first end costs no pause
    CHECK(said.size() == 2);
    auto const refused = embed();
    CHECK(code_of(refused) == Code::unavailable);
    REQUIRE(said.size() == 2);  // no third one was started
    CHECK(refused.error().message.find("2 times in a row") != std::string::npos);
    clock.time += restart_pause(2);
    CHECK(code_of(embed()) == Code::unavailable);
    CHECK(said.size() == 3);
    clock.time += restart_pause(3) - base::Duration(1);
    CHECK(code_of(embed()) == Code::unavailable);
    CHECK(said.size() == 3);
    clock.time += base::Duration(1);
    CHECK(code_of(embed()) == Code::unavailable);
    CHECK(said.size() == 4);
}

TEST_CASE("S87: workers that hang one after the other are not started in a hot loop either") {
    // What the clock says each time it is asked: a worker begins, answers once and hangs for 90 s.
    struct Scripted final : ports::Clock {
        [[nodiscard]] base::Instant now() const override {
            static constexpr int seconds[] = {0, 0, 90, 90, 90, 90, 180};
            return base::Instant(std::chrono::seconds(seconds[std::min(asked++, 6UZ)]));
        }
        [[nodiscard]] base::UnixTime unix_now() const override { return {}; }
        mutable std::size_t asked = 0;
    };
    Scripted const clock;
    Bench bench("flaw.hang", {.answer_patience = std::chrono::milliseconds(100), .clock = &clock});
    std::vector<float> rows(bench.width, 1);
    for (int i = 0; i < 2; ++i) {
        auto const sequence = bench.stage->make_sequence(bench.all, 4);
        REQUIRE(sequence.has_value());
        CHECK(code_of(bench.forward(*sequence, rows)) == Code::unavailable);
    }
    auto const refused = bench.stage->make_sequence(bench.all, 4);
    REQUIRE(code_of(refused) == Code::unavailable);
    CHECK(refused.error().message.find("2 times in a row; try again in 1 s") != std::string::npos);
}

TEST_CASE("S87: another worker that says something else of the same files is not used") {
    base::TemporaryFolder const folder;
    auto const once = (folder.path() / "once").string();
    auto const program = (folder.path() / "worker").string();
    std::ofstream(program) << "#!/bin/sh\nif /bin/mkdir '" << once << "'; then exec '"
                           << ENGINE_WORKER
                           << "' \"$@\"; fi 2>/dev/null\nKITH_SABOTAGE=\"$KITH_SABOTAGE,"
                           << "flaw.lie_context\" exec '" << ENGINE_WORKER << "' \"$@\"\n";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    Bench bench("flaw.lie_code", {}, program);
    CHECK(code_of(bench.embed_one()) == Code::unavailable);
    CHECK(code_of(bench.embed_one()) == Code::corrupt);
}

TEST_CASE("sequences know nothing of each other, and one that is dropped is gone") {
    Bench bench;
    Reference reference(bench.path);
    auto const first = bench.sequence();
    auto const second = bench.sequence();
    auto a = bench.embedded({5});
    auto b = bench.embedded({9});
    auto expected = b;
    REQUIRE(reference.stage.forward(reference.cache, expected, 0, bench.all));
    auto again = b;
    REQUIRE(bench.forward(first, a));
    REQUIRE(bench.forward(second, b));
    CHECK(b == expected);
    CHECK(code_of(bench.forward(second, again)) == Code::conflict);  // not the next position
    bench.stage->drop(second);
    CHECK(code_of(bench.forward(second, again)) == Code::not_found);
    CHECK(code_of(bench.forward({.worker = 0, .number = 1}, again)) == Code::not_found);
    CHECK(code_of(bench.forward({.worker = first.worker, .number = 77}, again)) == Code::not_found);
}

TEST_CASE("a token that is not in the vocabulary is refused") {
    Bench bench;
    std::vector<float> row(bench.width);
    std::vector<TokenId> const tokens{1 << 30};
    CHECK(code_of(bench.stage->run({.tokens = tokens, .hidden = row})) == Code::invalid);
}

TEST_CASE("S87: a crash in the middle of a forward pass is an error of that call") {
    Bench bench("flaw.crash_forward");
    auto const sequence = bench.sequence();
    auto rows = bench.embedded({1, 2});
    auto const crashed = bench.forward(sequence, rows);
    REQUIRE(code_of(crashed) == Code::unavailable);
    CHECK(crashed.error().message.find("signal 11") != std::string::npos);
    // The next call has a new worker; what the old one knew is gone, and said to be.
    CHECK(code_of(bench.forward(sequence, rows)) == Code::not_found);
    CHECK(bench.embedded({1, 2}).size() == 2 * bench.width);
    CHECK(bench.sequence().worker == sequence.worker + 1);
}

TEST_CASE("S87: numbers that are none do not come out of a worker") {
    Bench bench("flaw.lie_number");
    auto rows = bench.embedded({1, 2});
    CHECK(code_of(bench.forward(bench.sequence(), rows)) == Code::unavailable);
}

TEST_CASE("S87: a worker that speaks of an unknown error is ended") {
    Bench bench("flaw.lie_code");
    CHECK(code_of(bench.embed_one()) == Code::unavailable);
}

TEST_CASE("S87: a worker whose model is impossibly large is refused") {
    Bench bench;
    CHECK(code_of(bench.make("flaw.lie_size")) == Code::internal);
}

TEST_CASE("S87: a worker whose words are impossibly many is refused") {
    Bench bench;
    CHECK(code_of(bench.make("flaw.lie_words")) == Code::internal);
}

TEST_CASE("the words of a model are those of its file, and cost no trust in its worker") {
    Bench bench;
    auto const message = bench.stage->take_words();
    auto const words = decode_words(message).value().value();
    auto const mapped = infer::MappedFile::open(bench.path).value();
    CHECK(words.tokens ==
          infer::read_words(infer::Gguf::parse(mapped.bytes()).value()).value().tokens);
    CHECK(bench.stage->take_words().empty());  // once
    auto other = bench.make("flaw.garble_words").value();
    CHECK(code_of(decode_words(other.take_words())) == Code::internal);
}

TEST_CASE("a worker stops between layers when it is told to, and goes on afterwards") {
    Bench bench("flaw.await_cancel");
    auto const sequence = bench.sequence();
    auto rows = bench.embedded({1, 2});
    std::atomic<bool> cancel = false;
    std::thread other([&cancel] { cancel = true; });
    CHECK(code_of(bench.forward(sequence, rows, 0, &cancel)) == Code::cancelled);
    other.join();
    CHECK(bench.embedded({1, 2}).size() == 2 * bench.width);  // the same worker
    CHECK(bench.sequence().worker == sequence.worker);
}

TEST_CASE("a worker that does not stop is ended") {
    Bench bench("flaw.hang", {.cancel_patience = std::chrono::milliseconds(20)});
    auto rows = bench.embedded({1});
    std::atomic<bool> const cancel = true;
    CHECK(code_of(bench.forward(bench.sequence(), rows, 0, &cancel)) == Code::unavailable);
}

TEST_CASE("a worker that answers never is ended") {
    Bench bench("flaw.hang", {.answer_patience = std::chrono::milliseconds(100)});
    auto rows = bench.embedded({1});
    CHECK(code_of(bench.forward(bench.sequence(), rows)) == Code::unavailable);
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
    facts.kv_size = 8;
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
