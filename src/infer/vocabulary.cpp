#include "infer/vocabulary.h"

#include <algorithm>
#include <cmath>

#include "infer/unicode.h"

namespace kith::infer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using base::Status;
using Vocabulary = Tokenizer::Vocabulary;

constexpr std::size_t arena_bytes_max = 256U << 20U;
constexpr std::size_t printable_bytes_max = 64;

// Tokens that end a turn in the models in common use, whatever their file calls them; and the other
// markers of chat templates. All are control tokens here even where the file says user-defined:
// text must never make one.
constexpr std::string_view answer_end_texts[] = {
    "<|im_end|>",      "<|eot_id|>", "<|eom_id|>",    "<|endoftext|>",
    "<|end_of_text|>", "<|end|>",    "<end_of_turn>", "</s>"};
constexpr std::string_view marker_texts[] = {
    "<|im_start|>",      "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|system|>",        "<|user|>",
    "<|assistant|>",     "<start_of_turn>",   "<s>"};

std::string printable(std::string_view text) {
    std::string out;
    for (char const c : text.substr(0, printable_bytes_max))
        out += (c >= 0x20 && c < 0x7f && c != '"') ? c : '?';
    return out;
}

Status read_family(ModelWords const& words, Vocabulary& out) {
    if (words.family == "llama") {
        out.family = TokenizerFamily::spm;
        out.add_begin = true;
        out.add_space_prefix = true;
        out.markers_take_space = words.architecture == "phi3";
        return {};
    }
    if (words.family != "gpt2")
        return fail(Code::unsupported, "tokenizer model \"" + printable(words.family) +
                                           "\" (llama and gpt2 are supported)");
    out.family = TokenizerFamily::bpe;
    auto const name = words.pre.value_or("default");
    auto const rules = find_pre_tokenizer(name);
    if (!rules) return fail(Code::unsupported, "pre-tokenizer \"" + printable(name) + "\"");
    out.pre = *rules;
    // llama.cpp adds <|begin_of_text|> for Llama 3 unless the file says otherwise.
    out.add_begin = out.whole_words_first =
        *rules == PreTokenizer::llama3 || *rules == PreTokenizer::tekken;
    return {};
}

Status read_tokens(ModelWords const& words, Vocabulary& out) {
    auto const& texts = words.tokens;
    if (texts.empty()) return fail(Code::invalid, "metadata lacks tokenizer.ggml.tokens");
    if (texts.size() > vocabulary_size_max) return fail(Code::too_large, "too many tokens");
    std::size_t bytes = 0;
    for (auto const text : texts) {
        if (text.size() > tokenizer_token_bytes_max)
            return fail(Code::too_large, "a token is longer than the limit");
        bytes += text.size();
    }
    if (bytes > arena_bytes_max) return fail(Code::too_large, "the vocabulary is too large");
    out.arena.reserve(bytes);
    out.offsets.reserve(texts.size() + 1);
    out.offsets.push_back(0);
    for (auto const text : texts) {
        out.arena += text;
        out.offsets.push_back(static_cast<std::uint32_t>(out.arena.size()));
    }
    out.kinds.assign(texts.size(), TokenKind::normal);
    // The map's views point into the arena, which from here on neither grows nor moves (see
    // Tokenizer::create).
    out.by_text.reserve(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i)
        out.by_text.emplace(out.text(static_cast<TokenId>(i)), static_cast<TokenId>(i));
    return {};
}

Status read_kinds(ModelWords const& words, Vocabulary& out) {
    if (words.kinds) {
        if (words.kinds->size() != out.size())
            return fail(Code::invalid, "tokenizer.ggml.token_type does not match the tokens");
        for (std::size_t i = 0; i < out.size(); ++i) {
            auto const kind = static_cast<TokenKind>((*words.kinds)[i]);
            if (kind > TokenKind::byte)
                return fail(Code::invalid, "tokenizer.ggml.token_type holds an unknown type");
            out.kinds[i] = kind;
        }
    }
    auto const make_control = [&out](std::string_view text) {
        if (auto const token = out.find(text); token && out.kind(*token) == TokenKind::user_defined)
            out.kinds[static_cast<std::size_t>(*token)] = TokenKind::control;
    };
    for (auto const text : answer_end_texts) make_control(text);
    for (auto const text : marker_texts) make_control(text);
    return {};
}

