#include "infer/synth.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "infer/arch/architecture.h"
#include "infer/kernels.h"
#include "infer/sampler.h"
#include "infer/synth_words.h"

namespace kith::infer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

std::size_t head_size_of(SynthShape const& shape) {
    return shape.head_size != 0 ? shape.head_size : shape.hidden_size / shape.heads_count;
}

bool has_windows(Architecture architecture) {
    return architecture == Architecture::gemma2 || architecture == Architecture::gemma3 ||
           architecture == Architecture::phi3;
}

void add_rope(GgufWriter& writer, SynthShape const& shape, std::string const& name) {
    auto const original =
        static_cast<std::uint32_t>(std::max<std::size_t>(shape.context_length / 4, 1));
    switch (shape.rope) {
        case SynthRope::plain:
        case SynthRope::divisors:
            return;
        case SynthRope::linear:
        case SynthRope::yarn:
            writer.add_string(name + ".rope.scaling.type",
                              shape.rope == SynthRope::yarn ? "yarn" : "linear");
            writer.add_float(name + ".rope.scaling.factor", 4.0F);
            writer.add_unsigned(name + ".rope.scaling.original_context_length", original);
            return;
        case SynthRope::longrope:
            writer.add_unsigned(name + ".rope.scaling.original_context_length", original);
            writer.add_float(name + ".rope.scaling.attn_factor", 1.19F);
            return;
    }
}

void add_shape(GgufWriter& writer, SynthShape const& shape) {
    std::string const name = architecture_name(shape.architecture);
    auto const add = [&](char const* key, std::size_t value) {
        writer.add_unsigned(name + "." + key, static_cast<std::uint32_t>(value));
    };
    writer.add_string("general.architecture", name);
    writer.add_string("general.name", "synthetic " + name);
    add("block_count", shape.layers_count);
    add("context_length", shape.context_length);
    add("embedding_length", shape.hidden_size);
    add("feed_forward_length", shape.feed_forward_size);
    add("attention.head_count", shape.heads_count);
    add("attention.head_count_kv", shape.kv_heads_count);
    if (shape.head_size != 0) {
        add("attention.key_length", shape.head_size);
        add("attention.value_length", shape.head_size);
    }
    add("rope.dimension_count", head_size_of(shape));
    add("vocab_size", shape.vocabulary_size);
    writer.add_float(name + ".attention.layer_norm_rms_epsilon", 1e-5F);
    writer.add_float(name + ".rope.freq_base", 10000.0F);
    if (has_windows(shape.architecture)) add("attention.sliding_window", shape.window);
    if (shape.architecture == Architecture::gemma2) {
        writer.add_float(name + ".attn_logit_softcapping", 5.0F);  // low enough to be felt
        writer.add_float(name + ".final_logit_softcapping", 3.0F);
    }
    if (architecture_traits(shape.architecture).has_experts) {
        add("expert_count", shape.experts_count);
        add("expert_used_count", shape.experts_used);
        add("expert_feed_forward_length", shape.expert_size);
    }
    add_rope(writer, shape, name);
}

// Values with the variance 1 / columns, as trained layers have roughly, so that activations stay
// near 1.
GgufWriter::Source random_rows(TensorType type, std::size_t rows, std::size_t columns,
                               std::uint64_t seed) {
    return [=](ByteSink const& sink) -> Status {
        Xoshiro256 generator(seed);
        auto const width = std::sqrt(12.0 / static_cast<double>(columns));
        std::vector<float> row(columns);
        base::Bytes out(row_bytes(type, columns));
        for (std::size_t r = 0; r < rows; ++r) {
            for (auto& value : row)
                value = static_cast<float>((generator.next_unit() - 0.5) * width);
            quantise_row(type, row, out.data());
            KITH_TRY(sink(out));
        }
        return {};
    };
}

