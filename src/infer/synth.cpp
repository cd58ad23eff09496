#include "infer/synth.h"

#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "infer/kernels.h"
#include "infer/sampler.h"
#include "infer/unicode.h"
#include "infer/vocabulary.h"

namespace kith::infer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

// Merges are learned from this; enough for words, digits and spaces to appear in every
// pre-tokenizer's way.
constexpr std::string_view sample_text =
    "The quick brown fox jumps over the lazy dog. Members of a group pool their machines; the "
    "model is split by "
    "layers. What does the first machine see? It sees the answer and the prompt, it's theirs. "
    "We'll say 2026, 12345 "
    "and 1,000 times: there are other things than these, and then the other one.\n\nThe end of the "
    "line.\n"
    "  indented text, the same as before;  the answer is in the line. Other machines see nothing "
    "of the text.\n";
constexpr std::size_t merges_max = 160;
constexpr std::size_t spm_pieces_max = 160;

struct Words {
    std::vector<std::string> tokens;
    std::vector<std::int32_t> kinds;
    std::vector<float> scores;
    std::vector<std::string> merges;

    void add(std::string text, TokenKind kind, float score) {
        tokens.push_back(std::move(text));
        kinds.push_back(static_cast<std::int32_t>(kind));
        scores.push_back(score);
    }
};

// Joins the most frequent neighbours (smallest pair among equals) until `count` pairs are found.
std::vector<std::pair<std::string, std::string>> learn_pairs(
    std::vector<std::vector<std::string>> words, std::size_t count) {
    std::vector<std::pair<std::string, std::string>> pairs;
    while (pairs.size() < count) {
        std::map<std::pair<std::string, std::string>, std::size_t> counts;
        for (auto const& word : words)
            for (std::size_t i = 1; i < word.size(); ++i) ++counts[{word[i - 1], word[i]}];
        auto best = counts.end();
        for (auto it = counts.begin(); it != counts.end(); ++it)
            if (best == counts.end() || it->second > best->second) best = it;
        if (best == counts.end() || best->second < 2) break;
        pairs.push_back(best->first);
        auto const& [left, right] = pairs.back();
        for (auto& word : words)
            for (std::size_t i = 1; i < word.size(); ++i)
                if (word[i - 1] == left && word[i] == right) {
                    word[i - 1] += right;
                    word.erase(word.begin() + static_cast<std::ptrdiff_t>(i));
                }
    }
    return pairs;
}

PreTokenizer rules_of(SynthTokenizer tokenizer) {
    if (tokenizer == SynthTokenizer::qwen2_bpe) return PreTokenizer::qwen2;
    if (tokenizer == SynthTokenizer::llama3_bpe) return PreTokenizer::llama3;
    return PreTokenizer::gpt2;
}

