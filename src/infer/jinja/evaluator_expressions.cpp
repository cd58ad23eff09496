// The half of the evaluator that computes values.
#include <array>

#include "infer/jinja/access.h"
#include "infer/jinja/builtins.h"
#include "infer/jinja/evaluator.h"
#include "infer/jinja/print.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;
using Kind = Expression::Kind;

Result<Value> Evaluator::eval(Expression const& expression) {
    KITH_TRY(runtime_.spend());
    // Restored by nobody: an error is reported at the last one begun.
    line_ = expression.line;
    ++depth_;
    auto out = depth_ > running_depth_max
                   ? fail(Code::too_large, "the template nests too deep while it runs")
                   : eval_kind(expression);
    --depth_;
    return out;
}

Result<Value> Evaluator::eval_kind(Expression const& expression) {
    switch (expression.kind) {
        case Kind::literal:
            return literal(expression);
        case Kind::name:
            return name(expression);
        case Kind::list:
            return list(expression);
        case Kind::dict:
            return dict(expression);
        case Kind::attribute:
            return attribute_of(runtime_, KITH_TRY(eval(*expression.parts[0])), expression.name);
        case Kind::item:
            return item_of(runtime_, KITH_TRY(eval(*expression.parts[0])),
                           KITH_TRY(eval(*expression.parts[1])));
        case Kind::slice:
            return slice(expression);
        case Kind::call:
            return call(expression);
        case Kind::filter:
            return call_filter(runtime_, expression.name, KITH_TRY(eval(*expression.parts[0])),
                               KITH_TRY(arguments(expression)));
        case Kind::test:
            return Value(
                KITH_TRY(call_test(runtime_, expression.name, KITH_TRY(eval(*expression.parts[0])),
                                   KITH_TRY(arguments(expression)))));
        case Kind::negate:
        case Kind::identity:
            return negate(expression);
        case Kind::logic_not:
            return Value(!Runtime::truth(KITH_TRY(eval(*expression.parts[0]))));
        case Kind::logic_and: {
            auto const first = KITH_TRY(eval(*expression.parts[0]));
            return Runtime::truth(first) ? eval(*expression.parts[1]) : Result<Value>(first);
        }
        case Kind::logic_or: {
            auto const first = KITH_TRY(eval(*expression.parts[0]));
            return Runtime::truth(first) ? Result<Value>(first) : eval(*expression.parts[1]);
        }
        case Kind::arithmetic:
            return arithmetic(runtime_, expression.operators[0],
                              KITH_TRY(eval(*expression.parts[0])),
                              KITH_TRY(eval(*expression.parts[1])));
        case Kind::comparison:
            return comparison(expression);
        case Kind::concat:
            return concat(expression);
        case Kind::conditional:
            return conditional(expression);
    }
    return misuse("an expression of no kind");
}

Result<Value> Evaluator::literal(Expression const& expression) {
    if (auto const* text = std::get_if<Text>(&expression.literal)) return Value(text);
    if (auto const* boolean = std::get_if<bool>(&expression.literal)) return Value(*boolean);
    if (auto const* integer = std::get_if<std::int64_t>(&expression.literal))
        return Value(*integer);
    if (auto const* real = std::get_if<double>(&expression.literal)) return Value(*real);
    return Value(None{});
}

Result<Value> Evaluator::name(Expression const& expression) {
    if (auto const* value = find(expression.name)) return *value;
    if (auto const function = find_function(expression.name)) return Value(*function);
    return Value(Undefined{});
}

Result<Value> Evaluator::list(Expression const& expression) {
    std::vector<Value> items;
    items.reserve(expression.parts.size());
    for (auto const& part : expression.parts) items.push_back(KITH_TRY(eval(*part)));
    return runtime_.make(std::move(items));
}

Result<Value> Evaluator::dict(Expression const& expression) {
    std::vector<std::pair<Value, Value>> entries;
    for (std::size_t i = 0; i + 1 < expression.parts.size(); i += 2) {
        auto const key = KITH_TRY(eval(*expression.parts[i]));
        auto const value = KITH_TRY(eval(*expression.parts[i + 1]));
        bool known = false;
        for (auto& entry : entries) {
            if (known || !KITH_TRY(runtime_.equal(entry.first, key))) continue;
            entry.second = value;
            known = true;
        }
        if (!known) entries.emplace_back(key, value);
    }
    return runtime_.make(std::move(entries));
}

