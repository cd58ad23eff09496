#include "infer/arch/architecture.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "infer/stage_test_support.h"
#include "infer/synth.h"

namespace kith::infer {
namespace {

void check_all_ways(SynthShape const& shape) {
    auto const file = synthesise(shape);
    REQUIRE(file.has_value());
    auto const model = load(*file);
    auto const whole = run(model, {}, 100);
    CHECK(std::ranges::all_of(whole, [](float x) { return std::isfinite(x); }));
    CHECK(whole == run(model, {1, 2}, 100));
    CHECK(whole == run(model, {}, 1));
    CHECK(whole == run(model, {1, 2}, 5));
    CHECK(whole == run(model, {2}, 7, {.threads = 3}));
    CHECK(whole == run(model, {1}, 7, {.threads = 2, .repack = Repack::off}));
    CHECK(whole == run(model, {1}, 19, {.isa = Isa::portable}));
    if (find_kernels(Isa::avx2) != nullptr) CHECK(whole == run(model, {}, 19, {.isa = Isa::avx2}));
}

TEST_CASE(
    "S76: the same for every architecture, with windows, experts, caps and heads of any size") {
    for (auto const* const traits : all_architectures())
        for (auto const type : {TensorType::f16, TensorType::q4_k}) {
            CAPTURE(traits->name);
            CAPTURE(type_traits(type).name);
            check_all_ways({.architecture = traits->architecture,
                            .type = type,
                            .layers_count = 3,
                            .head_size = 128,
                            .window = 7});
        }
}

TEST_CASE("S76: the same for every way to scale positions") {
    for (auto const rope :
         {SynthRope::linear, SynthRope::yarn, SynthRope::divisors, SynthRope::longrope})
        for (std::size_t const context : {64U, 256U}) {  // longrope: 19 positions are long in 64
            CAPTURE(static_cast<int>(rope));
            check_all_ways({.architecture = Architecture::phi3,
                            .layers_count = 3,
                            .rope = rope,
                            .context_length = context});
        }
}

// The hidden rows of some tokens, `batch` at a time.
std::vector<float> rows_of(ModelPtr const& model, std::vector<TokenId> const& tokens,
                           std::size_t batch, StageOptions options = {}) {
    auto const& h = model->hparams();
    auto stage = make_stage(model, options);
    auto cache = make_cache(*model, {0, h.layers_count}, tokens.size());
    std::vector<float> out(tokens.size() * h.hidden_size);
    REQUIRE(stage.embed(tokens, out).has_value());
    for (std::size_t at = 0; at < tokens.size(); at += batch) {
        auto const count = std::min(batch, tokens.size() - at);
        auto const rows = std::span(out).subspan(at * h.hidden_size, count * h.hidden_size);
        REQUIRE(stage.forward(cache, rows, at, cache.layers()).has_value());
    }
    return out;
}

TEST_CASE("S76: windows that end inside blocks of attention give the same bits for any batch") {
    for (auto const architecture :
         {Architecture::gemma2, Architecture::gemma3, Architecture::phi3}) {
        CAPTURE(architecture_name(architecture));
        auto const file =
            synthesise(SynthShape{.architecture = architecture, .layers_count = 2, .window = 70});
        auto const model = load(*file);
        auto const tokens = some_tokens(220);
        auto const whole = rows_of(model, tokens, 220);
        CHECK(whole == rows_of(model, tokens, 1));
        CHECK(whole == rows_of(model, tokens, 37, {.threads = 3}));
        CHECK(whole == rows_of(model, tokens, 50, {.isa = Isa::portable}));
    }
}

TEST_CASE("a window shows its last positions and no other") {
    auto const file =
        synthesise(SynthShape{.architecture = Architecture::phi3, .layers_count = 1, .window = 7});
    auto const model = load(*file);
    auto const width = model->hparams().hidden_size;
    auto tokens = some_tokens(9);
    auto const before = rows_of(model, tokens, 9);
    tokens[0] += 1;
    auto const after = rows_of(model, tokens, 9);
    auto const same_row = [&](std::size_t row) {
        return std::equal(&before[row * width], &before[row * width] + width, &after[row * width]);
    };
    for (std::size_t row = 0; row < 7; ++row) CHECK_FALSE(same_row(row));
    CHECK(same_row(7));
    CHECK(same_row(8));
}

TEST_CASE("which layers have a window") {
    Hparams h;
    CHECK_FALSE(h.has_window(0));
    h.window = 8;
    CHECK(h.has_window(0));
    CHECK(h.has_window(5));
    h.window_period = 2;  // Gemma 2
    CHECK(h.has_window(0));
    CHECK_FALSE(h.has_window(1));
    h.window_period = 6;  // Gemma 3
    CHECK(h.has_window(4));
    CHECK_FALSE(h.has_window(5));
    CHECK(h.has_window(6));
}

TEST_CASE("experts that no token chooses are not read") {
    SynthShape const shape{
        .architecture = Architecture::qwen3moe, .type = TensorType::q8_0, .layers_count = 1};
    auto const file = synthesise(shape);
    auto const expected = rows_of(load(*file), {17}, 1);
    auto const parsed = Gguf::parse(*file);
    auto const data = parsed->find_tensor("blk.0.ffn_up_exps.weight")->data;
    auto const offset = static_cast<std::size_t>(data.data() - file->data());
    auto const expert_bytes = data.size() / shape.experts_count;
    std::size_t read = 0;
    for (std::size_t expert = 0; expert < shape.experts_count; ++expert) {
        auto damaged = *file;  // all scales of one expert are NaN
        std::memset(&damaged[offset + expert * expert_bytes], 0xff, expert_bytes);
        auto const model = load(damaged);
        auto stage = make_stage(model);
        auto cache = make_cache(*model, {0, 1}, 1);
        std::vector<float> row(shape.hidden_size);
        REQUIRE(stage.embed(std::vector<TokenId>{17}, row).has_value());
        if (!stage.forward(cache, row, 0, {0, 1}) || row != expected) ++read;
    }
    CHECK(read == shape.experts_used);
}

TEST_CASE("the caps of Gemma 2 hold for every logit") {
    auto const file = synthesise(SynthShape{.architecture = Architecture::gemma2});
    for (float const logit : run(load(*file), {}, 19)) CHECK(std::fabs(logit) <= 3.0F);
}

}  // namespace
}  // namespace kith::infer
