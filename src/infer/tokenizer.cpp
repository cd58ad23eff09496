#include "infer/tokenizer.h"

#include <algorithm>

#include "infer/unicode.h"
#include "infer/vocabulary.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;

namespace {

// The longest special token at the front of `text`.
std::optional<TokenId> special_at(Tokenizer::Vocabulary const& vocabulary, std::string_view text,
                                  Specials specials) {
    // User-defined tokens are words like any other that happen to be whole; they are found in any
    // text.
    std::span<TokenId const> left =
        specials == Specials::as_text ? vocabulary.user_defined : vocabulary.specials;
    std::optional<TokenId> longest;
    // All that are left share the first `depth` bytes of `text`.
    for (std::size_t depth = 0; depth < text.size() && !left.empty(); ++depth) {
        auto const same = std::ranges::equal_range(
            left, static_cast<unsigned char>(text[depth]), std::less<int>{}, [&](TokenId token) {
                // What ends here sorts before every byte.
                auto const candidate = vocabulary.text(token);
                return depth < candidate.size() ? static_cast<unsigned char>(candidate[depth]) : -1;
            });
        left = std::span(same.begin(), same.end());
        if (!left.empty() && vocabulary.text(left.front()).size() == depth + 1)
            longest = left.front();
    }
    return longest;
}

}  // namespace

Result<Tokenizer> Tokenizer::create(ModelWords const& words) {
    auto vocabulary = std::make_unique<Vocabulary>();
    KITH_TRY(fill_vocabulary(words, *vocabulary));
    return Tokenizer(std::move(vocabulary));
}

Result<Tokenizer> Tokenizer::create(Gguf const& file) {
    return create(KITH_TRY(read_words(file)));
}

Tokenizer::Tokenizer(std::unique_ptr<Vocabulary const> vocabulary)
    : vocabulary_(std::move(vocabulary)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

namespace {

constexpr std::string_view white = " \t\n\v\f\r";

// Phi 3's tokenizer has these with "rstrip"; the three that have not are those of its base,
// Llama 2.
bool takes_space(Tokenizer::Vocabulary const& vocabulary, TokenId token) {
    if (!vocabulary.markers_take_space || vocabulary.kind(token) != TokenKind::control)
        return false;
    auto const text = vocabulary.text(token);
    return text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
}

// What is encoded at once, and where in it control tokens may stand.
struct Pieces {
    explicit Pieces(std::vector<TextPiece> const& pieces) {
        for (auto const& piece : pieces) {
            text += piece.text;
            borders.push_back({text.size(), piece.specials});
        }
    }
    // The special token at a place; borders are asked for in order.
    std::optional<TokenId> special(Tokenizer::Vocabulary const& vocabulary, std::size_t at) {
        while (borders[current].end <= at) ++current;
        auto const rest = std::string_view(text).substr(at);
        if (borders[current].specials == Specials::parse)
            if (auto const token = special_at(vocabulary, rest.substr(0, borders[current].end - at),
                                              Specials::parse))
                return token;
        return special_at(vocabulary, rest, Specials::as_text);
    }

    struct Border {
        std::size_t end = 0;
        Specials specials = Specials::as_text;
    };
    std::string text;
    std::vector<Border> borders;
    std::size_t current = 0;
};

}  // namespace

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, Specials specials,
                                               Begin begin) const {
    return encode({TextPiece{text, specials}}, begin);
}

Result<std::vector<TokenId>> Tokenizer::encode(std::vector<TextPiece> const& parts,
                                               Begin begin) const {
    std::size_t size = 0;
    for (auto const& part : parts) {
        if (part.text.size() > tokenizer_text_bytes_max - size)
            return fail(Code::too_large, "the text is longer than the tokenizer's limit");
        size += part.text.size();
    }
    auto const& v = *vocabulary_;
    std::vector<TokenId> out;
    if (begin == Begin::as_model_says && v.add_begin) out.push_back(*v.begin);

    bool after_special = true;
    auto const encode_plain = [&](std::string_view plain) {
        if (plain.empty()) return;
        if (v.family == TokenizerFamily::bpe) return v.encode_bpe(plain, out);
        if (v.add_space_prefix && after_special) {
            v.encode_spm(" " + std::string(plain), out);
        } else {
            v.encode_spm(plain, out);
        }
        after_special = false;
    };
    Pieces pieces(parts);
    std::string_view const text = pieces.text;
    std::size_t plain_begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        auto const token = pieces.special(v, at);
        if (!token) {
            ++at;
            continue;
        }
        encode_plain(text.substr(plain_begin, at - plain_begin));
        out.push_back(*token);
        after_special = true;
        at += v.text(*token).size();
        if (takes_space(v, *token)) at = std::min(text.find_first_not_of(white, at), text.size());
        plain_begin = at;
    }
    encode_plain(text.substr(plain_begin));
    return out;
}

std::string Tokenizer::piece(TokenId token) const {
    auto const& v = *vocabulary_;
    std::string out;
    if (!v.has(token)) return out;
    auto const kind = v.kind(token);
    if (kind == TokenKind::control || kind == TokenKind::unknown) return out;
    if (v.family == TokenizerFamily::spm) {
        v.append_piece_spm(token, out);
    } else {
        v.append_piece_bpe(token, out);
    }
    return out;
}

std::string Tokenizer::decode(std::vector<TokenId> const& tokens) const {
    std::string out;
    for (auto const token : tokens) out += piece(token);
    if (vocabulary_->add_space_prefix && out.starts_with(' ')) out.erase(0, 1);
    return out;
}

std::string_view Tokenizer::token_text(TokenId token) const {
    return vocabulary_->has(token) ? vocabulary_->text(token) : std::string_view{};
}

std::optional<TokenId> Tokenizer::find_special(std::string_view text) const {
    auto const token = vocabulary_->find(text);
    if (!token) return std::nullopt;
    auto const kind = vocabulary_->kind(*token);
    bool const special = kind == TokenKind::control || kind == TokenKind::user_defined;
    return special ? token : std::nullopt;
}

std::size_t Tokenizer::vocabulary_size() const {
    return vocabulary_->size();
}

std::optional<TokenId> Tokenizer::begin_token() const {
    return vocabulary_->begin;
}

std::optional<TokenId> Tokenizer::end_token() const {
    return vocabulary_->end;
}

bool Tokenizer::ends_answer(TokenId token) const {
    return std::ranges::find(vocabulary_->answer_ends, token) != vocabulary_->answer_ends.end();
}

// ---- StreamingDecoder ---------------------------------------------------------------------------

namespace {
constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD
}

std::string StreamingDecoder::push(TokenId token) {
    pending_ += tokenizer_->piece(token);
    std::string out;
    std::string_view rest = pending_;
    while (!rest.empty()) {
        char32_t point = 0;
        auto const length = utf8_length(rest, point);
        if (length == 0) break;  // may still become a character
        out += point == invalid_point ? replacement : rest.substr(0, length);
        rest.remove_prefix(length);
    }
    pending_.erase(0, pending_.size() - rest.size());
    return out;
}

std::string StreamingDecoder::finish() {
    std::string out;
    if (!pending_.empty()) out = replacement;
    pending_.clear();
    return out;
}

}  // namespace kith::infer