Result<Value> Evaluator::slice(Expression const& expression) {
    auto const subject = KITH_TRY(eval(*expression.parts[0]));
    std::array<Value, 3> bounds;
    for (std::size_t i = 0; i < bounds.size(); ++i)
        if (expression.parts[i + 1] != nullptr)
            bounds[i] = KITH_TRY(eval(*expression.parts[i + 1]));
    return slice_of(runtime_, subject, bounds[0], bounds[1], bounds[2]);
}

Result<Arguments> Evaluator::arguments(Expression const& expression) {
    Arguments out;
    for (std::size_t i = 1; i < expression.parts.size(); ++i)
        out.positional.push_back(KITH_TRY(eval(*expression.parts[i])));
    for (auto const& named : expression.named)
        out.named.push_back({named.name, KITH_TRY(eval(*named.value))});
    return out;
}

Result<Value> Evaluator::call(Expression const& expression) {
    auto const callee = KITH_TRY(eval(*expression.parts[0]));
    auto const given = KITH_TRY(arguments(expression));
    if (auto const* macro = std::get_if<Statement const*>(&callee))
        return call_macro(**macro, given);
    if (auto const* function = std::get_if<Function>(&callee))
        return call_function(runtime_, *function, given);
    if (auto const* method = std::get_if<Method const*>(&callee))
        return call_method(runtime_, **method, given);
    auto const& name = expression.parts[0]->name;
    return misuse(name.empty() ? std::string("a call of ") + kind_name(callee)
                               : "'" + name + "' is not supported, or is no function");
}

Result<Value> Evaluator::call_macro(Statement const& macro, Arguments const& given) {
    auto const& parameters = macro.parameters;
    if (given.positional.size() > parameters.size())
        return misuse("too many arguments for '" + macro.targets[0].name + "'");
    for (auto const& [name, value] : given.named) {
        bool known = false;
        for (auto const& parameter : parameters) known = known || parameter.name == name;
        if (!known) return misuse("no parameter '" + std::string(name) + "'");
    }
    scopes_.push_back({.names = {}, .parent = 0});
    auto text = [&]() -> Result<Text> {
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            auto value = given.get(i, parameters[i].name);
            if (is<Undefined>(value) && parameters[i].fallback != nullptr)
                value = KITH_TRY(eval(*parameters[i].fallback));
            assign(parameters[i].name, value);
        }
        return captured(macro.blocks[0]);
    }();
    scopes_.pop_back();
    return runtime_.make(KITH_TRY(std::move(text)));
}

Result<Value> Evaluator::negate(Expression const& expression) {
    auto const value = KITH_TRY(eval(*expression.parts[0]));
    if (!as_number(value)) return misuse(std::string("the sign of ") + kind_name(value));
    if (expression.kind == Kind::identity) return value;
    return arithmetic(runtime_, Operator::subtract, Value(std::int64_t{0}), value);
}

Result<bool> Evaluator::compare(Operator how, Value const& a, Value const& b) {
    if (how == Operator::equal) return runtime_.equal(a, b);
    if (how == Operator::not_equal) return !KITH_TRY(runtime_.equal(a, b));
    if (how == Operator::less) return runtime_.less(a, b);
    if (how == Operator::less_equal) return !KITH_TRY(runtime_.less(b, a));
    if (how == Operator::greater) return runtime_.less(b, a);
    if (how == Operator::greater_equal) return !KITH_TRY(runtime_.less(a, b));
    if (how == Operator::in) return runtime_.contains(b, a);
    return !KITH_TRY(runtime_.contains(b, a));
}

Result<Value> Evaluator::comparison(Expression const& expression) {
    auto left = KITH_TRY(eval(*expression.parts[0]));
    for (std::size_t i = 0; i < expression.operators.size(); ++i) {
        auto const right = KITH_TRY(eval(*expression.parts[i + 1]));
        if (!KITH_TRY(compare(expression.operators[i], left, right))) return Value(false);
        left = right;
    }
    return Value(true);
}

Result<Value> Evaluator::concat(Expression const& expression) {
    Text out;
    for (auto const& part : expression.parts) {
        out.append(KITH_TRY(printed(runtime_, KITH_TRY(eval(*part)))));
        if (out.size() > text_bytes_max)
            return fail(Code::too_large, "a text in the template grows too long");
    }
    return runtime_.make(std::move(out));
}

Result<Value> Evaluator::conditional(Expression const& expression) {
    if (Runtime::truth(KITH_TRY(eval(*expression.parts[1])))) return eval(*expression.parts[0]);
    if (expression.parts[2] == nullptr) return Value(Undefined{});
    return eval(*expression.parts[2]);
}

}  // namespace kith::infer::jinja
