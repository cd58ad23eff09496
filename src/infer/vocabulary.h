// infer/vocabulary.h: the parts of a Tokenizer; nothing outside infer/tokenizer*.cpp includes this.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "infer/model_words.h"
#include "infer/pretokenize.h"
#include "infer/tokenizer.h"

namespace kith::infer {

// tokenizer.ggml.token_type, values as on disk (llama.h, llama_token_type).
enum class TokenKind : std::uint8_t {
    undefined = 0,
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6,
};

enum class TokenizerFamily { spm, bpe };

struct Merge {
    std::uint32_t rank = 0;
    TokenId result = 0;
};

struct Tokenizer::Vocabulary {
    TokenizerFamily family = TokenizerFamily::spm;
    PreTokenizer pre = PreTokenizer::gpt2;
    bool whole_words_first = false;  // llama3, tekken: a word that is a token is not merged
    bool add_begin = false;
    bool add_space_prefix = false;    // SPM
    bool markers_take_space = false;  // Phi 3: white space after a control token is part of it

    std::string arena;                   // all token texts, one after the other
    std::vector<std::uint32_t> offsets;  // one more than tokens
    std::vector<TokenKind> kinds;
    std::vector<float> scores;                              // SPM
    std::unordered_map<std::string_view, TokenId> by_text;  // views into arena
    std::unordered_map<std::uint64_t, Merge> merges;        // BPE: by (left, right)
    std::array<TokenId, 256> byte_tokens{};                 // -1: none

    // Control, unknown and user-defined tokens, and those of them that are user-defined: by text,
    // so that the longest at a place is found in the length of its text, however many there are.
    std::vector<TokenId> specials, user_defined;
    std::optional<TokenId> begin, end, unknown;
    std::vector<TokenId> answer_ends;

    [[nodiscard]] std::size_t size() const { return kinds.size(); }
    [[nodiscard]] bool has(TokenId token) const {
        return token >= 0 && static_cast<std::size_t>(token) < size();
    }
    [[nodiscard]] TokenKind kind(TokenId token) const {
        return kinds[static_cast<std::size_t>(token)];
    }
    [[nodiscard]] std::string_view text(TokenId token) const {
        auto const i = static_cast<std::size_t>(token);
        return std::string_view(arena).substr(offsets[i], offsets[i + 1] - offsets[i]);
    }
    [[nodiscard]] std::optional<TokenId> find(std::string_view text) const;

    static std::uint64_t pair_key(TokenId left, TokenId right) {
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U |
               static_cast<std::uint32_t>(right);
    }

    void encode_spm(std::string_view text, std::vector<TokenId>& out) const;
    void encode_bpe(std::string_view text, std::vector<TokenId>& out) const;
    void encode_bpe_word(std::string_view word, std::vector<TokenId>& out) const;
    void append_piece_spm(TokenId token, std::string& out) const;
    void append_piece_bpe(TokenId token, std::string& out) const;
};

// SPM writes spaces as U+2581.
inline constexpr std::string_view spm_space = "\xe2\x96\x81";

// GPT-2's printable stand-in for a byte, and back (nullopt: the character stands for no byte).
char32_t byte_to_character(std::uint8_t byte);
std::optional<std::uint8_t> character_to_byte(char32_t point);

// Fills an empty vocabulary, which must not move afterwards.
base::Status fill_vocabulary(ModelWords const& words, Tokenizer::Vocabulary& out);

}  // namespace kith::infer
