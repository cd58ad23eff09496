// infer/jinja/builtins.h: the filters, tests, methods and functions of the subset.
//
// What has a name here behaves as in Jinja 3.1 or as the method of Python's str, list or dict, but
// that letters outside of ASCII have no case. Everything else is Code::unsupported, by name.
#pragma once

#include <span>

#include "infer/jinja/runtime.h"

namespace kith::infer::jinja {

base::Result<Value> call_filter(Runtime& runtime, std::string_view name, Value const& self,
                                Arguments const& arguments);
base::Result<bool> call_test(Runtime& runtime, std::string_view name, Value const& self,
                             Arguments const& arguments);
bool has_method(Value const& self, std::string_view name);
base::Result<Value> call_method(Runtime& runtime, Method const& method, Arguments const& arguments);
// range, namespace, dict, raise_exception, strftime_now. What a template raises is Code::invalid
// with its own words.
base::Result<Value> call_function(Runtime& runtime, Function function, Arguments const& arguments);
std::optional<Function> find_function(std::string_view name);

// One row of a table of builtins.
struct Builtin {
    std::string_view name;
    base::Result<Value> (*call)(Runtime&, Value const& self, Arguments const&);
};
Builtin const* find_builtin(std::span<Builtin const> table, std::string_view name);

// The tables, each in the file of its name.
std::span<Builtin const> text_methods();
std::span<Builtin const> text_filters();
std::span<Builtin const> sequence_filters();
std::span<Builtin const> number_filters();

// --- what several of these files need

// Without the blanks (or the characters of `set`) at the ends; as Python's strip().
enum class Side : std::uint8_t { left, right, both };
Text stripped(Text const& text, std::optional<std::string_view> set, Side side);
base::Result<Value> joined(Runtime& runtime, List const& items, Text const& between);
base::Result<Text> replaced(Runtime& runtime, Text const& text, std::string_view old,
                            Text const& fresh, std::optional<std::int64_t> count);
std::vector<Text> lines_of(Text const& text);
std::string time_text(base::UnixTime now, std::string_view format, bool& known);

base::Result<Text const*> text_argument(Arguments const& arguments, std::size_t place,
                                        std::string_view name);
base::Result<Text const*> text_self(Value const& self);

}  // namespace kith::infer::jinja
