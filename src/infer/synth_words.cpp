#include "infer/synth_words.h"

#include <map>
#include <string>
#include <vector>

#include "infer/unicode.h"
#include "infer/vocabulary.h"

namespace kith::infer {
namespace {

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
    if (tokenizer == SynthTokenizer::tekken_bpe) return PreTokenizer::tekken;
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

Words spm_words(SynthTokenizer tokenizer) {
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
    if (tokenizer == SynthTokenizer::gemma_spm) {
        for (auto const* const text : {"<start_of_turn>", "<end_of_turn>"})
            out.add(text, TokenKind::control, 0);
        for (auto const* const text : {"\n", "\n\n", "<b>"})
            out.add(text, TokenKind::user_defined, 0);
    }
    if (tokenizer == SynthTokenizer::phi3_spm)
        for (auto const* const text :
             {"<|endoftext|>", "<|assistant|>", "<|end|>", "<|user|>", "<|system|>"})
            out.add(text, TokenKind::control, 0);
    float score = 0;
    for (auto const& [left, right] : learn_pairs(words, spm_pieces_max))
        out.add(left + right, TokenKind::normal, score -= 1);
    for (char c = '!'; c <= '~'; ++c) out.add(std::string(1, c), TokenKind::normal, score -= 1);
    out.add(std::string(spm_space), TokenKind::normal, score - 1);
    return out;
}

}  // namespace

void add_tokenizer(GgufWriter& writer, SynthShape const& shape) {
    bool const gemma = shape.tokenizer == SynthTokenizer::gemma_spm;
    bool const spm = gemma || shape.tokenizer == SynthTokenizer::spm ||
                     shape.tokenizer == SynthTokenizer::phi3_spm;
    auto words = spm ? spm_words(shape.tokenizer) : bpe_words(rules_of(shape.tokenizer));
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
        if (gemma) writer.add_bool("tokenizer.ggml.add_space_prefix", false);
        return;
    }
    auto const rules = rules_of(shape.tokenizer);
    writer.add_string("tokenizer.ggml.pre", rules == PreTokenizer::qwen2    ? "qwen2"
                                            : rules == PreTokenizer::llama3 ? "llama-bpe"
                                            : rules == PreTokenizer::tekken ? "tekken"
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

}  // namespace kith::infer
