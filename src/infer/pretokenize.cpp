#include "infer/pretokenize.h"

#include <algorithm>
#include <span>

#include "infer/unicode.h"

namespace kith::infer {
namespace {

// The characters of one fragment; reading at or past its end gives `other` and no character.
class Fragment {
public:
    explicit Fragment(std::span<Character const> characters) : characters_(characters) {}

    [[nodiscard]] std::size_t size() const { return characters_.size(); }
    [[nodiscard]] bool has(std::size_t i) const { return i < characters_.size(); }
    [[nodiscard]] char32_t point(std::size_t i) const { return has(i) ? characters_[i].point : 0; }
    [[nodiscard]] bool is(std::size_t i, CharClass kind) const {
        return has(i) && characters_[i].kind == kind;
    }
    [[nodiscard]] bool is_letter(std::size_t i) const { return is(i, CharClass::letter); }
    [[nodiscard]] bool is_number(std::size_t i) const { return is(i, CharClass::number); }
    [[nodiscard]] bool is_space(std::size_t i) const { return is(i, CharClass::whitespace); }
    [[nodiscard]] bool is_newline(std::size_t i) const {
        return has(i) && (point(i) == U'\r' || point(i) == U'\n');
    }
    // [^\s\p{L}\p{N}]
    [[nodiscard]] bool is_symbol(std::size_t i) const {
        return has(i) && !is_letter(i) && !is_number(i) && !is_space(i);
    }
    template <class Predicate>
    [[nodiscard]] std::size_t run_end(std::size_t i, Predicate predicate) const {
        while (predicate(i)) ++i;
        return i;
    }
    [[nodiscard]] std::size_t letters_end(std::size_t i) const {
        return run_end(i, [this](std::size_t k) { return is_letter(k); });
    }
    [[nodiscard]] std::size_t numbers_end(std::size_t i) const {
        return run_end(i, [this](std::size_t k) { return is_number(k); });
    }
    [[nodiscard]] std::size_t symbols_end(std::size_t i) const {
        return run_end(i, [this](std::size_t k) { return is_symbol(k); });
    }
    [[nodiscard]] std::size_t spaces_end(std::size_t i) const {
        return run_end(i, [this](std::size_t k) { return is_space(k); });
    }

private:
    std::span<Character const> characters_;
};

// A rule gives the end of the word that begins at i, or i when none does.
using Rule = std::size_t (*)(Fragment const& text, std::size_t i);

enum class Case { exact, ignored };

// 's|'t|'re|'ve|'m|'ll|'d
std::size_t contraction_end(Fragment const& text, std::size_t i, Case letter_case) {
    if (text.point(i) != U'\'') return i;
    auto const letter = [&text, letter_case](std::size_t k) {
        auto const point = text.point(k);
        bool const upper = point >= U'A' && point <= U'Z';
        return letter_case == Case::ignored && upper ? point + (U'a' - U'A') : point;
    };
    auto const first = letter(i + 1);
    auto const second = letter(i + 2);
    if (first == U's' || first == U't' || first == U'm' || first == U'd') return i + 2;
    if ((first == U'r' && second == U'e') || (first == U'v' && second == U'e') ||
        (first == U'l' && second == U'l'))
        return i + 3;
    return i;
}

// \s+(?!\S)|\s+ : a run before a word leaves its last space to it.
std::size_t spaces_rule(Fragment const& text, std::size_t i) {
    auto const end = text.spaces_end(i);
    return text.has(end) && end - i > 1 ? end - 1 : end;
}

// 's|...| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t gpt2_rule(Fragment const& text, std::size_t i) {
    if (auto const end = contraction_end(text, i, Case::exact); end != i) return end;
    auto const word = text.point(i) == U' ' ? i + 1 : i;
    if (text.is_letter(word)) return text.letters_end(word);
    if (text.is_number(word)) return text.numbers_end(word);
    if (text.is_symbol(word)) return text.symbols_end(word);
    return spaces_rule(text, i);
}

// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t newlines_rule(Fragment const& text, std::size_t i) {
    auto const end = text.spaces_end(i);
    for (auto k = end; k > i; --k)
        if (text.is_newline(k - 1)) return k;
    return spaces_rule(text, i);
}

// (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t modern_rule(Fragment const& text, std::size_t i, std::size_t digits_max) {
    if (auto const end = contraction_end(text, i, Case::ignored); end != i) return end;
    if (text.is_letter(i)) return text.letters_end(i);
    if (!text.is_newline(i) && !text.is_number(i) && text.is_letter(i + 1))
        return text.letters_end(i + 1);
    if (text.is_number(i)) {
        auto end = i + 1;  // not numbers_end(): a long run would be walked again for every piece
        while (end < i + digits_max && text.is_number(end)) ++end;
        return end;
    }
    auto const word = text.point(i) == U' ' ? i + 1 : i;
    if (text.is_symbol(word))
        return text.run_end(text.symbols_end(word),
                            [&text](std::size_t k) { return text.is_newline(k); });
    return newlines_rule(text, i);
}

// llama.cpp's form of it: capitals are A to Z alone.
// [^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]*[\p{L}--[A-Z]]+|[^\r\n\p{L}\p{N}]?[\p{L}--[a-z]]+
// [\p{L}--[A-Z]]*, from i, behind the character in front; i: no match.
std::size_t capitalised_end(Fragment const& text, std::size_t i) {
    auto const not_small = [&text](std::size_t k) {
        return text.is_letter(k) && !(text.point(k) >= U'a' && text.point(k) <= U'z');
    };
    auto const not_capital = [&text](std::size_t k) {
        return text.is_letter(k) && !(text.point(k) >= U'A' && text.point(k) <= U'Z');
    };
    auto const first_end = text.run_end(i, not_small);
    auto const end = text.run_end(first_end, not_capital);
    if (end != first_end) return end;
    // As an expression goes back: to the last letter of neither case, if there is one.
    for (auto k = first_end; k > i; --k)
        if (not_capital(k - 1)) return k;
    return first_end;
}

