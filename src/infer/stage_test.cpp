#include "infer/stage.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "infer/gguf_writer.h"
#include "infer/stage_test_support.h"
#include "infer/synth.h"

namespace kith::infer {
namespace {

using base::Bytes;
using base::Code;

TEST_CASE("S76: any cut, batch size, thread count and instruction set gives the same bits") {
    for (auto const architecture : {Architecture::llama, Architecture::qwen2})
        for (auto const type :
             {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0,
              TensorType::q4_0, TensorType::q4_k, TensorType::q6_k, TensorType::q5_0,
              TensorType::iq4_nl, TensorType::q3_k, TensorType::q4_1, TensorType::q5_1,
              TensorType::q5_k, TensorType::q2_k}) {
            CAPTURE(architecture_name(architecture));
            CAPTURE(type_traits(type).name);
            auto const file = synthesise(
                SynthShape{.architecture = architecture, .type = type, .layers_count = 3});
            REQUIRE(file.has_value());
            auto const model = load(*file);
            auto const whole = run(model, {}, 100);
            CHECK(std::ranges::all_of(whole, [](float x) { return std::isfinite(x); }));
            CHECK(whole == run(model, {1}, 100));
            CHECK(whole == run(model, {2}, 100));
            CHECK(whole == run(model, {1, 2}, 100));
            CHECK(whole == run(model, {}, 1));
            CHECK(whole == run(model, {1, 2}, 5));
            CHECK(whole == run(model, {}, 7, {.threads = 3}));
            CHECK(whole == run(model, {1}, 7, {.threads = 2, .repack = Repack::off}));
            if (type == TensorType::q8_0 || type == TensorType::q4_k || type == TensorType::f16) {
                CHECK(whole == run(model, {1}, 19, {.isa = Isa::portable}));
                if (find_kernels(Isa::avx2) != nullptr)
                    CHECK(whole == run(model, {}, 19, {.isa = Isa::avx2}));
            }
        }
}

TEST_CASE("S76: how far packing has come changes no bit") {
    auto const file = synthesise(SynthShape{.type = TensorType::q4_k, .layers_count = 3});
    auto const model = load(*file);
    auto stage = make_stage(model);
    auto const logits = [&] {
        auto cache = make_cache(*model, {0, 3}, 5);
        std::vector<float> hidden(5 * model->hparams().hidden_size);
        REQUIRE(stage.embed(some_tokens(5), hidden).has_value());
        REQUIRE(stage.forward(cache, hidden, 0, {0, 3}).has_value());
        std::vector<float> out(model->hparams().vocabulary_size);
        auto const row = std::span(hidden).last(model->hparams().hidden_size);
        REQUIRE(stage.logits(row, out).has_value());
        return out;
    };
    auto const during = logits();
    while (stage.packing()) std::this_thread::yield();
    CHECK(during == logits());
}

TEST_CASE("a stage that is dropped while it packs is gone at once, and its model serves another") {
    auto const file = synthesise(SynthShape{.type = TensorType::q8_0, .layers_count = 3});
    auto const model = load(*file);
    auto const whole = run(model, {}, 19);
    for (int i = 0; i < 10; ++i) (void)make_stage(model);
    CHECK(whole == run(model, {1}, 19));
}

TEST_CASE("a mapped file reads the same after its pages were given back") {
    auto const file = synthesise(SynthShape{.type = TensorType::q8_0, .layers_count = 2});
    std::string const path = "packed_test_" + std::to_string(::getpid()) + ".gguf";
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<char const*>(file->data()),
               static_cast<std::streamsize>(file->size()));
    auto const loaded = Model::load_path(path);
    std::filesystem::remove(path);
    REQUIRE(loaded.has_value());
    auto const whole = run(load(*file), {}, 19);
    auto stage = make_stage(*loaded);
    while (stage.packing()) std::this_thread::yield();
    for (auto const* const matrix : (*loaded)->multiplied_matrices()) (*loaded)->give_back(*matrix);
    CHECK(whole == run(*loaded, {}, 19));
}

TEST_CASE("more tokens than one micro-batch give the same bits as one by one") {
    auto const file = synthesise(SynthShape{.type = TensorType::q4_0, .layers_count = 2});
    auto const model = load(*file);
    auto const tokens = some_tokens(micro_batch_tokens + 9);
    auto stage = make_stage(model, {.threads = 2});
    auto const width = model->hparams().hidden_size;
    auto together = make_cache(*model, {0, 2}, tokens.size());
    std::vector<float> hidden(tokens.size() * width);
    REQUIRE(stage.embed(tokens, hidden).has_value());
    REQUIRE(stage.forward(together, hidden, 0, {0, 2}).has_value());
    CHECK(together.length() == tokens.size());
    auto single = make_cache(*model, {0, 2}, tokens.size());
    std::vector<float> row(width);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        REQUIRE(stage.embed(std::span(tokens).subspan(i, 1), row).has_value());
        REQUIRE(stage.forward(single, row, i, {0, 2}).has_value());
        REQUIRE(std::equal(row.begin(), row.end(), &hidden[i * width]));
    }
}