Words bpe_words(PreTokenizer rules) {
    Words out;
    std::vector<std::vector<std::string>> words;
    for (auto const word : split_words(rules, sample_text)) {
        words.emplace_back();
        for (char const c : word)
            append_utf8(words.back().emplace_back(),
                        byte_to_character(static_cast<std::uint8_t>(c)));
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
        std::string text;
        append_utf8(text, byte_to_character(static_cast<std::uint8_t>(byte)));
        out.add(std::move(text), TokenKind::normal, 0);
    }
    for (auto const& [left, right] : learn_pairs(std::move(words), merges_max)) {
        out.add(left + right, TokenKind::normal, 0);
        out.merges.push_back(std::string(left).append(" ").append(right));
    }
    for (auto const* const text : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"})
        out.add(text, TokenKind::control, 0);
    out.add("<tool_call>", TokenKind::user_defined, 0);
    return out;
}

Words spm_words() {
    static constexpr char digits[] = "0123456789ABCDEF";
    Words out;
    out.add("<unk>", TokenKind::unknown, 0);
    out.add("<s>", TokenKind::control, 0);
    out.add("</s>", TokenKind::control, 0);
    for (unsigned byte = 0; byte < 256; ++byte)
        out.add(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", TokenKind::byte,
                0);
    std::vector<std::vector<std::string>> words(1);
    for (char const c : sample_text) {
        if (c == ' ' || c == '\n') words.emplace_back();
        if (c != '\n')
            words.back().push_back(c == ' ' ? std::string(spm_space) : std::string(1, c));
    }
    float score = 0;
    for (auto const& [left, right] : learn_pairs(words, spm_pieces_max))
        out.add(left + right, TokenKind::normal, score -= 1);
    for (char c = '!'; c <= '~'; ++c) out.add(std::string(1, c), TokenKind::normal, score -= 1);
    out.add(std::string(spm_space), TokenKind::normal, score - 1);
    return out;
}

void add_tokenizer(GgufWriter& writer, SynthShape const& shape) {
    bool const spm = shape.tokenizer == SynthTokenizer::spm;
    auto words = spm ? spm_words() : bpe_words(rules_of(shape.tokenizer));
    while (words.tokens.size() < shape.vocabulary_size)
        words.add("[unused" + std::to_string(words.tokens.size()) + "]", TokenKind::unused, -1e6F);
    writer.add_string("tokenizer.ggml.model", spm ? "llama" : "gpt2");
    writer.add_strings("tokenizer.ggml.tokens", words.tokens);
    writer.add_integers("tokenizer.ggml.token_type", words.kinds);
    if (spm) {
        writer.add_floats("tokenizer.ggml.scores", words.scores);
        writer.add_unsigned("tokenizer.ggml.bos_token_id", 1);
        writer.add_unsigned("tokenizer.ggml.eos_token_id", 2);
        writer.add_unsigned("tokenizer.ggml.unknown_token_id", 0);
        return;
    }
    auto const rules = rules_of(shape.tokenizer);
    writer.add_string("tokenizer.ggml.pre", rules == PreTokenizer::qwen2    ? "qwen2"
                                            : rules == PreTokenizer::llama3 ? "llama-bpe"
                                                                            : "gpt-2");
    writer.add_strings("tokenizer.ggml.merges", words.merges);
    auto const first_control = static_cast<std::uint32_t>(256 + words.merges.size());
    writer.add_unsigned("tokenizer.ggml.bos_token_id", first_control);
    writer.add_unsigned("tokenizer.ggml.eos_token_id", first_control + 2);
    writer.add_string("tokenizer.chat_template",
                      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + "
                      "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}"
                      "{{ '<|im_start|>assistant\\n' }}{% endif %}");
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
    add("rope.dimension_count", shape.hidden_size / shape.heads_count);
    add("vocab_size", shape.vocabulary_size);
    writer.add_float(name + ".attention.layer_norm_rms_epsilon", 1e-5F);
    writer.add_float(name + ".rope.freq_base", 10000.0F);
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
        auto const kv_size = shape_.hidden_size / shape_.heads_count * shape_.kv_heads_count;
        auto const hidden = shape_.hidden_size;
        matrix("token_embd.weight", shape_.vocabulary_size, hidden);
        for (std::size_t i = 0; i < shape_.layers_count; ++i) {
            auto const layer = "blk." + std::to_string(i) + ".";
            vector(layer + "attn_norm.weight", hidden, 1);
            matrix(layer + "attn_q.weight", hidden, hidden);
            matrix(layer + "attn_k.weight", kv_size, hidden);
            matrix(layer + "attn_v.weight", kv_size, hidden);
            if (shape_.architecture == Architecture::qwen2) {
                vector(layer + "attn_q.bias", hidden, 0);
                vector(layer + "attn_k.bias", kv_size, 0);
                vector(layer + "attn_v.bias", kv_size, 0);
            }
            matrix(layer + "attn_output.weight", hidden, hidden);
            vector(layer + "ffn_norm.weight", hidden, 1);
            matrix(layer + "ffn_gate.weight", shape_.feed_forward_size, hidden);
            matrix(layer + "ffn_up.weight", shape_.feed_forward_size, hidden);
            matrix(layer + "ffn_down.weight", hidden, shape_.feed_forward_size);
        }
        vector("output_norm.weight", hidden, 1);
        if (shape_.head == SynthHead::own) matrix("output.weight", shape_.vocabulary_size, hidden);
    }

private:
    void matrix(std::string const& name, std::size_t rows, std::size_t columns) {
        writer_.add_tensor(name, shape_.type, {columns, rows},
                           random_rows(shape_.type, rows, columns, next_seed()));
    }
    void vector(std::string const& name, std::size_t count, float middle) {
        writer_.add_tensor(name, TensorType::f32, {count},
                           random_vector(count, middle, next_seed()));
    }
    std::uint64_t next_seed() { return shape_.seed * 1'000'003U + ++tensors_count_; }

    GgufWriter& writer_;
    SynthShape const& shape_;
    std::uint64_t tensors_count_ = 0;
};

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
        shape.kv_heads_count == 0 || shape.hidden_size % (2 * shape.heads_count) != 0 ||
        shape.heads_count % shape.kv_heads_count != 0)
        return fail(Code::invalid, "heads do not divide the hidden size, or kv heads the heads");
    if (shape.hidden_size % traits.block_elements != 0 ||
        shape.feed_forward_size % traits.block_elements != 0)
        return fail(Code::invalid, "rows do not fit the blocks of " + std::string(traits.name));
    return {};
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
