#include "infer/hparams.h"

#include <cmath>
#include <string_view>

#include "infer/arch/architecture.h"

namespace kith::infer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

constexpr std::size_t name_bytes_max = 128;

std::string printable(std::string_view text) {
    std::string out;
    for (char const c : text.substr(0, name_bytes_max))
        out += (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') ? c : '?';
    return out;
}

Result<Architecture> find_architecture(Gguf const& file) {
    auto const name = KITH_TRY(file.require_string("general.architecture"));
    std::string supported;
    for (auto const* const traits : all_architectures()) {
        if (traits->name == name) return traits->architecture;
        if (!supported.empty()) supported += ", ";
        supported += traits->name;
    }
    return fail(Code::unsupported,
                "architecture \"" + printable(name) + "\" (" + supported + " are supported)");
}

Status read_attention(HparamsReader const& reader, Hparams& out) {
    out.heads_count = KITH_TRY(reader.size("attention.head_count", heads_count_max));
    out.kv_heads_count =
        KITH_TRY(reader.size("attention.head_count_kv", heads_count_max, out.heads_count));
    if (out.heads_count % out.kv_heads_count != 0)
        return fail(Code::invalid, "attention.head_count_kv does not divide head_count");
    // Without an explicit size, heads share the hidden size evenly.
    if (reader.find("attention.key_length") == nullptr && out.hidden_size % out.heads_count != 0)
        return fail(Code::invalid, "attention.head_count does not divide embedding_length");
    auto const even_share = out.hidden_size / out.heads_count;
    out.head_size = KITH_TRY(reader.size("attention.key_length", head_size_max, even_share));
    auto const value_size =
        KITH_TRY(reader.size("attention.value_length", head_size_max, out.head_size));
    if (value_size != out.head_size)
        return fail(Code::unsupported, "attention.value_length differs from key_length");
    if (out.head_size == 0 || out.head_size > head_size_max)
        return fail(Code::too_large, "the size of a head is out of limits");
    if (out.head_size % 2 != 0) return fail(Code::invalid, "the size of a head is odd");
    out.attention_scale = 1.0F / std::sqrt(static_cast<float>(out.head_size));
    auto const epsilon = KITH_TRY(reader.positive("attention.layer_norm_rms_epsilon", 1e-5));
    out.norm_epsilon = static_cast<float>(epsilon);
    return {};
}

Status read_rope_scaling(HparamsReader const& reader, Hparams& out) {
    auto const old_factor = KITH_TRY(reader.positive("rope.scale_linear", 1.0));
    auto const factor = KITH_TRY(reader.positive("rope.scaling.factor", old_factor));
    auto const* const type = reader.find("rope.scaling.type");
    auto const name = type == nullptr ? "linear" : type->as_string().value_or("?");
    if (name == "none") return {};
    if (name == "longrope") {
        out.rope_scaling = RopeScaling::longrope;
        if (factor == 1.0) return {};
        return fail(Code::unsupported, "rope scaling \"longrope\" with a factor");
    }
    out.rope_scale = factor;
    if (name == "linear") {
        if (factor != 1.0) out.rope_scaling = RopeScaling::linear;
        return {};
    }
    if (name != "yarn") return fail(Code::unsupported, "rope scaling \"" + printable(name) + "\"");
    out.rope_scaling = RopeScaling::yarn;
    out.yarn_beta_fast = KITH_TRY(reader.positive("rope.scaling.yarn_beta_fast", 32.0));
    out.yarn_beta_slow = KITH_TRY(reader.positive("rope.scaling.yarn_beta_slow", 1.0));
    for (auto const* const key : {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor",
                                  "rope.scaling.yarn_log_multiplier"})
        if (reader.find(key) != nullptr)
            return fail(Code::unsupported, std::string(key) + " has no implementation here");
    if (factor < 1.0 || out.rope_base <= 1.0)
        return fail(Code::invalid, "yarn with a factor or a base below 1");
    return {};
}

Status read_rope(HparamsReader const& reader, Hparams& out) {
    out.rope_size = KITH_TRY(reader.size("rope.dimension_count", head_size_max, out.head_size));
    if (out.rope_size > out.head_size || out.rope_size % 2 != 0)
        return fail(Code::invalid, "rope.dimension_count is odd or above the size of a head");
    out.rope_base = KITH_TRY(reader.positive("rope.freq_base", 10000.0));
    out.rope_magnitude = KITH_TRY(reader.positive("rope.scaling.attn_factor", 1.0));
    out.rope_original_context = KITH_TRY(reader.size("rope.scaling.original_context_length",
                                                     context_length_max, out.context_length));
    return read_rope_scaling(reader, out);
}

Status read_experts(HparamsReader const& reader, bool expected, Hparams& out) {
    if (!expected) {
        auto const* const experts = reader.find("expert_count");
        if (experts == nullptr || experts->as_unsigned() == 0U) return {};
        return fail(Code::unsupported, std::string("experts in the architecture ") +
                                           architecture_name(out.architecture));
    }
    out.experts_count = KITH_TRY(reader.size("expert_count", experts_count_max));
    out.experts_used = KITH_TRY(reader.size("expert_used_count", out.experts_count));
    out.expert_size = KITH_TRY(reader.size("expert_feed_forward_length", feed_forward_size_max));
    return {};
}

// The embedding's or the head's number of rows, or the key a shard without ends carries; all that
// are there agree.
Status read_vocabulary_size(Gguf const& file, HparamsReader const& reader, Hparams& out) {
    for (auto const* const name : {"token_embd.weight", "output.weight"}) {
        auto const* const tensor = file.find_tensor(name);
        if (tensor == nullptr) continue;
        if (out.vocabulary_size != 0 && out.vocabulary_size != tensor->rows())
            return fail(Code::invalid, "embedding and head differ in their number of rows");
        out.vocabulary_size = tensor->rows();
    }
    if (out.vocabulary_size > vocabulary_size_max)
        return fail(Code::too_large, "the vocabulary is above the limit");
    auto const missing = out.vocabulary_size;
    auto const stated = KITH_TRY(reader.size("vocab_size", vocabulary_size_max, missing));
    if (out.vocabulary_size != 0 && stated != out.vocabulary_size)
        return fail(Code::invalid, "vocab_size differs from the number of embedding rows");
    out.vocabulary_size = stated;
    return {};
}

Result<bool> read_flag(Gguf const& file, char const* key) {
    auto const flag = file.find(key) == nullptr ? std::nullopt : file.find(key)->as_bool();
    if (!flag) return fail(Code::invalid, std::string("metadata lacks ") + key);
    return *flag;
}

}  // namespace