TEST_CASE("S76: sequences decoded together get the bits they get alone") {
    for (auto const type : {TensorType::f16, TensorType::q8_0, TensorType::q4_k}) {
        CAPTURE(type_traits(type).name);
        auto const file = synthesise(SynthShape{.type = type, .layers_count = 2});
        auto const model = load(*file);
        auto const width = model->hparams().hidden_size;
        auto const vocabulary = model->hparams().vocabulary_size;
        auto stage = make_stage(model, {.threads = 2});
        std::size_t const sequences = 11;
        std::vector<KvCache> alone;
        std::vector<KvCache> together;
        for (std::size_t i = 0; i < sequences; ++i) {
            alone.push_back(make_cache(*model, {0, 2}, 100));
            together.push_back(make_cache(*model, {0, 2}, 100));
            std::vector<float> hidden(7 * i * width);  // prompts of different lengths
            if (i == 0) continue;
            REQUIRE(stage.embed(some_tokens(7 * i), hidden).has_value());
            auto copy = hidden;
            REQUIRE(stage.forward(alone[i], copy, 0, {0, 2}).has_value());
            REQUIRE(stage.forward(together[i], hidden, 0, {0, 2}).has_value());
        }
        std::vector<float> rows(sequences * width);
        REQUIRE(stage.embed(some_tokens(sequences), rows).has_value());
        auto expected = rows;
        std::vector<Stage::Step> steps;
        std::vector<float> logits_alone(sequences * vocabulary);
        for (std::size_t i = 0; i < sequences; ++i) {
            auto const row = std::span(expected).subspan(i * width, width);
            REQUIRE(stage.forward(alone[i], row, 7 * i, {0, 2}).has_value());
            auto const out = std::span(logits_alone).subspan(i * vocabulary, vocabulary);
            REQUIRE(stage.logits(row, out).has_value());
            steps.push_back({.cache = &together[i],
                             .position = 7 * i,
                             .hidden = std::span(rows).subspan(i * width, width)});
        }
        for (auto const& result : stage.forward_many(steps, {0, 2})) CHECK(result.has_value());
        CHECK(rows == expected);
        std::vector<float> logits(sequences * vocabulary);
        REQUIRE(stage.logits(rows, logits).has_value());
        CHECK(logits == logits_alone);
    }
}

TEST_CASE("S75: one bad sequence of a batch is refused and does not disturb the others") {
    auto const file = synthesise(SynthShape{});
    auto const model = load(*file);
    auto const width = model->hparams().hidden_size;
    auto stage = make_stage(model);
    auto good = make_cache(*model, {0, 2}, micro_batch_tokens + 4);
    auto other = make_cache(*model, {0, 2}, micro_batch_tokens + 4);
    auto alone = make_cache(*model, {0, 2}, 4);
    std::vector<float> row(width, 0.25F);
    auto expected = row;
    REQUIRE(stage.forward(alone, expected, 0, {0, 2}).has_value());
    std::vector<float> bad(width, std::numeric_limits<float>::quiet_NaN());
    std::vector<float> second(width, 0.5F);
    std::vector<float> full((micro_batch_tokens - 1) * width, 0.125F);
    std::vector<float> many(micro_batch_tokens * width, 0.125F);
    Stage::Step const steps[] = {
        {.cache = &other, .position = 0, .hidden = bad},
        {.cache = &good, .position = 0, .hidden = row},
        {.cache = &good, .position = 1, .hidden = second},  // in the batch already
        {.cache = &other, .position = 3, .hidden = second},
        {.cache = &other, .position = 0, .hidden = many},  // one row too many
        {.cache = &other, .position = 0, .hidden = full},
    };
    auto const results = stage.forward_many(steps, {0, 2});
    REQUIRE(results.size() == 6);
    CHECK(results[0].error().code == Code::invalid);
    CHECK(results[1].has_value());
    CHECK(results[2].error().code == Code::conflict);
    CHECK(results[3].error().code == Code::conflict);
    CHECK(results[4].error().code == Code::too_large);
    CHECK(results[5].has_value());
    CHECK(row == expected);
    CHECK(good.length() == 1);
    CHECK(other.length() == micro_batch_tokens - 1);
    CHECK(second == std::vector<float>(width, 0.5F));
    CHECK(stage.forward_many({}, {0, 2}).empty());
}

TEST_CASE("a tied head uses the embedding's rows") {
    auto const file = synthesise(SynthShape{.head = SynthHead::tied});
    auto const model = load(*file);
    CHECK(model->has_head());
    CHECK(run(model, {}, 19).size() == 512);
}

TEST_CASE("a cache truncated to a prefix continues as if the rest had never been") {
    auto const file = synthesise(SynthShape{});
    auto const model = load(*file);
    auto const width = model->hparams().hidden_size;
    auto stage = make_stage(model);
    auto cache = make_cache(*model, {0, 2}, 16);
    auto const bytes = cache.bytes();
    auto const tokens = some_tokens(8);
    std::vector<float> hidden(8 * width);
    REQUIRE(stage.embed(tokens, hidden).has_value());
    auto first = hidden;
    REQUIRE(stage.forward(cache, first, 0, {0, 2}).has_value());
    cache.truncate(5);
    CHECK(cache.length() == 5);
    auto rest =
        std::vector<float>(hidden.begin() + static_cast<std::ptrdiff_t>(5 * width), hidden.end());
    REQUIRE(stage.forward(cache, rest, 5, {0, 2}).has_value());
    CHECK(std::equal(rest.begin(), rest.end(), &first[5 * width]));
    CHECK(cache.bytes() == bytes);
    CHECK(bytes ==
          2 * 64 * 128 * 2 * 2);  // layers, positions (rounded up), kv width, k and v, two bytes
}

