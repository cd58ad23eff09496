// infer/jinja/value.h: what expressions come to.
//
// A Value is small and copied freely; what it points to belongs to the Runtime (runtime.h) or to
// the template, and lives until the rendering ends. Texts, lists and dicts never change once made,
// as in the ImmutableSandboxedEnvironment that transformers runs chat templates in, so there are no
// cycles, and each knows how deep it is nested.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "infer/jinja/syntax.h"

namespace kith::infer::jinja {

inline constexpr std::size_t values_depth_max = 40;  // lists and dicts within each other

struct List;
struct Dict;
struct Space;
struct LoopState;
struct Method;

struct Undefined {};
struct None {};
enum class Function : std::uint8_t { range, make_namespace, make_dict, raise, time };

using Value =
    std::variant<Undefined, None, bool, std::int64_t, double, Text const*, List const*, Dict const*,
                 Space*, LoopState*, Statement const*, Function, Method const*>;

struct List {
    std::vector<Value> items;
    std::size_t depth = 1;
};

// In the order of insertion, as Python has it.
struct Dict {
    std::vector<std::pair<Value, Value>> entries;
    std::size_t depth = 1;
};

// What namespace() returns: the one thing whose attributes may be set.
struct Space {
    std::vector<std::pair<std::string_view, Value>> entries;
};

// The variable `loop`.
struct LoopState {
    List const* items = nullptr;
    std::size_t index = 0;  // from 0
    Value changed;          // what changed() was asked last
    bool was_asked = false;
};

// A method that was named and not called yet.
struct Method {
    Value self;
    std::string_view name;
};

struct NamedValue {
    std::string_view name;
    Value value;
};

// What a function, filter, test, method or macro is called with.
struct Arguments {
    std::vector<Value> positional;
    std::vector<NamedValue> named;

    // The one at this place or of this name; undefined when there is neither.
    [[nodiscard]] Value get(std::size_t place, std::string_view name) const {
        if (place < positional.size()) return positional[place];
        for (auto const& each : named)
            if (each.name == name) return each.value;
        return Undefined{};
    }
    [[nodiscard]] bool empty() const { return positional.empty() && named.empty(); }
};

template <class T>
bool is(Value const& value) {
    return std::holds_alternative<T>(value);
}
inline Text const* as_text(Value const& value) {
    auto const* found = std::get_if<Text const*>(&value);
    return found == nullptr ? nullptr : *found;
}
inline List const* as_list(Value const& value) {
    auto const* found = std::get_if<List const*>(&value);
    return found == nullptr ? nullptr : *found;
}
inline Dict const* as_dict(Value const& value) {
    auto const* found = std::get_if<Dict const*>(&value);
    return found == nullptr ? nullptr : *found;
}

}  // namespace kith::infer::jinja