// capitalised_end|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t tekken_rule(Fragment const& text, std::size_t i) {
    if (text.is_letter(i)) return capitalised_end(text, i);
    if (!text.is_newline(i) && !text.is_number(i) && text.is_letter(i + 1))
        return capitalised_end(text, i + 1);
    if (text.is_number(i)) return i + 1;
    auto const word = text.point(i) == U' ' ? i + 1 : i;
    if (text.is_symbol(word))
        return text.run_end(text.symbols_end(word), [&text](std::size_t k) {
            return text.is_newline(k) || text.point(k) == U'/';
        });
    return newlines_rule(text, i);
}

std::size_t llama3_rule(Fragment const& text, std::size_t i) {
    return modern_rule(text, i, 3);
}
std::size_t qwen2_rule(Fragment const& text, std::size_t i) {
    return modern_rule(text, i, 1);
}

// [\p{P}\$\+<=>\^~\|]+
std::size_t punctuation_rule(Fragment const& text, std::size_t i) {
    return text.run_end(i, [&text](std::size_t k) {
        auto const point = text.point(k);
        return text.is(k, CharClass::punctuation) ||
               (text.has(k) && point < 0x80 && point != 0 &&
                std::u32string_view(U"$+<=>^~|").find(point) != std::u32string_view::npos);
    });
}
// \p{N}+
std::size_t numbers_rule(Fragment const& text, std::size_t i) {
    return text.numbers_end(i);
}
// \p{N}
std::size_t digit_rule(Fragment const& text, std::size_t i) {
    return text.is_number(i) ? i + 1 : i;
}
// [0-9][0-9][0-9]
std::size_t three_digits_rule(Fragment const& text, std::size_t i) {
    auto const digit = [&text](std::size_t k) {
        return text.point(k) >= U'0' && text.point(k) <= U'9';
    };
    return digit(i) && digit(i + 1) && digit(i + 2) ? i + 3 : i;
}

// Applied one after the other to what the one before made; what a rule does not match stays
// together.
std::span<Rule const> rules_of(PreTokenizer rules) {
    static constexpr Rule gpt2[] = {gpt2_rule};
    static constexpr Rule plain[] = {punctuation_rule, gpt2_rule, numbers_rule, three_digits_rule};
    static constexpr Rule llama3[] = {llama3_rule};
    static constexpr Rule qwen2[] = {qwen2_rule};
    static constexpr Rule smollm[] = {digit_rule, gpt2_rule};
    static constexpr Rule tekken[] = {tekken_rule};
    switch (rules) {
        case PreTokenizer::gpt2:
            return gpt2;
        case PreTokenizer::plain:
            return plain;
        case PreTokenizer::llama3:
        case PreTokenizer::dbrx:
            return llama3;
        case PreTokenizer::qwen2:
            return qwen2;
        case PreTokenizer::smollm:
            return smollm;
        case PreTokenizer::tekken:
            return tekken;
    }
    return gpt2;
}

// Cuts the characters [begin, end) by one rule; appends the ends of the pieces.
void cut(Rule rule, std::vector<Character> const& characters, std::size_t begin, std::size_t end,
         std::vector<std::size_t>& ends) {
    std::span<Character const> const all(characters);
    Fragment const text(all.subspan(begin, end - begin));
    std::size_t gap = 0;  // begin of what no match has taken
    for (std::size_t i = 0; i < text.size();) {
        auto const match_end = rule(text, i);
        if (match_end == i) {
            ++i;
            continue;
        }
        if (gap != i) ends.push_back(begin + i);
        ends.push_back(begin + match_end);
        i = gap = match_end;
    }
    if (gap != text.size()) ends.push_back(end);
}

}  // namespace

std::optional<PreTokenizer> find_pre_tokenizer(std::string_view name) {
    if (name == "gpt-2" || name == "gpt2") return PreTokenizer::gpt2;
    if (name == "default") return PreTokenizer::plain;
    if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") return PreTokenizer::llama3;
    if (name == "dbrx" || name == "smaug-bpe") return PreTokenizer::dbrx;
    if (name == "qwen2" || name == "deepseek-r1-qwen") return PreTokenizer::qwen2;
    if (name == "smollm") return PreTokenizer::smollm;
    if (name == "tekken") return PreTokenizer::tekken;
    return std::nullopt;
}

std::vector<std::string_view> split_words(PreTokenizer rules, std::string_view text) {
    auto const characters = split_characters(text);
    std::vector<std::size_t> ends{characters.size() - 1};
    for (auto const rule : rules_of(rules)) {
        std::vector<std::size_t> finer;
        std::size_t begin = 0;
        for (auto const end : ends) {
            cut(rule, characters, begin, end, finer);
            begin = end;
        }
        ends = std::move(finer);
    }
    std::vector<std::string_view> out;
    out.reserve(ends.size());
    std::size_t begin = 0;
    for (auto const end : ends) {
        auto const from = characters[begin].offset;
        out.push_back(text.substr(from, characters[end].offset - from));
        begin = end;
    }
    return out;
}

}  // namespace kith::infer