TEST_CASE("S75: what a peer may send wrong is refused and changes nothing") {
    auto const file = synthesise(SynthShape{});
    auto const model = load(*file);
    auto const width = model->hparams().hidden_size;
    auto stage = make_stage(model);
    auto cache = make_cache(*model, {0, 2}, 4);
    std::vector<float> hidden(2 * width, 0.5F);
    auto const code = [&](std::size_t rows_floats, std::size_t position, LayerRange range) {
        hidden.resize(rows_floats);
        return stage.forward(cache, hidden, position, range).error().code;
    };
    CHECK(code(0, 0, {0, 2}) == Code::invalid);
    CHECK(code(width - 1, 0, {0, 2}) == Code::invalid);
    CHECK(code(width, 1, {0, 2}) == Code::conflict);  // a gap
    CHECK(code(5 * width, 0, {0, 2}) == Code::too_large);
    CHECK(code(width, std::numeric_limits<std::size_t>::max(), {0, 2}) == Code::too_large);
    CHECK(code(width, 0, {0, 3}) == Code::invalid);
    CHECK(code(width, 0, {1, 1}) == Code::invalid);
    CHECK(code(width, 0, {2, 1}) == Code::invalid);
    for (float const bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
        hidden.assign(2 * width, 0.5F);
        hidden[width + 3] = bad;
        CHECK(stage.forward(cache, hidden, 0, {0, 2}).error().code == Code::invalid);
    }
    CHECK(cache.length() == 0);
    hidden.assign(width, 1e38F);  // finite, but its squares are not: survived, whatever the result
    (void)stage.forward(cache, hidden, 0, {0, 2});
    std::vector<float> logits(model->hparams().vocabulary_size);
    CHECK(stage.logits(std::span(hidden).first(width - 1), logits).error().code == Code::invalid);
    std::vector<TokenId> const bad_tokens[] = {
        {-1}, {512}, {std::numeric_limits<TokenId>::max()}, {}};
    hidden.assign(width, 0);
    for (auto const& tokens : bad_tokens)
        CHECK(stage.embed(tokens, hidden).error().code == Code::invalid);
}

TEST_CASE("cancellation stops between layers, and truncate brings the cache back") {
    auto const file = synthesise(SynthShape{});
    auto const model = load(*file);
    auto stage = make_stage(model);
    auto cache = make_cache(*model, {0, 2}, 4);
    std::vector<float> hidden(model->hparams().hidden_size, 0.25F);
    std::atomic<bool> const cancel{true};
    CHECK(stage.forward(cache, hidden, 0, {0, 2}, &cancel).error().code == Code::cancelled);
    cache.truncate(0);
    CHECK(stage.forward(cache, hidden, 0, {0, 2}).has_value());
}

TEST_CASE("sizes of caches and thread counts are limited") {
    auto const file = synthesise(SynthShape{.context_length = 64});
    auto const model = load(*file);
    auto const create = [&](LayerRange range, std::size_t positions) {
        return KvCache::create(model->hparams(), range, positions);
    };
    CHECK(create({0, 2}, 64).has_value());
    CHECK(create({0, 2}, 65).error().code == Code::invalid);
    CHECK(create({0, 2}, 0).error().code == Code::invalid);
    CHECK(create({1, 1}, 4).error().code == Code::invalid);
    CHECK(create({1, 3}, 4).error().code == Code::invalid);
    Hparams large = model->hparams();
    large.context_length = context_length_max;
    large.kv_heads_count = 4 * large.kv_heads_count;
    CHECK(KvCache::create(large, {0, 2}, context_length_max).error().code == Code::too_large);
    CHECK(Stage::create(model, {.threads = 0}).error().code == Code::invalid);
    CHECK(Stage::create(model, {.threads = threads_count_max + 1}).error().code == Code::invalid);
}

TEST_CASE("a model file with NaN weights gives an error, not an answer") {
    auto file = synthesise(SynthShape{.type = TensorType::f32, .layers_count = 1});
    auto const parsed = Gguf::parse(*file);
    auto const offset = parsed->find_tensor("blk.0.ffn_down.weight")->data.data() - file->data();
    std::memset(&(*file)[static_cast<std::size_t>(offset)], 0xff, 4096);
    auto const model = load(*file);
    auto stage = make_stage(model);
    auto cache = make_cache(*model, {0, 1}, 4);
    std::vector<float> hidden(model->hparams().hidden_size, 0.25F);
    CHECK(stage.forward(cache, hidden, 0, {0, 1}).error().code == Code::invalid);
}

}  // namespace
}  // namespace kith::infer
