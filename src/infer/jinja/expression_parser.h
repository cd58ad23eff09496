// infer/jinja/expression_parser.h: the expressions inside the tags of a template.
//
// Precedence from weak to strong: if else; or; and; not; comparisons, in; + -; ~; * / // %; **;
// unary; then attribute, item, call, filter and test. As in Jinja 3.1, so that -1|abs is (-1)|abs.
#pragma once

#include "infer/jinja/token_reader.h"

namespace kith::infer::jinja {

class ExpressionParser {
public:
    explicit ExpressionParser(TokenReader& tokens) : tokens_(tokens) {}  // must outlive this

    // One expression with its condition.
    base::Result<ExpressionPtr> expression();
    // One, or several with commas between them, which are a list. In a loop's head the condition is
    // the loop's own.
    enum class Condition { part_of_it, left_alone };
    base::Result<ExpressionPtr> expressions(Condition condition);
    // The filters behind `subject`, as in {% set x | trim %}.
    base::Result<ExpressionPtr> filters_of(ExpressionPtr subject);

    base::Result<ExpressionPtr> make(Expression::Kind kind, std::vector<ExpressionPtr> parts);
    base::Result<ExpressionPtr> make(Expression::Kind kind, ExpressionPtr one,
                                     ExpressionPtr two = nullptr);

private:
    using Part = base::Result<ExpressionPtr> (ExpressionParser::*)();

    base::Result<ExpressionPtr> logic_or();
    base::Result<ExpressionPtr> logic_and();
    base::Result<ExpressionPtr> logic_not();
    base::Result<ExpressionPtr> comparison();
    base::Result<ExpressionPtr> sum();
    base::Result<ExpressionPtr> concat();
    base::Result<ExpressionPtr> product();
    base::Result<ExpressionPtr> power();
    base::Result<ExpressionPtr> unary();
    base::Result<ExpressionPtr> sign(bool with_filters);
    base::Result<ExpressionPtr> primary();
    base::Result<ExpressionPtr> literal();
    base::Result<ExpressionPtr> in_parentheses();
    base::Result<ExpressionPtr> list();
    base::Result<ExpressionPtr> dict();
    base::Result<ExpressionPtr> postfix(ExpressionPtr subject);
    base::Result<ExpressionPtr> subscript(ExpressionPtr subject);
    base::Result<ExpressionPtr> filters_and_tests(ExpressionPtr subject);
    base::Result<ExpressionPtr> filter(ExpressionPtr subject);
    base::Result<ExpressionPtr> test(ExpressionPtr subject);
    base::Result<ExpressionPtr> call(ExpressionPtr subject);
    base::Status arguments(Expression& out);
    [[nodiscard]] bool argument_follows() const;
    bool comparison_operator(Operator& out);

    TokenReader& tokens_;
    std::size_t nesting_ = 0;
};

}  // namespace kith::infer::jinja
