#include "infer/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "infer/jinja/text.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view blanks = " \t\r\n\v\f";
constexpr std::size_t brackets_depth_max = 64;

bool is_blank(char c) {
    return blanks.find(c) != std::string_view::npos;
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name_part(char c) {
    return is_name_start(c) || is_digit(c);
}

std::string with_plain_newlines(std::string_view source) {
    std::string out;
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            out += source[i];
            continue;
        }
        out += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
    if (out.ends_with('\n')) out.pop_back();
    return out;
}

class Lexer {
public:
    explicit Lexer(std::string source) : source_(std::move(source)) {}

    Result<std::vector<Token>> run() {
        while (at_ < source_.size()) KITH_TRY(data_and_tag());
        add(Token::Kind::end, {});
        if (tokens_.size() > tokens_max) return fail(Code::too_large, "too many tokens");
        return std::move(tokens_);
    }

private:
    Status data_and_tag();
    Status comment();
    Status raw(std::size_t tag);
    Status inside(std::string_view closer, Token::Kind end);
    Status one_token();
    Status string_literal();
    Status escape(std::string& out);
    void number();
    Status symbol();
    bool skip_closer(std::string_view closer);

    void add(Token::Kind kind, std::string text) {
        tokens_.push_back({kind, line_, std::move(text)});
    }
    void advance_to(std::size_t place) {
        auto const from = source_.begin() + static_cast<std::ptrdiff_t>(at_);
        auto const to = source_.begin() + static_cast<std::ptrdiff_t>(place);
        line_ += static_cast<std::uint32_t>(std::count(from, to, '\n'));
        at_ = place;
    }
    void skip_blanks() {
        auto const next = source_.find_first_not_of(blanks, at_);
        advance_to(next == std::string::npos ? source_.size() : next);
    }
    void data_before(std::size_t tag);
    [[nodiscard]] bool has(std::size_t place, std::string_view text) const {
        return place <= source_.size() && source_.compare(place, text.size(), text) == 0;
    }
    [[nodiscard]] Status error(std::string const& what) const {
        return fail(Code::invalid, "line " + std::to_string(line_) + ": " + what);
    }

    std::string source_;
    std::size_t at_ = 0;
    std::uint32_t line_ = 1;
    bool at_line_start_ = true;  // where the last tag ended
    std::vector<char> brackets_;
    std::vector<Token> tokens_;
};

// The text up to the tag, less what the tag's sign or lstrip_blocks takes away.
void Lexer::data_before(std::size_t tag) {
    std::string_view data = std::string_view(source_).substr(at_, tag - at_);
    char const sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign == '-') {
        auto const last = data.find_last_not_of(blanks);
        data = data.substr(0, last == std::string_view::npos ? 0 : last + 1);
    } else if (sign != '+' && source_[tag + 1] != '{') {
        auto const newline = data.rfind('\n');
        auto const line = newline == std::string_view::npos ? 0 : newline + 1;
        bool const whole_line = line > 0 || at_line_start_;
        if (whole_line && std::ranges::all_of(data.substr(line), is_blank))
            data = data.substr(0, line);
    }
    if (!data.empty()) add(Token::Kind::data, std::string(data));
}

Status Lexer::data_and_tag() {
    auto tag = at_;
    while (tag < source_.size() && !has(tag, "{{") && !has(tag, "{%") && !has(tag, "{#")) ++tag;
    if (tag == source_.size()) {
        add(Token::Kind::data, source_.substr(at_));
        at_ = tag;
        return {};
    }
    data_before(tag);
    advance_to(tag);
    if (has(tag, "{#")) return comment();
    bool const is_output = has(tag, "{{");
    auto inner = tag + 2;
    if (inner < source_.size() && (source_[inner] == '-' || source_[inner] == '+')) ++inner;
    if (!is_output) {
        auto const word = source_.find_first_not_of(blanks, inner);
        if (word != std::string::npos && has(word, "raw") &&
            (word + 3 >= source_.size() || !is_name_part(source_[word + 3])))
            return raw(word + 3);
    }
    add(is_output ? Token::Kind::output_begin : Token::Kind::statement_begin, {});
    advance_to(inner);
    return is_output ? inside("}}", Token::Kind::output_end)
                     : inside("%}", Token::Kind::statement_end);
}

// Past "%}" and the like with their signs and the newline that trim_blocks takes; false: not here.
bool Lexer::skip_closer(std::string_view closer) {
    auto place = at_;
    char sign = '\0';
    if (place < source_.size() && (source_[place] == '-' || source_[place] == '+'))
        sign = source_[place++];
    if (!has(place, closer) || (sign == '+' && closer == "}}")) return false;
    place += closer.size();
    advance_to(place);
    if (sign == '-') {
        skip_blanks();
    } else if (sign != '+' && closer != "}}" && at_ < source_.size() && source_[at_] == '\n') {
        advance_to(at_ + 1);
    }
    at_line_start_ = source_[at_ - 1] == '\n';
    return true;
}

Status Lexer::comment() {
    auto const end = source_.find("#}", at_ + 2);
    if (end == std::string::npos) return error("a comment without its end");
    bool const has_sign = end > at_ + 2 && (source_[end - 1] == '-' || source_[end - 1] == '+');
    advance_to(has_sign ? end - 1 : end);
    (void)skip_closer("#}");
    return {};
}

