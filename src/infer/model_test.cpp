#include "infer/model.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "infer/gguf_writer.h"
#include "infer/synth.h"

namespace kith::infer {
namespace {

using base::Bytes;

// A model file with one thing changed before it is written.
struct Doctored {
    std::string architecture = {};  // "": that of the shape
    SynthShape shape = {};
    std::string drop = {};  // a tensor's name, as the next two
    std::string add = {};
    std::string retype = {};
    std::string key = {};  // metadata set to `value`
    std::uint32_t value = 0;
    std::vector<float> numbers = {};  // what `add` or `retype` holds instead

    [[nodiscard]] base::Error refusal() const {
        auto one_layer = shape;
        one_layer.layers_count = 1;
        auto const source = synthesise(one_layer);
        REQUIRE(source.has_value());
        auto const file = Gguf::parse(*source);
        GgufWriter writer;
        for (auto const& [name, entry] : file->values())
            if (name != key && name != "general.architecture") writer.add_value(name, entry);
        writer.add_string("general.architecture", architecture.empty()
                                                      ? architecture_name(shape.architecture)
                                                      : architecture);
        if (!key.empty()) writer.add_unsigned(key, value);
        Bytes const floats(4096, 0);
        for (auto const& tensor : file->tensors()) {
            if (tensor.name == drop) continue;
            if (tensor.name == retype && !numbers.empty()) {
                writer.add_tensor(tensor.name, TensorType::f32, {numbers.size()}, number_bytes());
                continue;
            }
            if (tensor.name == retype) {
                writer.add_tensor(tensor.name, TensorType::i8, {1},
                                  base::ByteView(floats).first(1));
                continue;
            }
            writer.add_tensor(tensor.name, tensor.type, tensor.shape, tensor.data);
        }
        if (!add.empty() && !numbers.empty())
            writer.add_tensor(add, TensorType::f32, {numbers.size()}, number_bytes());
        else if (!add.empty())
            writer.add_tensor(add, TensorType::f32, {4}, base::ByteView(floats).first(16));
        auto const bytes = writer.to_bytes();
        auto const model = Model::load_views({bytes});
        REQUIRE_FALSE(model.has_value());
        return model.error();
    }

