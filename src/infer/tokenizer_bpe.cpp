// Byte-level byte-pair encoding (GPT-2 and its heirs): each word's bytes are merged, lowest rank
// first.
#include <queue>

#include "infer/unicode.h"
#include "infer/vocabulary.h"

namespace kith::infer {
namespace {

constexpr std::uint32_t none = UINT32_MAX;

// GPT-2, encoder.py: these bytes stand for themselves; the others, in order, become U+0100 and up.
constexpr bool is_printable(unsigned byte) {
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Symbol {
    std::uint32_t previous = none;
    std::uint32_t next = none;
    TokenId token = -1;
    bool alive = true;
};

struct Candidate {
    std::uint32_t rank = 0;
    std::uint32_t left = 0;
    std::uint32_t right = 0;
    TokenId result = 0;

    // For the queue: lowest rank first, then leftmost.
    bool operator<(Candidate const& other) const {
        return rank > other.rank || (rank == other.rank && left > other.left);
    }
};

}  // namespace

char32_t byte_to_character(std::uint8_t byte) {
    static constexpr auto table = [] {
        std::array<char32_t, 256> out{};
        char32_t spare = 0x100;
        for (unsigned b = 0; b < 256; ++b) out[b] = is_printable(b) ? b : spare++;
        return out;
    }();
    return table[byte];
}

std::optional<std::uint8_t> character_to_byte(char32_t point) {
    static constexpr auto table = [] {
        std::array<std::int16_t, 0x180> out{};
        for (auto& entry : out) entry = -1;
        std::size_t spare = 0x100;
        for (unsigned byte = 0; byte < 256; ++byte)
            out[is_printable(byte) ? byte : spare++] = static_cast<std::int16_t>(byte);
        return out;
    }();
    if (point >= table.size() || table[point] < 0) return std::nullopt;
    return static_cast<std::uint8_t>(table[point]);
}

void Tokenizer::Vocabulary::encode_bpe_word(std::string_view word,
                                            std::vector<TokenId>& out) const {
    std::vector<Symbol> symbols(word.size());
    std::priority_queue<Candidate> queue;
    auto const offer = [&](std::uint32_t left, std::uint32_t right) {
        if (left == none || right == none) return;
        auto const found = merges.find(pair_key(symbols[left].token, symbols[right].token));
        if (found != merges.end())
            queue.push({found->second.rank, left, right, found->second.result});
    };
    for (std::uint32_t i = 0; i < symbols.size(); ++i) {
        symbols[i].previous = i == 0 ? none : i - 1;
        symbols[i].next = i + 1 == symbols.size() ? none : i + 1;
        symbols[i].token = byte_tokens[static_cast<unsigned char>(word[i])];
    }
    for (std::uint32_t i = 1; i < symbols.size(); ++i) offer(i - 1, i);
    while (!queue.empty()) {
        auto const best = queue.top();
        queue.pop();
        auto& left = symbols[best.left];
        auto& right = symbols[best.right];
        // Stale when either side has been merged since: then the pair is another one.
        if (!left.alive || !right.alive || left.next != best.right) continue;
        auto const found = merges.find(pair_key(left.token, right.token));
        if (found == merges.end() || found->second.rank != best.rank) continue;
        left.token = best.result;
        right.alive = false;
        left.next = right.next;
        if (left.next != none) symbols[left.next].previous = best.left;
        offer(left.previous, best.left);
        offer(best.left, left.next);
    }
    for (auto const& symbol : symbols) {
        if (!symbol.alive) continue;
        if (symbol.token >= 0) {
            out.push_back(symbol.token);
        } else if (unknown) {
            out.push_back(*unknown);
        }
    }
}

void Tokenizer::Vocabulary::encode_bpe(std::string_view text, std::vector<TokenId>& out) const {
    std::string characters;
    for (auto const word : split_words(pre, text)) {
        if (whole_words_first && word.size() <= tokenizer_token_bytes_max) {
            characters.clear();
            for (char const c : word)
                append_utf8(characters, byte_to_character(static_cast<std::uint8_t>(c)));
            if (auto const token = find(characters)) {
                out.push_back(*token);
                continue;
            }
        }
        encode_bpe_word(word, out);
    }
}

void Tokenizer::Vocabulary::append_piece_bpe(TokenId token, std::string& out) const {
    auto piece = text(token);
    if (kind(token) == TokenKind::user_defined) {  // stands for itself
        out += piece;
        return;
    }
    while (!piece.empty()) {
        char32_t point = 0;
        auto const length = std::max<std::size_t>(utf8_length(piece, point), 1);
        if (auto const byte = character_to_byte(point)) {
            out += static_cast<char>(*byte);
        } else {
            out += piece.substr(0, length);
        }
        piece.remove_prefix(length);
    }
}

}  // namespace kith::infer