// What stands between {% raw %} and {% endraw %} is data, whatever it looks like.
Status Lexer::raw(std::size_t tag) {
    advance_to(tag);
    skip_blanks();
    if (!skip_closer("%}")) return error("expected the end of the raw tag");
    for (auto end = source_.find("{%", at_); end != std::string::npos;
         end = source_.find("{%", end + 2)) {
        auto word = end + 2;
        if (word < source_.size() && (source_[word] == '-' || source_[word] == '+')) ++word;
        word = source_.find_first_not_of(blanks, word);
        if (word == std::string::npos || !has(word, "endraw")) continue;
        data_before(end);
        advance_to(word + 6);
        skip_blanks();
        if (!skip_closer("%}")) return error("expected the end of the endraw tag");
        return {};
    }
    return error("raw without endraw");
}

Status Lexer::inside(std::string_view closer, Token::Kind end) {
    brackets_.clear();
    while (true) {
        if (tokens_.size() > tokens_max) return fail(Code::too_large, "too many tokens");
        skip_blanks();
        if (at_ == source_.size()) return error("a tag without its end");
        if (brackets_.empty() && skip_closer(closer)) break;
        KITH_TRY(one_token());
    }
    add(end, {});
    return {};
}

Status Lexer::one_token() {
    char const c = source_[at_];
    if (is_name_start(c)) {
        auto place = at_;
        while (place < source_.size() && is_name_part(source_[place])) ++place;
        add(Token::Kind::name, source_.substr(at_, place - at_));
        at_ = place;
        return {};
    }
    if (is_digit(c)) {
        number();
        return {};
    }
    if (c == '"' || c == '\'') return string_literal();
    return symbol();
}

void Lexer::number() {
    std::string digits;
    auto kind = Token::Kind::integer;
    auto const take_digits = [&] {
        while (at_ < source_.size() && (is_digit(source_[at_]) || source_[at_] == '_')) {
            if (source_[at_] != '_') digits += source_[at_];
            ++at_;
        }
    };
    auto const digit_at = [&](std::size_t place) {
        return place < source_.size() && is_digit(source_[place]);
    };
    take_digits();
    if (has(at_, ".") && digit_at(at_ + 1)) {
        kind = Token::Kind::real;
        digits += source_[at_++];
        take_digits();
    }
    bool const has_exponent = has(at_, "e") || has(at_, "E");
    bool const has_sign = has(at_ + 1, "-") || has(at_ + 1, "+");
    if (has_exponent && digit_at(at_ + (has_sign ? 2 : 1))) {
        kind = Token::Kind::real;
        digits += source_.substr(at_, has_sign ? 2 : 1);
        at_ += has_sign ? 2 : 1;
        take_digits();
    }
    add(kind, std::move(digits));
}

Status Lexer::string_literal() {
    char const quote = source_[at_];
    auto const begin = at_++;
    std::string out;
    while (at_ < source_.size() && source_[at_] != quote) {
        if (source_[at_] != '\\') {
            out += source_[at_++];
            continue;
        }
        ++at_;
        KITH_TRY(escape(out));
    }
    if (at_ >= source_.size()) return error("a string without its end");
    ++at_;
    add(Token::Kind::string, std::move(out));
    line_ += static_cast<std::uint32_t>(
        std::ranges::count(std::string_view(source_).substr(begin, at_ - begin), '\n'));
    return {};
}

std::optional<unsigned> hex_digit(char c) {
    if (is_digit(c)) return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

// Behind the backslash, as Python reads its own strings; what is no escape keeps the backslash.
Status Lexer::escape(std::string& out) {
    if (at_ >= source_.size()) return error("a string without its end");
    char const c = source_[at_++];
    constexpr std::string_view names = "ntrabfv0\\'\"";
    constexpr std::string_view values("\n\t\r\a\b\f\v\0\\'\"", 11);
    if (auto const known = names.find(c); known != std::string_view::npos) {
        out += values[known];
        return {};
    }
    if (c == '\n') return {};
    std::size_t const digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {
        out += '\\';
        out += c;
        return {};
    }
    char32_t point = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        auto const digit = at_ < source_.size() ? hex_digit(source_[at_]) : std::nullopt;
        if (!digit) return error("an escape without its digits");
        point = point << 4U | *digit;
        ++at_;
    }
    if (point > 0x10ffffU || (point >= 0xd800U && point < 0xe000U))
        return error("an escape that is no character");
    append_character(out, point);
    return {};
}

Status Lexer::symbol() {
    constexpr std::array<std::string_view, 25> symbols = {
        "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "(",
        ")",  "[",  "]",  "{",  "}",  ",",  ":", ".", "|", "=", "<", ">"};
    auto const* const found =
        std::ranges::find_if(symbols, [&](std::string_view symbol) { return has(at_, symbol); });
    if (found == symbols.end()) return error("a character that means nothing here");
    char const c = found->front();
    if (c == '(' || c == '[' || c == '{') {
        if (brackets_.size() == brackets_depth_max)
            return fail(Code::too_large, "brackets are nested too deep");
        brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
        if (brackets_.empty() || brackets_.back() != c) return error("a bracket closes nothing");
        brackets_.pop_back();
    }
    add(Token::Kind::symbol, std::string(*found));
    at_ += found->size();
    return {};
}

}  // namespace

Result<std::vector<Token>> tokens_of(std::string_view source) {
    if (source.size() > template_bytes_max)
        return fail(Code::too_large, "the template is longer than 256 KiB");
    return Lexer(with_plain_newlines(source)).run();
}

}  // namespace kith::infer::jinja