    [[nodiscard]] base::ByteView number_bytes() const {
        return {reinterpret_cast<std::uint8_t const*>(numbers.data()), 4 * numbers.size()};
    }
};

bool names(base::Error const& error, std::string_view what) {
    CAPTURE(error.message);
    return error.message.find(what) != std::string::npos;
}

TEST_CASE("what the engine cannot compute is refused by name") {
    CHECK(names(Doctored{.architecture = "mamba"}.refusal(), "\"mamba\""));
    CHECK(names(Doctored{.drop = "blk.0.ffn_up.weight"}.refusal(), "blk.0.ffn_up.weight"));
    CHECK(names(Doctored{.drop = "token_embd.weight"}.refusal(), "token_embd.weight"));
    CHECK(names(Doctored{.drop = "output_norm.weight"}.refusal(), "output_norm.weight"));
    CHECK(names(Doctored{.add = "blk.0.attn_q_norm.weight"}.refusal(), "attn_q_norm"));
    CHECK(names(Doctored{.add = "blk.1.attn_q.weight"}.refusal(), "blk.1.attn_q.weight"));
    CHECK(names(Doctored{.retype = "blk.0.attn_k.weight"}.refusal(), "I8"));
    CHECK(names(Doctored{.architecture = "qwen2"}.refusal(), "qwen2.block_count"));
    CHECK(names(Doctored{.key = "llama.expert_count", .value = 8}.refusal(), "experts"));
    CHECK(names(Doctored{.key = "llama.block_count", .value = 2}.refusal(), "blk.1."));
    CHECK(names(Doctored{.key = "llama.block_count", .value = 4000000000}.refusal(), "limit"));
    CHECK(names(Doctored{.key = "llama.block_count", .value = 0}.refusal(), "is 0"));
    CHECK(names(Doctored{.key = "llama.embedding_length", .value = 128}.refusal(), "rope"));
    CHECK(names(Doctored{.key = "llama.attention.head_count", .value = 3}.refusal(), "divide"));
    CHECK(names(Doctored{.key = "llama.attention.head_count_kv", .value = 3}.refusal(), "divide"));
    CHECK(names(Doctored{.key = "llama.rope.dimension_count", .value = 63}.refusal(), "odd"));
    CHECK(names(Doctored{.key = "llama.vocab_size", .value = 5}.refusal(), "vocab_size"));
    CHECK(names(Doctored{.key = "llama.rope.scaling.type", .value = 1}.refusal(), "rope scaling"));
}

TEST_CASE("experts that do not fit their metadata are refused by name") {
    SynthShape const shape{.architecture = Architecture::qwen3moe};
    auto const with = [&shape](char const* key, std::uint32_t value) {
        return Doctored{.shape = shape, .key = key, .value = value}.refusal();
    };
    CHECK(names(with("qwen3moe.expert_count", 0), "expert_count is 0"));
    CHECK(names(with("qwen3moe.expert_count", experts_count_max + 1), "limit"));
    CHECK(names(with("qwen3moe.expert_count", 7), "ffn_gate_inp"));
    CHECK(names(with("qwen3moe.expert_used_count", 0), "expert_used_count is 0"));
    CHECK(names(with("qwen3moe.expert_used_count", 9), "expert_used_count"));
    CHECK(names(with("qwen3moe.expert_feed_forward_length", 128), "ffn_gate_exps"));
    CHECK(names(Doctored{.shape = shape, .drop = "blk.0.ffn_up_exps.weight"}.refusal(), "missing"));
    CHECK(names(Doctored{.shape = shape, .drop = "blk.0.attn_k_norm.weight"}.refusal(), "k_norm"));
    CHECK(names(
        Doctored{.shape = shape, .retype = "blk.0.ffn_down_exps.weight", .numbers = {1, 2, 3, 4}}
            .refusal(),
        "not that of 8 experts"));
}

TEST_CASE("heads, windows and caps out of range are refused by name") {
    SynthShape const gemma{.architecture = Architecture::gemma2, .head_size = 64};
    auto const with = [&gemma](char const* key, std::uint32_t value) {
        return Doctored{.shape = gemma, .key = key, .value = value}.refusal();
    };
    CHECK(names(with("gemma2.attention.sliding_window", 0), "sliding_window is 0"));
    CHECK(names(with("gemma2.attention.sliding_window", 4000000000), "limit"));
    CHECK(names(with("gemma2.attention.key_length", 0), "key_length is 0"));
    CHECK(names(with("gemma2.attention.key_length", 63), "value_length differs"));
    CHECK(names(with("gemma2.attn_logit_softcapping", 0), "softcapping is not a positive"));
    CHECK(names(with("gemma2.final_logit_softcapping", 0), "softcapping is not a positive"));
    CHECK(names(Doctored{.shape = gemma, .drop = "blk.0.post_ffw_norm.weight"}.refusal(),
                "post_ffw_norm"));
    CHECK(names(Doctored{.shape = {.hidden_size = 96, .heads_count = 4},
                         .key = "llama.attention.head_count",
                         .value = 32}
                    .refusal(),
                "size of a head is odd"));
    SynthShape const gemma3{.architecture = Architecture::gemma3};
    CHECK(names(
        Doctored{.shape = gemma3, .key = "gemma3.attention.sliding_window_pattern", .value = 4}
            .refusal(),
        "sliding_window_pattern"));
    SynthShape const phi3{.architecture = Architecture::phi3};
    CHECK(names(Doctored{.shape = phi3, .drop = "blk.0.attn_qkv.weight"}.refusal(), "attn_qkv"));
    CHECK(
        names(Doctored{.shape = phi3, .key = "phi3.attention.sliding_window", .value = 0}.refusal(),
              "is 0"));
}

TEST_CASE("divisors of rotation that are no numbers or too few are refused by name") {
    float const nan = std::numeric_limits<float>::quiet_NaN();
    auto const freqs = [](std::vector<float> numbers) {
        return Doctored{.add = "rope_freqs.weight", .numbers = std::move(numbers)}.refusal();
    };
    std::vector<float> good(32, 1.0F);
    CHECK(names(freqs(std::vector<float>(31, 1.0F)), "32 elements"));
    CHECK(names(freqs(std::vector<float>(64, 1.0F)), "32 elements"));
    for (float const bad : {nan, 0.0F, -1.0F, std::numeric_limits<float>::infinity()}) {
        auto numbers = good;
        numbers[31] = bad;
        CHECK(names(freqs(numbers), "not positive"));
    }
    SynthShape const phi3{.architecture = Architecture::phi3, .rope = SynthRope::longrope};
    for (auto const* const name : {"rope_factors_long.weight", "rope_factors_short.weight"}) {
        CAPTURE(name);
        CHECK(names(Doctored{.shape = phi3, .drop = name}.refusal(), "come together"));
        CHECK(names(Doctored{.shape = phi3, .retype = name, .numbers = {1, 1}}.refusal(), name));
        auto numbers = good;
        numbers[0] = nan;
        CHECK(names(Doctored{.shape = phi3, .retype = name, .numbers = numbers}.refusal(), name));
    }
    CHECK(names(Doctored{.shape = phi3, .add = "rope_freqs.weight", .numbers = good}.refusal(),
                "come together"));
    SynthShape const yarn{.rope = SynthRope::yarn};
    for (auto const* const key :
         {"llama.rope.scaling.factor", "llama.rope.scaling.original_context_length",
          "llama.rope.scaling.yarn_beta_fast", "llama.rope.scaling.attn_factor"})
        CHECK(names(Doctored{.shape = yarn, .key = key, .value = 0}.refusal(), key));
    CHECK(names(
        Doctored{.shape = yarn, .key = "llama.rope.scaling.yarn_ext_factor", .value = 1}.refusal(),
        "yarn_ext_factor"));
}

}  // namespace
}  // namespace kith::infer
