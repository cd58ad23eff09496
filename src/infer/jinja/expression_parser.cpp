#include "infer/jinja/expression_parser.h"

#include <array>
#include <charconv>

namespace kith::infer::jinja {

using base::Code;
using base::Result;
using base::Status;
using Kind = Expression::Kind;

namespace {
// Of parentheses, brackets, signs and conditions within each other, while parsing.
constexpr std::size_t nesting_max = 48;

struct Nesting {
    explicit Nesting(std::size_t& depth) : depth_(depth) { ++depth_; }
    ~Nesting() { --depth_; }
    Nesting(Nesting const&) = delete;
    Nesting& operator=(Nesting const&) = delete;
    std::size_t& depth_;
};
}  // namespace

Result<ExpressionPtr> ExpressionParser::make(Kind kind, std::vector<ExpressionPtr> parts) {
    KITH_TRY(tokens_.count());
    auto out = std::make_unique<Expression>();
    out->kind = kind;
    out->line = tokens_.now().line;
    for (auto const& part : parts)
        if (part) out->depth = std::max(out->depth, part->depth + 1);
    if (out->depth > expression_depth_max)
        return tokens_.error(Code::too_large, "an expression is nested too deep");
    out->parts = std::move(parts);
    return out;
}

Result<ExpressionPtr> ExpressionParser::make(Kind kind, ExpressionPtr one, ExpressionPtr two) {
    std::vector<ExpressionPtr> parts;
    if (one) parts.push_back(std::move(one));
    if (two) parts.push_back(std::move(two));
    return make(kind, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::expressions(Condition condition) {
    auto const one = [&] { return condition == Condition::part_of_it ? expression() : logic_or(); };
    auto first = KITH_TRY(one());
    if (!tokens_.is_symbol(",")) return first;
    std::vector<ExpressionPtr> parts;
    parts.push_back(std::move(first));
    while (tokens_.skip_symbol(",")) {
        bool const ends = tokens_.is(Token::Kind::statement_end) ||
                          tokens_.is(Token::Kind::output_end) || tokens_.is_symbol(")");
        if (ends) break;
        parts.push_back(KITH_TRY(one()));
    }
    return make(Kind::list, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::expression() {
    Nesting const nesting(nesting_);
    if (nesting_ > nesting_max)
        return tokens_.error(Code::too_large, "an expression is nested too deep");
    auto out = KITH_TRY(logic_or());
    while (tokens_.skip_name("if")) {
        std::vector<ExpressionPtr> parts;
        parts.push_back(std::move(out));
        parts.push_back(KITH_TRY(logic_or()));
        parts.push_back(tokens_.skip_name("else") ? KITH_TRY(expression()) : nullptr);
        out = KITH_TRY(make(Kind::conditional, std::move(parts)));
    }
    return out;
}

Result<ExpressionPtr> ExpressionParser::logic_or() {
    auto out = KITH_TRY(logic_and());
    while (tokens_.skip_name("or"))
        out = KITH_TRY(make(Kind::logic_or, std::move(out), KITH_TRY(logic_and())));
    return out;
}

Result<ExpressionPtr> ExpressionParser::logic_and() {
    auto out = KITH_TRY(logic_not());
    while (tokens_.skip_name("and"))
        out = KITH_TRY(make(Kind::logic_and, std::move(out), KITH_TRY(logic_not())));
    return out;
}

Result<ExpressionPtr> ExpressionParser::logic_not() {
    std::size_t count = 0;
    while (tokens_.skip_name("not")) ++count;
    auto out = KITH_TRY(comparison());
    for (; count > 0; --count) out = KITH_TRY(make(Kind::logic_not, std::move(out)));
    return out;
}

bool ExpressionParser::comparison_operator(Operator& out) {
    struct Row {
        std::string_view symbol;
        Operator meaning;
    };
    constexpr std::array rows = {
        Row{"==", Operator::equal},  Row{"!=", Operator::not_equal},
        Row{"<", Operator::less},    Row{"<=", Operator::less_equal},
        Row{">", Operator::greater}, Row{">=", Operator::greater_equal},
    };
    for (auto const& row : rows) {
        if (!tokens_.skip_symbol(row.symbol)) continue;
        out = row.meaning;
        return true;
    }
    if (tokens_.skip_name("in")) {
        out = Operator::in;
        return true;
    }
    bool const is_not_in = tokens_.is_name("not") && tokens_.next().kind == Token::Kind::name &&
                           tokens_.next().text == "in";
    if (!is_not_in) return false;
    tokens_.take();
    tokens_.take();
    out = Operator::not_in;
    return true;
}

Result<ExpressionPtr> ExpressionParser::comparison() {
    auto first = KITH_TRY(sum());
    std::vector<Operator> operators;
    std::vector<ExpressionPtr> parts;
    for (Operator found{}; comparison_operator(found);) {
        operators.push_back(found);
        parts.push_back(KITH_TRY(sum()));
    }
    if (operators.empty()) return first;
    parts.insert(parts.begin(), std::move(first));
    auto out = KITH_TRY(make(Kind::comparison, std::move(parts)));
    out->operators = std::move(operators);
    return out;
}

Result<ExpressionPtr> ExpressionParser::sum() {
    auto out = KITH_TRY(concat());
    while (tokens_.is_symbol("+") || tokens_.is_symbol("-")) {
        auto const found = tokens_.take().text == "+" ? Operator::add : Operator::subtract;
        out = KITH_TRY(make(Kind::arithmetic, std::move(out), KITH_TRY(concat())));
        out->operators = {found};
    }
    return out;
}

Result<ExpressionPtr> ExpressionParser::concat() {
    auto first = KITH_TRY(product());
    if (!tokens_.is_symbol("~")) return first;
    std::vector<ExpressionPtr> parts;
    parts.push_back(std::move(first));
    while (tokens_.skip_symbol("~")) parts.push_back(KITH_TRY(product()));
    return make(Kind::concat, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::product() {
    struct Row {
        std::string_view symbol;
        Operator meaning;
    };
    constexpr std::array rows = {
        Row{"*", Operator::multiply},
        Row{"/", Operator::divide},
        Row{"//", Operator::floor_divide},
        Row{"%", Operator::modulo},
    };
    auto out = KITH_TRY(power());
    while (true) {
        auto const* const row = std::ranges::find_if(
            rows, [&](Row const& each) { return tokens_.skip_symbol(each.symbol); });
        if (row == rows.end()) return out;
        out = KITH_TRY(make(Kind::arithmetic, std::move(out), KITH_TRY(power())));
        out->operators = {row->meaning};
    }
}

Result<ExpressionPtr> ExpressionParser::power() {
    auto out = KITH_TRY(unary());
    while (tokens_.skip_symbol("**")) {
        out = KITH_TRY(make(Kind::arithmetic, std::move(out), KITH_TRY(unary())));
        out->operators = {Operator::power};
    }
    return out;
}

Result<ExpressionPtr> ExpressionParser::unary() {
    return sign(true);
}

Result<ExpressionPtr> ExpressionParser::sign(bool with_filters) {
    Nesting const nesting(nesting_);
    if (nesting_ > nesting_max)
        return tokens_.error(Code::too_large, "an expression is nested too deep");
    ExpressionPtr out;
    if (tokens_.skip_symbol("-")) {
        out = KITH_TRY(make(Kind::negate, KITH_TRY(sign(false))));
    } else if (tokens_.skip_symbol("+")) {
        out = KITH_TRY(make(Kind::identity, KITH_TRY(sign(false))));
    } else {
        out = KITH_TRY(primary());
    }
    out = KITH_TRY(postfix(std::move(out)));
    return with_filters ? filters_and_tests(std::move(out)) : Result<ExpressionPtr>(std::move(out));
}

Result<ExpressionPtr> ExpressionParser::primary() {
    if (tokens_.is_symbol("(")) return in_parentheses();
    if (tokens_.is_symbol("[")) return list();
    if (tokens_.is_symbol("{")) return dict();
    return literal();
}

Result<ExpressionPtr> ExpressionParser::literal() {
    auto out = KITH_TRY(make(Kind::literal, std::vector<ExpressionPtr>{}));
    auto const& token = tokens_.now();
    auto const* const begin = token.text.data();
    auto const* const end = begin + token.text.size();
    if (token.kind == Token::Kind::string) {
        std::string text = tokens_.take().text;
        while (tokens_.is(Token::Kind::string)) text += tokens_.take().text;
        out->literal = Text(text, Origin::written);
        return out;
    }
    if (token.kind == Token::Kind::integer) {
        std::int64_t value = 0;
        if (std::from_chars(begin, end, value).ec != std::errc())
            return tokens_.error(Code::unsupported, "a number of more than 64 bits");
        out->literal = value;
    } else if (token.kind == Token::Kind::real) {
        double value = 0;
        if (std::from_chars(begin, end, value).ec != std::errc())
            return tokens_.error(Code::unsupported, "a number out of range");
        out->literal = value;
    } else if (token.kind != Token::Kind::name) {
        return tokens_.error(Code::invalid, "expected an expression");
    } else if (token.text == "true" || token.text == "True") {
        out->literal = true;
    } else if (token.text == "false" || token.text == "False") {
        out->literal = false;
    } else if (token.text != "none" && token.text != "None") {
        out->kind = Kind::name;
        out->name = token.text;
    }
    tokens_.take();
    return out;
}

Result<ExpressionPtr> ExpressionParser::in_parentheses() {
    tokens_.take();
    if (tokens_.skip_symbol(")")) return make(Kind::list, std::vector<ExpressionPtr>{});
    auto out = KITH_TRY(expressions(Condition::part_of_it));
    KITH_TRY(tokens_.expect_symbol(")"));
    return out;
}

Result<ExpressionPtr> ExpressionParser::list() {
    tokens_.take();
    std::vector<ExpressionPtr> parts;
    while (!tokens_.is_symbol("]")) {
        if (!parts.empty()) KITH_TRY(tokens_.expect_symbol(","));
        if (tokens_.is_symbol("]")) break;
        parts.push_back(KITH_TRY(expression()));
    }
    tokens_.take();
    return make(Kind::list, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::dict() {
    tokens_.take();
    std::vector<ExpressionPtr> parts;
    while (!tokens_.is_symbol("}")) {
        if (!parts.empty()) KITH_TRY(tokens_.expect_symbol(","));
        if (tokens_.is_symbol("}")) break;
        parts.push_back(KITH_TRY(expression()));
        KITH_TRY(tokens_.expect_symbol(":"));
        parts.push_back(KITH_TRY(expression()));
    }
    tokens_.take();
    return make(Kind::dict, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::postfix(ExpressionPtr subject) {
    while (true) {
        if (tokens_.skip_symbol(".")) {
            bool const is_place = tokens_.is(Token::Kind::integer);
            if (is_place) {  // a.0
                subject = KITH_TRY(make(Kind::item, std::move(subject), KITH_TRY(literal())));
                continue;
            }
            auto name = KITH_TRY(tokens_.expect_name());
            subject = KITH_TRY(make(Kind::attribute, std::move(subject)));
            subject->name = std::move(name);
        } else if (tokens_.is_symbol("[")) {
            subject = KITH_TRY(subscript(std::move(subject)));
        } else if (tokens_.is_symbol("(")) {
            subject = KITH_TRY(call(std::move(subject)));
        } else {
            return subject;
        }
    }
}

Result<ExpressionPtr> ExpressionParser::subscript(ExpressionPtr subject) {
    tokens_.take();
    std::vector<ExpressionPtr> parts;
    parts.push_back(std::move(subject));
    bool is_slice = false;
    while (!tokens_.is_symbol("]")) {
        if (tokens_.skip_symbol(":")) {
            if (!is_slice && parts.size() == 1) parts.push_back(nullptr);
            is_slice = true;
            bool const empty = tokens_.is_symbol(":") || tokens_.is_symbol("]");
            parts.push_back(empty ? nullptr : KITH_TRY(expression()));
        } else if (parts.size() == 1) {
            parts.push_back(KITH_TRY(expression()));
        } else {
            return tokens_.error(Code::invalid, "expected ']'");
        }
    }
    tokens_.take();
    if (parts.size() == 1 || parts.size() > 4)
        return tokens_.error(Code::invalid, "an index that is none");
    if (is_slice) parts.resize(4);
    return make(is_slice ? Kind::slice : Kind::item, std::move(parts));
}

Result<ExpressionPtr> ExpressionParser::filters_of(ExpressionPtr subject) {
    while (tokens_.is_symbol("|")) subject = KITH_TRY(filter(std::move(subject)));
    return subject;
}

Result<ExpressionPtr> ExpressionParser::filters_and_tests(ExpressionPtr subject) {
    while (true) {
        if (tokens_.is_symbol("|")) {
            subject = KITH_TRY(filter(std::move(subject)));
        } else if (tokens_.is_name("is")) {
            subject = KITH_TRY(test(std::move(subject)));
        } else if (tokens_.is_symbol("(")) {
            subject = KITH_TRY(call(std::move(subject)));
        } else {
            return subject;
        }
    }
}

Result<ExpressionPtr> ExpressionParser::filter(ExpressionPtr subject) {
    tokens_.take();
    auto name = KITH_TRY(tokens_.expect_name());
    auto out = KITH_TRY(make(Kind::filter, std::move(subject)));
    out->name = std::move(name);
    if (tokens_.is_symbol("(")) KITH_TRY(arguments(*out));
    return out;
}

bool ExpressionParser::argument_follows() const {
    constexpr std::array<std::string_view, 7> words = {"else", "or",  "and", "if",
                                                       "in",   "not", "is"};
    auto const& token = tokens_.now();
    if (token.kind == Token::Kind::name) return std::ranges::find(words, token.text) == words.end();
    if (token.kind == Token::Kind::symbol) return token.text == "[" || token.text == "{";
    return token.kind == Token::Kind::string || token.kind == Token::Kind::integer ||
           token.kind == Token::Kind::real;
}

Result<ExpressionPtr> ExpressionParser::test(ExpressionPtr subject) {
    tokens_.take();
    bool const negated = tokens_.skip_name("not");
    auto name = KITH_TRY(tokens_.expect_name());
    auto out = KITH_TRY(make(Kind::test, std::move(subject)));
    out->name = std::move(name);
    if (tokens_.is_symbol("(")) {
        KITH_TRY(arguments(*out));
    } else if (argument_follows()) {
        auto argument = KITH_TRY(postfix(KITH_TRY(primary())));
        out->depth = std::max(out->depth, argument->depth + 1);
        out->parts.push_back(std::move(argument));
    }
    return negated ? make(Kind::logic_not, std::move(out)) : Result<ExpressionPtr>(std::move(out));
}

Result<ExpressionPtr> ExpressionParser::call(ExpressionPtr subject) {
    auto out = KITH_TRY(make(Kind::call, std::move(subject)));
    KITH_TRY(arguments(*out));
    return out;
}

Status ExpressionParser::arguments(Expression& out) {
    tokens_.take();
    std::size_t count = 0;
    while (!tokens_.is_symbol(")")) {
        if (count > 0) KITH_TRY(tokens_.expect_symbol(","));
        if (tokens_.is_symbol(")")) break;
        if (++count > arguments_max) return tokens_.error(Code::too_large, "too many arguments");
        bool const is_named = tokens_.is(Token::Kind::name) &&
                              tokens_.next().kind == Token::Kind::symbol &&
                              tokens_.next().text == "=";
        std::string name;
        if (is_named) {
            name = tokens_.take().text;
            tokens_.take();
        } else if (!out.named.empty()) {
            return tokens_.error(Code::invalid,
                                 "an argument without a name behind one with a name");
        }
        auto value = KITH_TRY(expression());
        out.depth = std::max(out.depth, value->depth + 1);
        if (is_named)
            out.named.push_back({std::move(name), std::move(value)});
        else
            out.parts.push_back(std::move(value));
    }
    tokens_.take();
    if (out.depth > expression_depth_max)
        return tokens_.error(Code::too_large, "an expression is nested too deep");
    return {};
}

}  // namespace kith::infer::jinja