char const* architecture_name(Architecture architecture) {
    return architecture_traits(architecture).name.data();
}

Result<Hparams> read_hparams(Gguf const& file) {
    Hparams out;
    out.architecture = KITH_TRY(find_architecture(file));
    auto const& traits = architecture_traits(out.architecture);
    out.rope_style = traits.rope_style;
    if (auto const* const name = file.find("general.name"); name != nullptr)
        out.name = printable(name->as_string().value_or(""));
    HparamsReader const reader(file, std::string(architecture_name(out.architecture)) + ".");
    out.layers_count = KITH_TRY(reader.size("block_count", layers_count_max));
    out.hidden_size = KITH_TRY(reader.size("embedding_length", hidden_size_max));
    out.feed_forward_size = KITH_TRY(reader.size("feed_forward_length", feed_forward_size_max));
    out.context_length = KITH_TRY(reader.size("context_length", context_length_max));
    KITH_TRY(read_attention(reader, out));
    KITH_TRY(read_rope(reader, out));
    KITH_TRY(read_experts(reader, traits.has_experts, out));
    if (traits.read != nullptr) KITH_TRY(traits.read(reader, out));
    KITH_TRY(read_vocabulary_size(file, reader, out));
    return out;
}

Result<ShardMark> read_shard_mark(Gguf const& file, Hparams const& hparams) {
    if (file.find("kith.shard.layer_begin") == nullptr)
        return ShardMark{.layers = {0, hparams.layers_count}};
    ShardMark out;
    auto const begin = KITH_TRY(file.require_unsigned("kith.shard.layer_begin"));
    auto const end = KITH_TRY(file.require_unsigned("kith.shard.layer_end"));
    if (begin > end || end > hparams.layers_count)
        return fail(Code::invalid, "kith.shard.layer_begin/end is no range of layers");
    out.layers = {static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
    out.has_embedding = KITH_TRY(read_flag(file, "kith.shard.has_embedding"));
    out.has_head = KITH_TRY(read_flag(file, "kith.shard.has_head"));
    return out;
}

}  // namespace kith::infer
