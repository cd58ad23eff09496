// The filters that make texts, and those that make numbers.
#include <array>
#include <charconv>
#include <cmath>

#include "infer/jinja/builtins.h"
#include "infer/jinja/print.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;

namespace {

// The method of the same name, of the value as a text: {{ 5 | upper }} is "5".
template <std::size_t method_size>
struct Name {
    char text[method_size];
    constexpr Name(char const (&name)[method_size]) : text{} {
        for (std::size_t i = 0; i < method_size; ++i) text[i] = name[i];
    }
};
template <Name method>
Result<Value> by_method(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const text = KITH_TRY(runtime.make(KITH_TRY(printed(runtime, self))));
    auto const* const found = find_builtin(text_methods(), method.text);
    return found->call(runtime, text, arguments);
}

Result<Value> to_string(Runtime& runtime, Value const& self, Arguments const&) {
    return runtime.make(KITH_TRY(printed(runtime, self)));
}

// No page is made of it, so that nothing is escaped and everything is safe.
Result<Value> unchanged(Runtime&, Value const& self, Arguments const&) {
    return self;
}

Result<Value> tojson(Runtime& runtime, Value const& self, Arguments const& arguments) {
    JsonStyle style;
    if (auto const indent = as_integer(arguments.get(0, "indent"))) {
        constexpr std::int64_t indent_max = 16;
        if (*indent < 0 || *indent > indent_max) return misuse("tojson with such an indent");
        style.indent = static_cast<std::size_t>(*indent);
    }
    for (auto const& [name, value] : arguments.named) {
        if (name == "ensure_ascii") {
            style.ascii_only = Runtime::truth(value);
        } else if (name == "sort_keys") {
            style.sorted = Runtime::truth(value);
        } else if (name != "indent" && !is<None>(value)) {
            return misuse("tojson with '" + std::string(name) + "'");
        }
    }
    return runtime.make(KITH_TRY(json_of(runtime, self, style)));
}

Result<Value> indent(Runtime& runtime, Value const& self, Arguments const& arguments) {
    constexpr std::int64_t width_max = 256;
    auto const width = arguments.get(0, "width");
    auto const number = is<Undefined>(width) ? 4 : as_integer(width).value_or(-1);
    if (as_text(width) == nullptr && (number < 0 || number > width_max))
        return misuse("indent by such a width");
    Text const margin =
        as_text(width) != nullptr
            ? *as_text(width)
            : Text(std::string(static_cast<std::size_t>(number), ' '), Origin::written);
    bool const first = Runtime::truth(arguments.get(1, "first"));
    bool const blank = Runtime::truth(arguments.get(2, "blank"));
    auto text = KITH_TRY(printed(runtime, self));
    text.append("\n", Origin::written);  // so that a newline at the end is a line of its own
    Text out;
    bool is_first = true;
    for (auto const& line : lines_of(text)) {
        KITH_TRY(runtime.spend_bytes(margin.size() + line.size()));
        if (!is_first) out.append("\n", Origin::written);
        if (is_first ? first : (blank || !line.empty())) out.append(margin);
        out.append(line);
        is_first = false;
        if (out.size() > text_bytes_max)
            return fail(Code::too_large, "a text in the template grows too long");
    }
    return runtime.make(std::move(out));
}

// Of words between blanks, dashes and opening brackets, which is not what str.title() does.
Result<Value> title(Runtime& runtime, Value const& self, Arguments const&) {
    auto const text = KITH_TRY(printed(runtime, self));
    auto const bytes = text.bytes();
    return runtime.make(text.mapped([bytes](char c, std::size_t at) {
        constexpr std::string_view borders = "-({[< \t\r\n\v\f";
        bool const begins = at == 0 || borders.find(bytes[at - 1]) != std::string_view::npos;
        if (begins) return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }));
}

constexpr std::array texts = {
    Builtin{"trim", by_method<"strip">},
    Builtin{"upper", by_method<"upper">},
    Builtin{"lower", by_method<"lower">},
    Builtin{"capitalize", by_method<"capitalize">},
    Builtin{"title", title},
    Builtin{"replace", by_method<"replace">},
    Builtin{"string", to_string},
    Builtin{"safe", unchanged},
    Builtin{"tojson", tojson},
    Builtin{"indent", indent},
};

// The number that a text spells, with blanks around it.
template <class T>
std::optional<T> number_in(Text const& text) {
    auto const bare = stripped(text, std::nullopt, Side::both);
    auto bytes = bare.bytes();
    if (bytes.starts_with('+')) bytes.remove_prefix(1);
    T out{};
    auto const* const end = bytes.data() + bytes.size();
    auto const read = std::from_chars(bytes.data(), end, out);
    if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
    return out;
}

std::optional<std::int64_t> whole(double value) {
    if (!(std::fabs(value) < 9e18)) return std::nullopt;
    return static_cast<std::int64_t>(value);
}

Result<Value> to_integer(Runtime&, Value const& self, Arguments const& arguments) {
    auto const fallback = arguments.get(0, "default");
    std::optional<std::int64_t> out = as_integer(self);
    if (auto const* real = std::get_if<double>(&self)) out = whole(*real);
    if (auto const* text = as_text(self)) {
        out = number_in<std::int64_t>(*text);
        if (auto const real = out ? std::nullopt : number_in<double>(*text)) out = whole(*real);
    }
    if (out) return Value(*out);
    return is<Undefined>(fallback) ? Value(std::int64_t{0}) : fallback;
}

Result<Value> to_real(Runtime&, Value const& self, Arguments const& arguments) {
    auto const fallback = arguments.get(0, "default");
    auto out = as_number(self);
    if (auto const* text = as_text(self)) out = number_in<double>(*text);
    if (out) return Value(*out);
    return is<Undefined>(fallback) ? Value(0.0) : fallback;
}

Result<Value> absolute(Runtime&, Value const& self, Arguments const&) {
    if (auto const integer = as_integer(self); integer && *integer != INT64_MIN)
        return Value(*integer < 0 ? -*integer : *integer);
    if (auto const* real = std::get_if<double>(&self)) return Value(std::fabs(*real));
    return misuse(std::string("abs of ") + kind_name(self));
}

// To the nearest, ties to even, as Python's round(); always a real.
Result<Value> rounded(Runtime&, Value const& self, Arguments const& arguments) {
    constexpr std::int64_t places_max = 12;
    auto const number = as_number(self);
    auto const places = as_integer(arguments.get(0, "precision")).value_or(0);
    auto const method = arguments.get(1, "method");
    auto const* const name = as_text(method);
    if (!number || places < 0 || places > places_max) return misuse("round of such numbers");
    auto const scale = std::pow(10.0, static_cast<double>(places));
    auto const scaled = *number * scale;
    bool const common = name == nullptr || name->bytes() == "common";
    if (!common && name->bytes() != "ceil" && name->bytes() != "floor")
        return misuse("round by such a method");
    auto const out = common                    ? std::nearbyint(scaled)
                     : name->bytes() == "ceil" ? std::ceil(scaled)
                                               : std::floor(scaled);
    return Value(out / scale);
}

constexpr std::array numbers = {
    Builtin{"int", to_integer},
    Builtin{"float", to_real},
    Builtin{"abs", absolute},
    Builtin{"round", rounded},
};

}  // namespace

std::span<Builtin const> text_filters() {
    return texts;
}

std::span<Builtin const> number_filters() {
    return numbers;
}

}  // namespace kith::infer::jinja
