#include "infer/jinja/parser.h"

#include <array>

#include "infer/jinja/expression_parser.h"

namespace kith::infer::jinja {

using base::Code;
using base::Result;
using base::Status;
using Kind = Statement::Kind;
using StatementPtr = std::unique_ptr<Statement>;

namespace {

class StatementParser {
public:
    explicit StatementParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

    Result<Block> run() {
        auto out = KITH_TRY(block());
        if (!tokens_.is(Token::Kind::end))
            return tokens_.error(Code::invalid, "a tag that ends nothing");
        return out;
    }

private:
    // Up to the end, or to a tag that is none of these statements (endfor, else ...), whose `{%` is
    // read and whose name is next.
    Result<Block> block();
    Result<StatementPtr> statement();
    Result<StatementPtr> output();
    Result<StatementPtr> set();
    Result<StatementPtr> branch();
    Result<StatementPtr> loop();
    Result<StatementPtr> macro();
    Result<StatementPtr> generation();
    Result<std::vector<Target>> targets();
    Status parameters(Statement& out);
    Status end_tag(std::string_view name);
    Status end_of_tag() { return tokens_.expect(Token::Kind::statement_end, "the end of the tag"); }
    Result<StatementPtr> make(Kind kind);
    [[nodiscard]] bool ends_block() const;

