#include "infer/jinja/builtins.h"

#include <algorithm>
#include <array>

#include "infer/jinja/print.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;

Builtin const* find_builtin(std::span<Builtin const> table, std::string_view name) {
    auto const found = std::ranges::find(table, name, &Builtin::name);
    return found == table.end() ? nullptr : &*found;
}

Result<Value> call_filter(Runtime& runtime, std::string_view name, Value const& self,
                          Arguments const& arguments) {
    KITH_TRY(runtime.spend());
    for (auto const& table : {text_filters(), sequence_filters(), number_filters()})
        if (auto const* const found = find_builtin(table, name))
            return found->call(runtime, self, arguments);
    return misuse("the filter '" + std::string(name) + "' is not supported");
}

// --- tests

namespace {

template <bool (*holds)(Value const&)>
Result<Value> plain(Runtime&, Value const& self, Arguments const&) {
    return Value(holds(self));
}

bool is_sequence(Value const& value) {
    return is<Text const*>(value) || is<List const*>(value) || is<Dict const*>(value) ||
           is<Undefined>(value);
}
bool is_number(Value const& value) {
    return as_number(value).has_value();
}
bool is_callable(Value const& value) {
    return is<Statement const*>(value) || is<Function>(value) || is<Method const*>(value);
}

Result<Value> is_odd(Runtime&, Value const& self, Arguments const&) {
    auto const number = as_integer(self);
    return number ? Result<Value>(Value(*number % 2 != 0)) : misuse("odd of what is no integer");
}
Result<Value> is_even(Runtime&, Value const& self, Arguments const&) {
    auto const number = as_integer(self);
    return number ? Result<Value>(Value(*number % 2 == 0)) : misuse("even of what is no integer");
}
Result<Value> is_divisible(Runtime&, Value const& self, Arguments const& arguments) {
    auto const number = as_integer(self);
    auto const by = as_integer(arguments.get(0, "num"));
    if (!number || !by || *by == 0) return misuse("divisibleby of such numbers");
    return Value(*by == -1 || *number % *by == 0);
}

template <bool negated>
Result<Value> is_equal(Runtime& runtime, Value const& self, Arguments const& arguments) {
    return Value(KITH_TRY(runtime.equal(self, arguments.get(0, "other"))) != negated);
}
template <bool negated>
Result<Value> is_less(Runtime& runtime, Value const& self, Arguments const& arguments) {
    return Value(KITH_TRY(runtime.less(self, arguments.get(0, "other"))) != negated);
}
template <bool negated>
Result<Value> is_greater(Runtime& runtime, Value const& self, Arguments const& arguments) {
    return Value(KITH_TRY(runtime.less(arguments.get(0, "other"), self)) != negated);
}
Result<Value> is_in(Runtime& runtime, Value const& self, Arguments const& arguments) {
    return Value(KITH_TRY(runtime.contains(arguments.get(0, "seq"), self)));
}

template <bool wants_upper>
Result<Value> has_case(Runtime& runtime, Value const& self, Arguments const&) {
    auto const text = KITH_TRY(runtime.make(KITH_TRY(printed(runtime, self))));
    auto const* const method = find_builtin(text_methods(), wants_upper ? "isupper" : "islower");
    return method->call(runtime, text, {});
}

constexpr std::array tests = {
    Builtin{"defined", plain<[](Value const& v) { return !is<Undefined>(v); }>},
    Builtin{"undefined", plain<is<Undefined>>},
    Builtin{"none", plain<is<None>>},
    Builtin{"string", plain<is<Text const*>>},
    Builtin{"mapping", plain<is<Dict const*>>},
    Builtin{"sequence", plain<is_sequence>},
    Builtin{"iterable", plain<is_sequence>},
    Builtin{"number", plain<is_number>},
    Builtin{"integer", plain<is<std::int64_t>>},
    Builtin{"float", plain<is<double>>},
    Builtin{"boolean", plain<is<bool>>},
    Builtin{"true", plain<[](Value const& v) { return is<bool>(v) && Runtime::truth(v); }>},
    Builtin{"false", plain<[](Value const& v) { return is<bool>(v) && !Runtime::truth(v); }>},
    Builtin{"callable", plain<is_callable>},
    Builtin{"odd", is_odd},
    Builtin{"even", is_even},
    Builtin{"divisibleby", is_divisible},
    Builtin{"equalto", is_equal<false>},
    Builtin{"eq", is_equal<false>},
    Builtin{"sameas", is_equal<false>},
    Builtin{"ne", is_equal<true>},
    Builtin{"lt", is_less<false>},
    Builtin{"lessthan", is_less<false>},
    Builtin{"ge", is_less<true>},
    Builtin{"gt", is_greater<false>},
    Builtin{"greaterthan", is_greater<false>},
    Builtin{"le", is_greater<true>},
    Builtin{"in", is_in},
    Builtin{"upper", has_case<true>},
    Builtin{"lower", has_case<false>},
};

}  // namespace

