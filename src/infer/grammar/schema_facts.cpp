#include "infer/grammar/schema_facts.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

namespace kith::infer::grammar {

namespace json = boost::json;
using base::Code;
using base::fail;
using base::Result;

namespace {

std::string_view type_of(json::object const& schema) {
    auto const* const type = schema.if_contains("type");
    if (type == nullptr || !type->is_string()) return {};
    return {type->get_string().data(), type->get_string().size()};
}

// A constant other than a number: 1 and 1.0 would be one value in two forms.
json::value const* constant_of(json::value const& schema) {
    auto const* const object = schema.if_object();
    auto const* const constant = object == nullptr ? nullptr : object->if_contains("const");
    bool const plain = constant != nullptr &&
                       (constant->is_string() || constant->is_bool() || constant->is_null());
    return plain ? constant : nullptr;
}

// The constant that the objects of this schema must have as member `name`.
json::value const* required_constant(json::object const& schema, json::string_view name) {
    auto const* const properties = schema.if_contains("properties");
    auto const* const required = schema.if_contains("required");
    if (properties == nullptr || !properties->is_object() || required == nullptr ||
        !required->is_array())
        return nullptr;
    auto const& names = required->get_array();
    bool const is_required = std::any_of(
        names.begin(), names.end(),
        [name](json::value const& one) { return one.is_string() && one.get_string() == name; });
    auto const* const property = properties->get_object().if_contains(name);
    return is_required && property != nullptr ? constant_of(*property) : nullptr;
}

bool tell_apart_by_member(json::object const& a, json::object const& b) {
    auto const* const properties = a.if_contains("properties");
    if (properties == nullptr || !properties->is_object()) return false;
    return std::ranges::any_of(properties->get_object(), [&](auto const& member) {
        auto const* const first = required_constant(a, member.key());
        auto const* const second = required_constant(b, member.key());
        return first != nullptr && second != nullptr && *first != *second;
    });
}

bool is_number(std::string_view type) {
    return type == "integer" || type == "number";
}

enum class Edge { included, excluded };

// The least whole number at or above a bound (past it when excluded); most likewise with the sign
// turned.
std::int64_t least_above(double bound, Edge edge) {
    auto const limit = static_cast<double>(bound_max);
    if (bound > limit) return bound_max + 1;
    if (bound < -limit) return -bound_max;
    auto const up = static_cast<std::int64_t>(std::ceil(bound));
    bool const is_bound = static_cast<double>(up) == bound;
    return edge == Edge::excluded && is_bound ? up + 1 : up;
}

Result<std::optional<double>> bound(json::object const& schema, char const* keyword) {
    auto const* const value = schema.if_contains(keyword);
    if (value == nullptr) return std::optional<double>();
    if (!value->is_number())
        return fail(Code::invalid, std::string("a '") + keyword + "' that is no number");
    return std::optional(value->to_number<double>());
}

constexpr char const* bound_words[] = {"minimum", "maximum", "exclusiveMinimum",
                                       "exclusiveMaximum"};

}  // namespace

bool exclude_each_other(json::value const& a, json::value const& b) {
    auto const* const first = a.if_object();
    auto const* const second = b.if_object();
    if (first == nullptr || second == nullptr) return false;
    auto const* const one = constant_of(a);
    auto const* const other = constant_of(b);
    if (one != nullptr && other != nullptr) return *one != *other;
    auto const type = type_of(*first);
    auto const other_type = type_of(*second);
    if (type.empty() || other_type.empty()) return false;
    if (type != other_type) return !(is_number(type) && is_number(other_type));
    return type == "object" && tell_apart_by_member(*first, *second);
}

bool has_bounds(json::object const& schema) {
    return std::ranges::any_of(bound_words,
                               [&schema](auto const* const word) { return schema.contains(word); });
}

Result<Bounds> read_bounds(json::object const& schema) {
    Bounds out;
    for (auto const* const word : bound_words) {
        auto const at = KITH_TRY(bound(schema, word));
        if (!at) continue;
        auto const edge =
            std::string_view(word).starts_with("exclusive") ? Edge::excluded : Edge::included;
        if (std::string_view(word).ends_with("inimum")) {
            out.whole.least = std::max(out.whole.least, least_above(*at, edge));
            out.around_fractions.least =
                std::max(out.around_fractions.least, least_above(*at, Edge::included));
        } else {
            out.whole.most = std::min(out.whole.most, -least_above(-*at, edge));
            out.around_fractions.most =
                std::min(out.around_fractions.most, -least_above(-*at, Edge::included));
        }
    }
    return out;
}

}  // namespace kith::infer::grammar