GgufWriter::Source random_vector(std::size_t count, float middle, std::uint64_t seed) {
    return [=](ByteSink const& sink) -> Status {
        Xoshiro256 generator(seed);
        base::Bytes out(count * sizeof(float));
        for (std::size_t i = 0; i < count; ++i) {
            float const value = middle + static_cast<float>((generator.next_unit() - 0.5) * 0.2);
            base::store_le(base::MutableByteView(out).subspan(4 * i, 4),
                           std::bit_cast<std::uint32_t>(value));
        }
        return sink(out);
    };
}

class Tensors {
public:
    Tensors(GgufWriter& writer, SynthShape const& shape) : writer_(writer), shape_(shape) {}

    void add_all() {
        matrix("token_embd.weight", shape_.vocabulary_size, shape_.hidden_size);
        add_divisors();
        for (std::size_t i = 0; i < shape_.layers_count; ++i) {
            auto const layer = "blk." + std::to_string(i) + ".";
            add_attention(layer);
            vector(layer + "ffn_norm.weight", shape_.hidden_size, 1);
            traits_.has_experts ? add_experts(layer) : add_feed_forward(layer);
            if (traits_.has_post_norms)
                vector(layer + "post_ffw_norm.weight", shape_.hidden_size, 1);
        }
        vector("output_norm.weight", shape_.hidden_size, 1);
        if (shape_.head == SynthHead::own)
            matrix("output.weight", shape_.vocabulary_size, shape_.hidden_size);
    }

private:
    void add_attention(std::string const& layer) {
        auto const hidden = shape_.hidden_size;
        auto const query_size = head_size_of(shape_) * shape_.heads_count;
        auto const kv_size = head_size_of(shape_) * shape_.kv_heads_count;
        vector(layer + "attn_norm.weight", hidden, 1);
        if (traits_.is_fused) {
            matrix(layer + "attn_qkv.weight", query_size + 2 * kv_size, hidden);
        } else {
            matrix(layer + "attn_q.weight", query_size, hidden);
            matrix(layer + "attn_k.weight", kv_size, hidden);
            matrix(layer + "attn_v.weight", kv_size, hidden);
        }
        if (traits_.biases == Biases::required) {
            vector(layer + "attn_q.bias", query_size, 0);
            vector(layer + "attn_k.bias", kv_size, 0);
            vector(layer + "attn_v.bias", kv_size, 0);
        }
        if (traits_.has_head_norms) {
            vector(layer + "attn_q_norm.weight", head_size_of(shape_), 1);
            vector(layer + "attn_k_norm.weight", head_size_of(shape_), 1);
        }
        matrix(layer + "attn_output.weight", hidden, query_size);
        if (traits_.has_post_norms) vector(layer + "post_attention_norm.weight", hidden, 1);
    }

    void add_feed_forward(std::string const& layer) {
        auto const size = shape_.feed_forward_size;
        if (!traits_.is_fused) matrix(layer + "ffn_gate.weight", size, shape_.hidden_size);
        matrix(layer + "ffn_up.weight", traits_.is_fused ? 2 * size : size, shape_.hidden_size);
        matrix(layer + "ffn_down.weight", shape_.hidden_size, size);
    }

    void add_experts(std::string const& layer) {
        auto const size = shape_.expert_size;
        auto const count = shape_.experts_count;
        tensor(layer + "ffn_gate_inp.weight", TensorType::f32, {shape_.hidden_size, count});
        tensor(layer + "ffn_gate_exps.weight", shape_.type, {shape_.hidden_size, size, count});
        tensor(layer + "ffn_up_exps.weight", shape_.type, {shape_.hidden_size, size, count});
        tensor(layer + "ffn_down_exps.weight", shape_.type, {size, shape_.hidden_size, count});
    }

    void add_divisors() {
        auto const pairs = head_size_of(shape_) / 2;
        if (shape_.rope == SynthRope::divisors) vector("rope_freqs.weight", pairs, 2);
        if (shape_.rope != SynthRope::longrope) return;
        vector("rope_factors_long.weight", pairs, 3);
        vector("rope_factors_short.weight", pairs, 1.1F);
    }