Result<bool> call_test(Runtime& runtime, std::string_view name, Value const& self,
                       Arguments const& arguments) {
    KITH_TRY(runtime.spend());
    // "==" and its like are names of tests in select() and selectattr().
    struct Alias {
        std::string_view symbol;
        std::string_view name;
    };
    constexpr std::array aliases = {Alias{"==", "eq"}, Alias{"!=", "ne"}, Alias{"<", "lt"},
                                    Alias{"<=", "le"}, Alias{">", "gt"},  Alias{">=", "ge"}};
    for (auto const& alias : aliases)
        if (name == alias.symbol) name = alias.name;
    auto const* const found = find_builtin(tests, name);
    if (found == nullptr) return misuse("the test '" + std::string(name) + "' is not supported");
    return Runtime::truth(KITH_TRY(found->call(runtime, self, arguments)));
}

// --- methods

namespace {

Result<Value> dict_get(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const found = KITH_TRY(runtime.find(*as_dict(self), arguments.get(0, "key")));
    if (found) return *found;
    auto const otherwise = arguments.get(1, "default");
    return is<Undefined>(otherwise) ? Value(None{}) : otherwise;
}
Result<Value> dict_items(Runtime& runtime, Value const& self, Arguments const& arguments) {
    return call_filter(runtime, "items", self, arguments);
}
Result<Value> dict_keys(Runtime& runtime, Value const& self, Arguments const&) {
    return Value(KITH_TRY(runtime.items_of(self)));
}
Result<Value> dict_values(Runtime& runtime, Value const& self, Arguments const&) {
    std::vector<Value> values;
    for (auto const& entry : as_dict(self)->entries) values.push_back(entry.second);
    return runtime.make(std::move(values));
}

Result<Value> list_index(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const& items = as_list(self)->items;
    for (std::size_t i = 0; i < items.size(); ++i)
        if (KITH_TRY(runtime.equal(items[i], arguments.get(0, "value"))))
            return Value(static_cast<std::int64_t>(i));
    return misuse("index() of what is not in the list");
}
Result<Value> list_count(Runtime& runtime, Value const& self, Arguments const& arguments) {
    std::int64_t count = 0;
    for (auto const& item : as_list(self)->items)
        if (KITH_TRY(runtime.equal(item, arguments.get(0, "value")))) ++count;
    return Value(count);
}

// transformers gives templates values that do not change.
Result<Value> refuse_change(Runtime&, Value const&, Arguments const&) {
    return misuse("a method that would change a list or dict");
}

constexpr std::array dict_methods = {
    Builtin{"get", dict_get},       Builtin{"items", dict_items},     Builtin{"keys", dict_keys},
    Builtin{"values", dict_values}, Builtin{"update", refuse_change}, Builtin{"pop", refuse_change},
};
constexpr std::array list_methods = {
    Builtin{"index", list_index},     Builtin{"count", list_count},
    Builtin{"append", refuse_change}, Builtin{"extend", refuse_change},
    Builtin{"insert", refuse_change}, Builtin{"pop", refuse_change},
};

Builtin const* find_method(Value const& self, std::string_view name) {
    if (is<Text const*>(self)) return find_builtin(text_methods(), name);
    if (is<Dict const*>(self)) return find_builtin(dict_methods, name);
    if (is<List const*>(self)) return find_builtin(list_methods, name);
    return nullptr;
}

Result<Value> call_loop(Runtime& runtime, LoopState& loop, std::string_view name,
                        Arguments const& arguments) {
    if (name == "cycle") {
        auto const& given = arguments.positional;
        if (given.empty()) return misuse("loop.cycle() without anything");
        return given[loop.index % given.size()];
    }
    auto const now = KITH_TRY(runtime.make(arguments.positional));
    bool const changed = !loop.was_asked || !KITH_TRY(runtime.equal(now, loop.changed));
    loop.changed = now;
    loop.was_asked = true;
    return Value(changed);
}

}  // namespace