Status read_scores(ModelWords const& words, Vocabulary& out) {
    out.scores.assign(out.size(), 0.0F);
    if (!words.scores) return {};
    if (words.scores->size() != out.size())
        return fail(Code::invalid, "tokenizer.ggml.scores does not match the tokens");
    // A NaN would break the order of the queue.
    if (std::ranges::any_of(*words.scores, [](float score) { return std::isnan(score); }))
        return fail(Code::invalid, "tokenizer.ggml.scores holds no number");
    out.scores = *words.scores;
    return {};
}

// Ranks are the positions in the list. A merge whose parts or result are no tokens can never happen
// and is skipped.
Status read_merges(ModelWords const& words, Vocabulary& out) {
    auto const& merges = words.merges;
    if (!merges) return fail(Code::invalid, "metadata lacks tokenizer.ggml.merges");
    out.merges.reserve(merges->size());
    std::string joined;
    for (std::size_t rank = 0; rank < merges->size(); ++rank) {
        auto const merge = (*merges)[rank];
        auto const space =
            merge.find(' ', 1);  // a part is never empty; the first may begin with a space
        if (space == std::string_view::npos || merge.size() > 2 * tokenizer_token_bytes_max + 1)
            return fail(Code::invalid, "tokenizer.ggml.merges holds no pair");
        auto const left = out.find(merge.substr(0, space));
        auto const right = out.find(merge.substr(space + 1));
        joined.assign(merge.substr(0, space));
        joined += merge.substr(space + 1);
        auto const result = out.find(joined);
        if (!left || !right || !result) continue;
        out.merges.emplace(Vocabulary::pair_key(*left, *right),
                           Merge{static_cast<std::uint32_t>(rank), *result});
    }
    return {};
}

void read_byte_tokens(Vocabulary& out) {
    static constexpr char digits[] = "0123456789ABCDEF";
    for (std::size_t byte = 0; byte < 256; ++byte) {
        std::string text;
        if (out.family == TokenizerFamily::bpe) {
            append_utf8(text, byte_to_character(static_cast<std::uint8_t>(byte)));
        } else {
            text = std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">";
        }
        out.byte_tokens[byte] = out.find(text).value_or(-1);
    }
}

// An id out of range counts as absent, as in other readers; what is absent from the file may have a
// usual one.
std::optional<TokenId> token_of(std::optional<std::uint64_t> id, Vocabulary const& vocabulary) {
    return id && *id < vocabulary.size() ? std::optional(static_cast<TokenId>(*id)) : std::nullopt;
}

void read_named_tokens(ModelWords const& words, Vocabulary& out) {
    bool const spm = out.family == TokenizerFamily::spm;
    auto const named = [&](std::optional<std::uint64_t> id, std::uint64_t usual) {
        return token_of(id || !spm ? id : std::optional(usual), out);
    };
    out.unknown = named(words.unknown, 0);
    out.begin = named(words.begin, 1);
    out.end = named(words.end, 2);
    auto const add_end = [&out](std::optional<TokenId> token) {
        if (token) out.answer_ends.push_back(*token);
    };
    add_end(out.end);
    add_end(token_of(words.end_of_turn, out));
    add_end(token_of(words.end_of_message, out));
    for (auto const text : answer_end_texts)
        if (auto const token = out.find(text); token && out.kind(*token) == TokenKind::control)
            add_end(token);
    out.add_begin = words.add_begin.value_or(out.add_begin) && out.begin.has_value();
    out.add_space_prefix = spm && words.add_space_prefix.value_or(out.add_space_prefix);
}

void index_specials(Vocabulary& out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
        auto const token = static_cast<TokenId>(i);
        auto const kind = out.kind(token);
        if (kind != TokenKind::control && kind != TokenKind::user_defined &&
            kind != TokenKind::unknown)
            continue;
        if (out.text(token).empty()) continue;
        out.specials.push_back(token);
        if (kind == TokenKind::user_defined) out.user_defined.push_back(token);
    }
    auto const place = [&out](TokenId token) { return std::pair(out.text(token), token); };
    std::ranges::sort(out.specials, std::less{}, place);
    std::ranges::sort(out.user_defined, std::less{}, place);
}

}  // namespace

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
    auto const found = by_text.find(text);
    return found == by_text.end() ? std::nullopt : std::optional(found->second);
}

Status fill_vocabulary(ModelWords const& words, Vocabulary& out) {
    KITH_TRY(read_family(words, out));
    KITH_TRY(read_tokens(words, out));
    KITH_TRY(read_kinds(words, out));
    if (out.family == TokenizerFamily::spm) KITH_TRY(read_scores(words, out));
    if (out.family == TokenizerFamily::bpe) KITH_TRY(read_merges(words, out));
    read_byte_tokens(out);
    read_named_tokens(words, out);
    index_specials(out);
    return {};
}

}  // namespace kith::infer