    void tensor(std::string const& name, TensorType type, std::vector<std::size_t> shape) {
        auto const columns = shape.front();
        std::size_t rows = 1;
        for (auto const length : std::span(shape).subspan(1)) rows *= length;
        writer_.add_tensor(name, type, std::move(shape),
                           random_rows(type, rows, columns, next_seed()));
    }
    void matrix(std::string const& name, std::size_t rows, std::size_t columns) {
        tensor(name, shape_.type, {columns, rows});
    }
    void vector(std::string const& name, std::size_t count, float middle) {
        writer_.add_tensor(name, TensorType::f32, {count},
                           random_vector(count, middle, next_seed()));
    }
    std::uint64_t next_seed() { return shape_.seed * 1'000'003U + ++tensors_count_; }

    GgufWriter& writer_;
    SynthShape const& shape_;
    ArchitectureTraits const& traits_ = architecture_traits(shape_.architecture);
    std::uint64_t tensors_count_ = 0;
};

// Of windows and experts.
Status check_parts(SynthShape const& shape, std::size_t block_elements) {
    if (has_windows(shape.architecture) && (shape.window == 0 || shape.window > context_length_max))
        return fail(Code::invalid, "the window is out of limits");
    if (!architecture_traits(shape.architecture).has_experts) return {};
    if (shape.experts_count == 0 || shape.experts_count > experts_count_max ||
        shape.experts_used == 0 || shape.experts_used > shape.experts_count ||
        shape.expert_size == 0 || shape.expert_size > feed_forward_size_max ||
        shape.expert_size % block_elements != 0)
        return fail(Code::invalid, "the experts are out of limits or do not fit the blocks");
    return {};
}

Status check_shape(SynthShape const& shape) {
    auto const& traits = type_traits(shape.type);
    if (!traits.has_kernels)
        return fail(Code::unsupported, "type " + std::string(traits.name) + " cannot be made here");
    if (shape.layers_count == 0 || shape.layers_count > layers_count_max ||
        shape.hidden_size == 0 || shape.hidden_size > hidden_size_max ||
        shape.feed_forward_size == 0 || shape.feed_forward_size > feed_forward_size_max ||
        shape.vocabulary_size < synth_vocabulary_min ||
        shape.vocabulary_size > vocabulary_size_max || shape.context_length == 0 ||
        shape.context_length > context_length_max)
        return fail(Code::invalid, "a size of the shape is out of limits");
    if (shape.heads_count == 0 || shape.heads_count > heads_count_max ||
        shape.kv_heads_count == 0 || shape.heads_count % shape.kv_heads_count != 0 ||
        (shape.head_size == 0 && shape.hidden_size % (2 * shape.heads_count) != 0) ||
        shape.head_size % 2 != 0 || shape.head_size > head_size_max)
        return fail(Code::invalid, "heads do not divide the hidden size, or kv heads the heads");
    if (shape.hidden_size % traits.block_elements != 0 ||
        shape.feed_forward_size % traits.block_elements != 0 ||
        head_size_of(shape) * shape.heads_count % traits.block_elements != 0)
        return fail(Code::invalid, "rows do not fit the blocks of " + std::string(traits.name));
    return check_parts(shape, traits.block_elements);
}

}  // namespace

Status synthesise(SynthShape const& shape, ByteSink const& sink) {
    KITH_TRY(check_shape(shape));
    GgufWriter writer;
    add_shape(writer, shape);
    add_tokenizer(writer, shape);
    Tensors(writer, shape).add_all();
    return writer.write(sink);
}

Result<base::Bytes> synthesise(SynthShape const& shape) {
    base::Bytes out;
    KITH_TRY(synthesise(shape, [&out](base::ByteView bytes) -> Status {
        base::append(out, bytes);
        return {};
    }));
    return out;
}

}  // namespace kith::infer