    TokenReader tokens_;
    ExpressionParser expressions_{tokens_};
    std::size_t depth_ = 0;
    std::size_t loops_ = 0;
};

Result<StatementPtr> StatementParser::make(Kind kind) {
    KITH_TRY(tokens_.count());
    auto out = std::make_unique<Statement>();
    out->kind = kind;
    out->line = tokens_.now().line;
    return out;
}

bool StatementParser::ends_block() const {
    constexpr std::array<std::string_view, 7> names = {
        "elif", "else", "endif", "endfor", "endset", "endmacro", "endgeneration"};
    return tokens_.next().kind == Token::Kind::name &&
           std::ranges::find(names, tokens_.next().text) != names.end();
}

Result<Block> StatementParser::block() {
    if (depth_ == blocks_depth_max)
        return tokens_.error(Code::too_large, "blocks are nested too deep");
    ++depth_;
    Block out;
    while (!tokens_.is(Token::Kind::end)) {
        if (tokens_.is(Token::Kind::data)) {
            auto data = KITH_TRY(make(Kind::data));
            data->text = Text(tokens_.take().text, Origin::written);
            out.push_back(std::move(data));
        } else if (tokens_.is(Token::Kind::output_begin)) {
            out.push_back(KITH_TRY(output()));
        } else {
            bool const ends = ends_block();
            tokens_.take();
            if (ends) break;
            out.push_back(KITH_TRY(statement()));
        }
    }
    --depth_;
    return out;
}

Result<StatementPtr> StatementParser::output() {
    tokens_.take();
    auto out = KITH_TRY(make(Kind::output));
    out->expressions.push_back(
        KITH_TRY(expressions_.expressions(ExpressionParser::Condition::part_of_it)));
    KITH_TRY(tokens_.expect(Token::Kind::output_end, "'}}'"));
    return out;
}

Result<StatementPtr> StatementParser::statement() {
    auto const name = KITH_TRY(tokens_.expect_name());
    if (name == "set") return set();
    if (name == "if") return branch();
    if (name == "for") return loop();
    if (name == "macro") return macro();
    if (name == "generation") return generation();
    if (name == "break" || name == "continue") {
        if (loops_ == 0) return tokens_.error(Code::invalid, "'" + name + "' outside of a loop");
        auto out = KITH_TRY(make(name == "break" ? Kind::loop_break : Kind::loop_continue));
        KITH_TRY(end_of_tag());
        return out;
    }
    return tokens_.error(Code::unsupported, "the statement '" + name + "' is not supported");
}

Status StatementParser::end_tag(std::string_view name) {
    if (!tokens_.skip_name(name))
        return tokens_.error(Code::invalid, "expected '" + std::string(name) + "'");
    return end_of_tag();
}

Result<std::vector<Target>> StatementParser::targets() {
    std::vector<Target> out;
    bool const in_parentheses = tokens_.skip_symbol("(");
    do {
        if (out.size() == arguments_max) return tokens_.error(Code::too_large, "too many names");
        Target target{.name = KITH_TRY(tokens_.expect_name()), .attribute = {}};
        if (tokens_.skip_symbol(".")) target.attribute = KITH_TRY(tokens_.expect_name());
        out.push_back(std::move(target));
    } while (tokens_.skip_symbol(","));
    if (in_parentheses) KITH_TRY(tokens_.expect_symbol(")"));
    return out;
}

Result<StatementPtr> StatementParser::set() {
    auto out = KITH_TRY(make(Kind::set));
    out->targets = KITH_TRY(targets());
    if (tokens_.skip_symbol("=")) {
        out->expressions.push_back(
            KITH_TRY(expressions_.expressions(ExpressionParser::Condition::part_of_it)));
        KITH_TRY(end_of_tag());
        return out;
    }
    out->kind = Kind::set_block;
    ExpressionPtr filters;
    if (tokens_.is_symbol("|")) {
        filters = KITH_TRY(expressions_.make(Expression::Kind::name, nullptr));
        filters->name = captured_name;
        filters = KITH_TRY(expressions_.filters_of(std::move(filters)));
    }
    out->expressions.push_back(std::move(filters));
    KITH_TRY(end_of_tag());
    out->blocks.push_back(KITH_TRY(block()));
    KITH_TRY(end_tag("endset"));
    return out;
}

Result<StatementPtr> StatementParser::branch() {
    auto out = KITH_TRY(make(Kind::branch));
    while (true) {
        out->expressions.push_back(
            KITH_TRY(expressions_.expressions(ExpressionParser::Condition::part_of_it)));
        KITH_TRY(end_of_tag());
        out->blocks.push_back(KITH_TRY(block()));
        if (!tokens_.skip_name("elif")) break;
    }
    if (tokens_.skip_name("else")) {
        KITH_TRY(end_of_tag());
        out->blocks.push_back(KITH_TRY(block()));
    }
    KITH_TRY(end_tag("endif"));
    return out;
}

Result<StatementPtr> StatementParser::loop() {
    auto out = KITH_TRY(make(Kind::loop));
    out->targets = KITH_TRY(targets());
    if (!tokens_.skip_name("in")) return tokens_.error(Code::invalid, "expected 'in'");
    out->expressions.push_back(
        KITH_TRY(expressions_.expressions(ExpressionParser::Condition::left_alone)));
    out->expressions.push_back(tokens_.skip_name("if") ? KITH_TRY(expressions_.expression())
                                                       : nullptr);
    if (tokens_.is_name("recursive"))
        return tokens_.error(Code::unsupported, "recursive loops are not supported");
    KITH_TRY(end_of_tag());
    ++loops_;
    out->blocks.push_back(KITH_TRY(block()));
    --loops_;
    if (tokens_.skip_name("else")) {
        KITH_TRY(end_of_tag());
        out->blocks.push_back(KITH_TRY(block()));
    }
    KITH_TRY(end_tag("endfor"));
    return out;
}

Status StatementParser::parameters(Statement& out) {
    KITH_TRY(tokens_.expect_symbol("("));
    while (!tokens_.is_symbol(")")) {
        if (!out.parameters.empty()) KITH_TRY(tokens_.expect_symbol(","));
        if (out.parameters.size() == arguments_max)
            return tokens_.error(Code::too_large, "too many parameters");
        Parameter parameter{.name = KITH_TRY(tokens_.expect_name()), .fallback = nullptr};
        if (tokens_.skip_symbol("=")) parameter.fallback = KITH_TRY(expressions_.expression());
        out.parameters.push_back(std::move(parameter));
    }
    tokens_.take();
    return {};
}

Result<StatementPtr> StatementParser::macro() {
    auto out = KITH_TRY(make(Kind::macro));
    out->targets.push_back({.name = KITH_TRY(tokens_.expect_name()), .attribute = {}});
    KITH_TRY(parameters(*out));
    KITH_TRY(end_of_tag());
    auto const loops = std::exchange(loops_, 0);
    out->blocks.push_back(KITH_TRY(block()));
    loops_ = loops;
    KITH_TRY(end_tag("endmacro"));
    return out;
}

// Marks for training which part an assistant wrote; nothing to us.
Result<StatementPtr> StatementParser::generation() {
    auto out = KITH_TRY(make(Kind::group));
    KITH_TRY(end_of_tag());
    out->blocks.push_back(KITH_TRY(block()));
    KITH_TRY(end_tag("endgeneration"));
    return out;
}

}  // namespace

Result<Block> parse(std::string_view source) {
    return StatementParser(KITH_TRY(tokens_of(source))).run();
}

}  // namespace kith::infer::jinja
