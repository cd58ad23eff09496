#include <cmath>

#include "infer/jinja/evaluator.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;

namespace {

std::unexpected<base::Error> no_operation(Value const& a, Value const& b) {
    return misuse(std::string(kind_name(a)) + " and " + kind_name(b) + " do not go together");
}

// Towards minus infinity, the remainder with the sign of `b`, as in Python.
Result<Value> floor_division(std::int64_t a, std::int64_t b, Operator how) {
    if (b == 0) return misuse("division by 0");
    if (b == -1 && a == INT64_MIN) return misuse("a number of more than 64 bits");
    auto quotient = a / b;
    auto remainder = a % b;
    if (remainder != 0 && (remainder < 0) != (b < 0)) {
        --quotient;
        remainder += b;
    }
    return Value(how == Operator::floor_divide ? quotient : remainder);
}

Result<Value> whole_power(std::int64_t base, std::int64_t exponent) {
    if (exponent < 0)
        return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    std::int64_t out = 1;
    for (std::int64_t i = 0; i < exponent; ++i) {
        if (base == 0 || base == 1) return Value(base);
        if (base == -1) return Value(std::int64_t{exponent % 2 == 0 ? 1 : -1});
        if (__builtin_mul_overflow(out, base, &out)) return misuse("a number of more than 64 bits");
    }
    return Value(out);
}

Result<Value> of_integers(Operator how, std::int64_t a, std::int64_t b) {
    if (how == Operator::floor_divide || how == Operator::modulo) return floor_division(a, b, how);
    if (how == Operator::power) return whole_power(a, b);
    if (how == Operator::divide) {
        if (b == 0) return misuse("division by 0");
        return Value(static_cast<double>(a) / static_cast<double>(b));
    }
    std::int64_t out = 0;
    bool const overflow = how == Operator::add        ? __builtin_add_overflow(a, b, &out)
                          : how == Operator::subtract ? __builtin_sub_overflow(a, b, &out)
                                                      : __builtin_mul_overflow(a, b, &out);
    if (overflow) return misuse("a number of more than 64 bits");
    return Value(out);
}

Result<Value> of_reals(Operator how, double a, double b) {
    if (how == Operator::add) return Value(a + b);
    if (how == Operator::subtract) return Value(a - b);
    if (how == Operator::multiply) return Value(a * b);
    if (how == Operator::power) return Value(std::pow(a, b));
    if (b == 0) return misuse("division by 0");
    if (how == Operator::divide) return Value(a / b);
    auto const quotient = std::floor(a / b);
    return Value(how == Operator::floor_divide ? quotient : a - quotient * b);
}

Result<Value> repeated(Runtime& runtime, Value const& value, std::int64_t count) {
    auto const times = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
    if (auto const* text = as_text(value)) {
        if (!text->empty() && times > text_bytes_max / text->size())
            return fail(Code::too_large, "a text in the template grows too long");
        Text out;
        if (text->empty()) return value;
        for (std::size_t i = 0; i < times; ++i) out.append(*text);
        return runtime.make(std::move(out));
    }
    auto const& items = as_list(value)->items;
    if (items.empty()) return value;
    if (times > items_max / items.size())
        return fail(Code::too_large, "a list in the template is too long");
    std::vector<Value> out;
    for (std::size_t i = 0; i < times; ++i) out.insert(out.end(), items.begin(), items.end());
    return runtime.make(std::move(out));
}

}  // namespace

Result<Value> arithmetic(Runtime& runtime, Operator how, Value const& a, Value const& b) {
    KITH_TRY(runtime.spend());
    auto const one = as_integer(a);
    auto const two = as_integer(b);
    if (one && two) return of_integers(how, *one, *two);
    if (auto const x = as_number(a), y = as_number(b); x && y) return of_reals(how, *x, *y);
    auto const can_repeat = [](Value const& value) {
        return is<Text const*>(value) || is<List const*>(value);
    };
    if (how == Operator::multiply && can_repeat(a) && two) return repeated(runtime, a, *two);
    if (how == Operator::multiply && can_repeat(b) && one) return repeated(runtime, b, *one);
    if (how != Operator::add) return no_operation(a, b);
    if (auto const* text = as_text(a), *more = as_text(b); text != nullptr && more != nullptr) {
        Text out = *text;
        out.append(*more);
        return runtime.make(std::move(out));
    }
    if (auto const* list = as_list(a), *more = as_list(b); list != nullptr && more != nullptr) {
        auto items = list->items;
        items.insert(items.end(), more->items.begin(), more->items.end());
        return runtime.make(std::move(items));
    }
    return no_operation(a, b);
}

}  // namespace kith::infer::jinja
