#include "infer/grammar/pattern.h"

#include <algorithm>
#include <optional>
#include <string>

namespace kith::infer::grammar {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

CodePoints digits() {
    return {{'0', '9'}};
}

CodePoints word_characters() {
    return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
}

// ECMA-262, 12.2 and 12.3: WhiteSpace and LineTerminator.
CodePoints blanks() {
    return {{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
            {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
            {0x3000, 0x3000}, {0xfeff, 0xfeff}};
}

CodePoints any_but_line_ends() {
    return CodePoints{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.complement();
}

std::optional<CodePoints> find_class(char letter) {
    switch (letter) {
        case 'd':
            return digits();
        case 'D':
            return digits().complement();
        case 'w':
            return word_characters();
        case 'W':
            return word_characters().complement();
        case 's':
            return blanks();
        case 'S':
            return blanks().complement();
        default:
            return std::nullopt;
    }
}

std::optional<char32_t> find_control(char letter) {
    switch (letter) {
        case 't':
            return '\t';
        case 'n':
            return '\n';
        case 'v':
            return '\v';
        case 'f':
            return '\f';
        case 'r':
            return '\r';
        default:
            return std::nullopt;
    }
}

std::unexpected<base::Error> no_pattern(std::string const& what) {
    return fail(Code::invalid, "a pattern with " + what);
}

std::unexpected<base::Error> unsupported(std::string const& what) {
    return fail(Code::unsupported, "a pattern with " + what + ", which is not supported,");
}

class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    Result<Pattern> run() {
        std::vector<std::size_t> alternatives;
        do {
            alternatives.push_back(KITH_TRY(outermost()));
        } while (take('|'));
        if (!at_end()) return no_pattern("a ')' that closes nothing");
        out_.root = join(Pattern::Kind::alternative, std::move(alternatives));
        return std::move(out_);
    }

private:
    [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
    [[nodiscard]] bool next_is(std::string_view word) const {
        return text_.substr(at_).starts_with(word);
    }
    bool take(char c) {
        if (at_end() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    bool take(std::string_view word) {
        if (!next_is(word)) return false;
        at_ += word.size();
        return true;
    }

    std::size_t add(Pattern::Node node) {
        out_.nodes.push_back(std::move(node));
        return out_.nodes.size() - 1;
    }
    std::size_t characters(CodePoints const& set) {
        out_.sets.push_back(set);
        return add({.kind = Pattern::Kind::characters, .set = out_.sets.size() - 1});
    }
    std::size_t join(Pattern::Kind kind, std::vector<std::size_t> children) {
        if (children.size() == 1) return children[0];
        return add({.kind = kind, .children = std::move(children)});
    }
    std::size_t repeat(std::size_t child, std::size_t least, std::size_t most) {
        return add(
            {.kind = Pattern::Kind::repeat, .children = {child}, .least = least, .most = most});
    }
    std::size_t any_text() {
        return repeat(characters(CodePoints{{0, code_point_max}}), 0, Pattern::no_limit);
    }

    // One alternative of the whole: the only place of anchors.
    Result<std::size_t> outermost() {
        bool const is_begin = take('^');
        auto parts = KITH_TRY(terms());
        bool const is_end = take('$');
        if (is_end && !at_end() && !next_is("|")) {
            if (next_is(")")) return no_pattern("a ')' that closes nothing");
            return unsupported("'$' before the end");
        }
        if (!is_begin) parts.insert(parts.begin(), any_text());
        if (!is_end) parts.push_back(any_text());
        return join(Pattern::Kind::sequence, std::move(parts));
    }

    // Up to '|', ')', '$' or the end.
    Result<std::vector<std::size_t>> terms() {
        std::vector<std::size_t> parts;
        while (!at_end() && !next_is("|") && !next_is(")") && !next_is("$"))
            parts.push_back(KITH_TRY(quantified()));
        return parts;
    }

    Result<std::size_t> group() {
        if (++depth_ > pattern_depth_max)
            return fail(Code::too_large, "a pattern with more than 32 groups in each other");
        KITH_TRY(group_kind());
        std::vector<std::size_t> alternatives;
        do {
            auto parts = KITH_TRY(terms());
            if (next_is("$")) return unsupported("'$' inside of a group");
            alternatives.push_back(join(Pattern::Kind::sequence, std::move(parts)));
        } while (take('|'));
        if (!take(')')) return no_pattern("a group that is not closed");
        --depth_;
        return join(Pattern::Kind::alternative, std::move(alternatives));
    }

    // What follows "(": all groups that only hold together are the same here.
    Status group_kind() {
        if (!take('?')) return {};
        if (take(':')) return {};
        if (next_is("=") || next_is("!")) return unsupported("'(?=' or '(?!'");
        if (next_is("<=") || next_is("<!")) return unsupported("'(?<=' or '(?<!'");
        if (!take('<')) return unsupported("flags in a group");
        auto const begin = at_;
        while (!at_end() && text_[at_] != '>') ++at_;
        if (at_ == begin || !take('>')) return no_pattern("a group whose name is not closed");
        return {};
    }

    Result<std::size_t> quantified() {
        auto const child = KITH_TRY(atom());
        std::size_t least = 0;
        std::size_t most = Pattern::no_limit;
        if (take('+')) {
            least = 1;
        } else if (take('?')) {
            most = 1;
        } else if (take('{')) {
            KITH_TRY(counts(least, most));
        } else if (!take('*')) {
            return child;
        }
        (void)take('?');  // lazy: the same texts
        return repeat(child, least, most);
    }

    Status counts(std::size_t& least, std::size_t& most) {
        least = KITH_TRY(count());
        most = least;
        if (take(',')) most = next_is("}") ? Pattern::no_limit : KITH_TRY(count());
        if (!take('}')) return no_pattern("a '{' that begins no number of times");
        if (most < least) return no_pattern("numbers of times in the wrong order");
        return {};
    }

    Result<std::size_t> count() {
        std::size_t value = 0;
        auto const begin = at_;
        for (; !at_end() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
            value = value * 10 + static_cast<std::size_t>(text_[at_] - '0');
            if (value > pattern_repeats_max)
                return fail(Code::too_large, "a pattern with a part more than 4096 times");
        }
        if (at_ == begin) return no_pattern("a '{' that begins no number of times");
        return value;
    }

    Result<std::size_t> atom() {
        if (take('(')) return group();
        if (take('[')) return characters(KITH_TRY(bracket()));
        if (take('.')) return characters(any_but_line_ends());
        if (next_is("^")) return unsupported("'^' behind the beginning");
        for (auto const* const sign : {"*", "+", "?", "{", "}", "]"})
            if (next_is(sign)) return no_pattern("a '" + std::string(sign) + "' that stands alone");
        auto set = KITH_TRY(member(Place::outside));
        return characters(set);
    }

    enum class Place { outside, bracket };

    // Behind "[", up to and with "]".
    Result<CodePoints> bracket() {
        bool const is_not = take('^');
        CodePoints out;
        while (!take(']')) {
            if (at_end()) return no_pattern("a '[' that is not closed");
            auto first = KITH_TRY(member(Place::bracket));
            bool const is_range = next_is("-") && !next_is("-]");
            if (is_range) {
                ++at_;
                if (at_end()) return no_pattern("a '[' that is not closed");
                auto const last = KITH_TRY(member(Place::bracket));
                if (!is_single(first) || !is_single(last))
                    return no_pattern("a range whose ends are no characters");
                CodePoints::Range const range{first.ranges()[0].first, last.ranges()[0].first};
                if (range.first > range.last) return no_pattern("a range in the wrong order");
                first = CodePoints{range};
            }
            out.add(first);
            if (out.ranges().size() > code_point_ranges_max)
                return fail(Code::too_large, "a pattern with more than 1024 ranges in one class");
        }
        return is_not ? out.complement() : out;
    }

    static bool is_single(CodePoints const& set) {
        return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].last;
    }

    // A character or an escape.
    Result<CodePoints> member(Place place) {
        if (take('\\')) return escape(place);
        auto const point = KITH_TRY(utf8());
        return CodePoints{{point, point}};
    }

    Result<CodePoints> escape(Place place) {
        if (at_end()) return no_pattern("a '\\' at its end");
        char const letter = text_[at_++];
        if (auto set = find_class(letter)) return *std::move(set);
        auto const single = [](char32_t point) { return CodePoints{{point, point}}; };
        if (auto const control = find_control(letter)) return single(*control);
        if (letter == '0' && (at_end() || text_[at_] < '0' || text_[at_] > '9')) return single(0);
        if (letter == 'x') return hex(2, 2);
        if (letter == 'u') {
            if (!take('{')) return hex(4, 4);
            auto out = KITH_TRY(hex(1, 6));
            if (!take('}')) return no_pattern("a '\\u{' that is not closed");
            return out;
        }
        constexpr std::string_view syntax = "^$\\.*+?()[]{}|/";
        if (syntax.find(letter) != std::string_view::npos)
            return single(static_cast<unsigned char>(letter));
        if (letter == '-' && place == Place::bracket) return single('-');
        // Without the flag u these mean themselves, and many patterns write them.
        constexpr std::string_view harmless = "-\"'!#%&,:;<=>@_`~ ";
        if (harmless.find(letter) != std::string_view::npos)
            return single(static_cast<unsigned char>(letter));
        if (letter == 'b' && place == Place::bracket) return single('\b');
        if (letter == 'b' || letter == 'B') return unsupported("'\\b' or '\\B'");
        if ((letter >= '0' && letter <= '9') || letter == 'k')
            return unsupported("a back reference");
        if (letter == 'p' || letter == 'P') return unsupported("'\\p'");
        if (letter == 'c') return unsupported("'\\c'");
        return no_pattern("an escape that means nothing");
    }

    Result<CodePoints> hex(std::size_t least, std::size_t most) {
        char32_t point = 0;
        std::size_t count = 0;
        for (; count < most && !at_end(); ++count, ++at_) {
            constexpr std::string_view lower = "0123456789abcdef";
            constexpr std::string_view upper = "0123456789ABCDEF";
            auto const digit = std::min(lower.find(text_[at_]), upper.find(text_[at_]));
            if (digit == std::string_view::npos) break;
            point = point * 16 + static_cast<char32_t>(digit);
        }
        if (count < least || point > code_point_max) return no_pattern("a number of no character");
        if (point >= 0xd800 && point <= 0xdfff) return unsupported("half of a surrogate pair");
        return CodePoints{{point, point}};
    }

    // The schema was parsed as JSON, which is UTF-8; looked at all the same.
    Result<char32_t> utf8() {
        auto const first = static_cast<unsigned char>(text_[at_]);
        std::size_t const tails = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || text_.size() - at_ <= tails)
            return no_pattern("bytes that are no UTF-8");
        auto point = tails == 0 ? char32_t{first} : char32_t{first & (0x3fU >> tails)};
        for (std::size_t i = 1; i <= tails; ++i) {
            auto const byte = static_cast<unsigned char>(text_[at_ + i]);
            if ((byte & 0xc0U) != 0x80) return no_pattern("bytes that are no UTF-8");
            point = point << 6U | (byte & 0x3fU);
        }
        at_ += tails + 1;
        return point;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    Pattern out_;
};

}  // namespace

Result<Pattern> read_pattern(std::string_view text) {
    if (text.size() > pattern_bytes_max)
        return fail(Code::too_large, "a pattern longer than 4096 bytes");
    return Reader(text).run();
}

}  // namespace kith::infer::grammar