bool has_method(Value const& self, std::string_view name) {
    return find_method(self, name) != nullptr;
}

Result<Value> call_method(Runtime& runtime, Method const& method, Arguments const& arguments) {
    KITH_TRY(runtime.spend());
    if (auto const* loop = std::get_if<LoopState*>(&method.self))
        return call_loop(runtime, **loop, method.name, arguments);
    auto const* const found = find_method(method.self, method.name);
    if (found == nullptr)
        return misuse("the method '" + std::string(method.name) + "' is not supported");
    return found->call(runtime, method.self, arguments);
}

// --- functions

namespace {

Result<Value> range(Runtime& runtime, Arguments const& arguments) {
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::int64_t step = 1;
    auto const& given = arguments.positional;
    for (auto const& value : given)
        if (!is<std::int64_t>(value)) return misuse("range() of what is no integer");
    if (given.empty() || given.size() > 3) return misuse("range() of so many");
    if (given.size() == 1) {
        to = std::get<std::int64_t>(given[0]);
    } else {
        from = std::get<std::int64_t>(given[0]);
        to = std::get<std::int64_t>(given[1]);
    }
    if (given.size() == 3) step = std::get<std::int64_t>(given[2]);
    if (step == 0) return misuse("range() with the step 0");
    std::vector<Value> out;
    for (auto at = from; step > 0 ? at < to : at > to;) {
        if (out.size() >= items_max) return fail(Code::too_large, "range() of too many");
        out.emplace_back(at);
        if (__builtin_add_overflow(at, step, &at)) break;
    }
    KITH_TRY(runtime.spend(out.size()));
    return runtime.make(std::move(out));
}

Result<Value> make_namespace(Runtime& runtime, Arguments const& arguments) {
    Space space;
    for (auto const& [name, value] : arguments.named) space.entries.emplace_back(name, value);
    if (!arguments.positional.empty()) return misuse("namespace() of a dict");
    return runtime.make(std::move(space));
}

Result<Value> make_dict(Runtime& runtime, Arguments const& arguments) {
    std::vector<std::pair<Value, Value>> entries;
    if (!arguments.positional.empty()) {
        auto const* const dict = as_dict(arguments.positional[0]);
        if (dict == nullptr) return misuse("dict() of what is no dict");
        entries = dict->entries;
    }
    for (auto const& [name, value] : arguments.named) {
        auto const known = std::ranges::find_if(entries, [&](auto const& entry) {
            auto const* const key = as_text(entry.first);
            return key != nullptr && key->bytes() == name;
        });
        if (known != entries.end())
            known->second = value;
        else
            entries.emplace_back(KITH_TRY(runtime.make(name)), value);
    }
    return runtime.make(std::move(entries));
}

constexpr std::size_t raised_bytes_max = 200;

Result<Value> raise(Arguments const& arguments) {
    std::string words;
    auto const value = arguments.get(0, "message");
    if (auto const* text = as_text(value))
        for (char const c : text->bytes().substr(0, raised_bytes_max))
            words += c >= 0x20 && c < 0x7f ? c : ' ';
    return fail(Code::invalid, "the model's chat template refuses the conversation: " + words);
}

Result<Value> time(Runtime& runtime, Arguments const& arguments) {
    auto const format = KITH_TRY(text_argument(arguments, 0, "format"))->bytes();
    constexpr std::size_t format_bytes_max = 256;
    bool known = format.size() <= format_bytes_max;
    auto const text = known ? time_text(runtime.now(), format, known) : std::string();
    if (!known) return misuse("strftime_now() with such a format");
    return runtime.make(text);
}

}  // namespace

std::optional<Function> find_function(std::string_view name) {
    if (name == "range") return Function::range;
    if (name == "namespace") return Function::make_namespace;
    if (name == "dict") return Function::make_dict;
    if (name == "raise_exception") return Function::raise;
    if (name == "strftime_now") return Function::time;
    return std::nullopt;
}

Result<Value> call_function(Runtime& runtime, Function function, Arguments const& arguments) {
    KITH_TRY(runtime.spend());
    switch (function) {
        case Function::range:
            return range(runtime, arguments);
        case Function::make_namespace:
            return make_namespace(runtime, arguments);
        case Function::make_dict:
            return make_dict(runtime, arguments);
        case Function::raise:
            return raise(arguments);
        case Function::time:
            return time(runtime, arguments);
    }
    return misuse("a function of no kind");
}

}  // namespace kith::infer::jinja
