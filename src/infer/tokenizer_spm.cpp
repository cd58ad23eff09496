// SentencePiece as Llama 1 and 2 use it: characters are joined, best score first, as long as the
// joined text is a token; characters that are none become byte tokens.
#include <queue>

#include "infer/unicode.h"
#include "infer/vocabulary.h"

namespace kith::infer {
namespace {

constexpr std::uint32_t none = UINT32_MAX;

struct Symbol {
    std::uint32_t previous = none;
    std::uint32_t next = none;
    std::uint32_t begin = 0;
    std::uint32_t length = 0;  // 0: joined to its left neighbour
};

struct Join {
    float score = 0;
    std::uint32_t left = 0;
    std::uint32_t right = 0;
    std::uint32_t length = 0;  // of both together, to notice that one has changed since

    // For the queue: the lesser comes later. Highest score first, then leftmost.
    bool operator<(Join const& other) const {
        return score < other.score || (score == other.score && left > other.left);
    }
};

class Joiner {
public:
    Joiner(Tokenizer::Vocabulary const& vocabulary, std::string_view text)
        : vocabulary_(vocabulary), text_(text) {}

    void run() {
        auto const characters = split_characters(text_);
        auto const count = characters.size() - 1;
        for (std::size_t i = 0; i < count; ++i) {
            auto const at = static_cast<std::uint32_t>(i);
            symbols_.push_back({.previous = i == 0 ? none : at - 1,
                                .next = i + 1 == count ? none : at + 1,
                                .begin = characters[i].offset,
                                .length = characters[i + 1].offset - characters[i].offset});
        }
        for (std::uint32_t i = 1; i < count; ++i) offer(i - 1, i);
        while (!queue_.empty()) {
            auto const join = queue_.top();
            queue_.pop();
            apply(join);
        }
    }

    [[nodiscard]] std::vector<Symbol> const& symbols() const { return symbols_; }

private:
    void offer(std::uint32_t left, std::uint32_t right) {
        if (left == none || right == none) return;
        auto const length = symbols_[left].length + symbols_[right].length;
        auto const token = vocabulary_.find(text_.substr(symbols_[left].begin, length));
        if (!token) return;
        queue_.push({vocabulary_.scores[static_cast<std::size_t>(*token)], left, right, length});
    }

    void apply(Join const& join) {
        auto& left = symbols_[join.left];
        auto& right = symbols_[join.right];
        if (left.length == 0 || right.length == 0 || left.length + right.length != join.length)
            return;
        left.length = join.length;
        right.length = 0;
        left.next = right.next;
        if (left.next != none) symbols_[left.next].previous = join.left;
        offer(left.previous, join.left);
        offer(join.left, left.next);
    }

    Tokenizer::Vocabulary const& vocabulary_;
    std::string_view text_;
    std::vector<Symbol> symbols_;
    std::priority_queue<Join> queue_;
};

}  // namespace

void Tokenizer::Vocabulary::encode_spm(std::string_view text, std::vector<TokenId>& out) const {
    std::string escaped;
    escaped.reserve(text.size() + text.size() / 2);
    for (char const c : text) {
        if (c == ' ') {
            escaped += spm_space;
        } else {
            escaped += c;
        }
    }
    Joiner joiner(*this, escaped);
    joiner.run();
    for (auto const& symbol : joiner.symbols()) {
        if (symbol.length == 0) continue;
        auto const piece = std::string_view(escaped).substr(symbol.begin, symbol.length);
        if (auto const token = find(piece)) {
            out.push_back(*token);
            continue;
        }
        for (char const c : piece) {
            auto const token = byte_tokens[static_cast<unsigned char>(c)];
            if (token >= 0) {
                out.push_back(token);
            } else if (unknown) {
                out.push_back(*unknown);
            }
        }
    }
}

void Tokenizer::Vocabulary::append_piece_spm(TokenId token, std::string& out) const {
    auto piece = text(token);
    if (kind(token) == TokenKind::byte) {
        for (std::size_t byte = 0; byte < byte_tokens.size(); ++byte)
            if (byte_tokens[byte] == token) out += static_cast<char>(byte);
        return;
    }
    while (!piece.empty()) {
        if (piece.starts_with(spm_space)) {
            out += ' ';
            piece.remove_prefix(spm_space.size());
        } else {
            out += piece.front();
            piece.remove_prefix(1);
        }
    }
}

}  // namespace kith::infer
