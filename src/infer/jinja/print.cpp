#include "infer/jinja/print.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

std::string real_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    std::array<char, 64> buffer{};
    auto const magnitude = std::fabs(value);
    bool const scientific = magnitude != 0 && (magnitude >= 1e16 || magnitude < 1e-4);
    auto const end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                      scientific ? std::chars_format::scientific : std::chars_format::fixed)
            .ptr;
    std::string out(buffer.data(), end);
    if (!scientific && out.find('.') == std::string::npos) out += ".0";
    return out;
}

namespace {

class Printer {
public:
    explicit Printer(Runtime& runtime) : runtime_(runtime) {}

    Status repr(Value const& value);
    Status json(Value const& value, JsonStyle const& style, std::size_t level);
    Text take() { return std::move(out_); }

private:
    Status write(std::string_view bytes, Origin origin = Origin::written) {
        KITH_TRY(runtime_.spend_bytes(bytes.size()));
        if (out_.size() + bytes.size() > text_bytes_max)
            return fail(Code::too_large, "a text in the template grows too long");
        out_.append(bytes, origin);
        return {};
    }
    Status repr_text(Text const& text);
    Status json_text(Text const& text, JsonStyle const& style);
    Status json_list(List const& list, JsonStyle const& style, std::size_t level);
    Status json_dict(Dict const& dict, JsonStyle const& style, std::size_t level);
    Status new_line(JsonStyle const& style, std::size_t level);
    Status separator(JsonStyle const& style, std::size_t level) {
        KITH_TRY(write(style.indent ? "," : ", "));
        return new_line(style, level);
    }

    Runtime& runtime_;
    Text out_;
};

Status Printer::repr_text(Text const& text) {
    bool const has_single = text.bytes().find('\'') != std::string_view::npos;
    bool const has_double = text.bytes().find('"') != std::string_view::npos;
    char const quote = has_single && !has_double ? '"' : '\'';
    KITH_TRY(write({&quote, 1}));
    for (std::size_t i = 0; i < text.size(); ++i) {
        char const c = text.bytes()[i];
        auto const origin = text.origin(i);
        if (c == '\\' || c == quote) KITH_TRY(write("\\", origin));
        if (c == '\n') {
            KITH_TRY(write("\\n", origin));
        } else if (c == '\t') {
            KITH_TRY(write("\\t", origin));
        } else if (c == '\r') {
            KITH_TRY(write("\\r", origin));
        } else {
            KITH_TRY(write({&c, 1}, origin));
        }
    }
    return write({&quote, 1});
}

Status Printer::repr(Value const& value) {
    KITH_TRY(runtime_.spend());
    if (auto const* boolean = std::get_if<bool>(&value)) return write(*boolean ? "True" : "False");
    if (auto const* integer = std::get_if<std::int64_t>(&value))
        return write(std::to_string(*integer));
    if (auto const* real = std::get_if<double>(&value)) return write(real_text(*real));
    if (is<None>(value)) return write("None");
    if (is<Undefined>(value)) return write("Undefined");
    if (auto const* text = as_text(value)) return repr_text(*text);
    if (auto const* list = as_list(value)) {
        KITH_TRY(write("["));
        for (std::size_t i = 0; i < list->items.size(); ++i) {
            if (i > 0) KITH_TRY(write(", "));
            KITH_TRY(repr(list->items[i]));
        }
        return write("]");
    }
    if (auto const* dict = as_dict(value)) {
        KITH_TRY(write("{"));
        for (std::size_t i = 0; i < dict->entries.size(); ++i) {
            if (i > 0) KITH_TRY(write(", "));
            KITH_TRY(repr(dict->entries[i].first));
            KITH_TRY(write(": "));
            KITH_TRY(repr(dict->entries[i].second));
        }
        return write("}");
    }
    return misuse(std::string(kind_name(value)) + " cannot be printed");
}

// "\\u00e9", and two of these for what is beyond U+FFFF. `bytes` is one UTF-8 sequence.
std::string json_escape(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    auto const first = static_cast<unsigned char>(bytes.front());
    char32_t point = bytes.size() == 2   ? first & 0x1fU
                     : bytes.size() == 3 ? first & 0x0fU
                                         : first & 0x07U;
    for (char const c : bytes.substr(1))
        point = point << 6U | (static_cast<unsigned char>(c) & 0x3fU);
    std::string out;
    auto const unit = [&](char32_t value) {
        out += "\\u";
        for (unsigned shift = 16; shift > 0; shift -= 4) out += digits[value >> (shift - 4) & 15U];
    };
    if (point < 0x10000U) {
        unit(point);
    } else {
        unit(0xd800U + ((point - 0x10000U) >> 10U));
        unit(0xdc00U + ((point - 0x10000U) & 0x3ffU));
    }
    return out;
}

Status Printer::json_text(Text const& text, JsonStyle const& style) {
    KITH_TRY(write("\""));
    auto const bytes = text.bytes();
    constexpr std::string_view plain = "\"\\\n\r\t\b\f";
    constexpr std::string_view named = "\"\\nrtbf";
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        char const c = bytes[i];
        auto const code = static_cast<unsigned char>(c);
        if (auto const which = plain.find(c); which != std::string_view::npos) {
            KITH_TRY(write(std::string{'\\', named[which]}, text.origin(i)));
        } else if (code < 0x20) {
            constexpr std::string_view digits = "0123456789abcdef";
            KITH_TRY(write(std::string("\\u00") + digits[code >> 4U] + digits[code & 15U],
                           text.origin(i)));
        } else if (style.ascii_only && code >= 0x80) {
            auto const size = character_offset(bytes.substr(i), 1);
            if (size < 2 || size > 4) return misuse("tojson of what is not UTF-8");
            KITH_TRY(write(json_escape(bytes.substr(i, size)), text.origin(i)));
            i += size - 1;
        } else {
            KITH_TRY(write({&c, 1}, text.origin(i)));
        }
    }
    return write("\"");
}

Status Printer::new_line(JsonStyle const& style, std::size_t level) {
    if (!style.indent) return {};
    return write("\n" + std::string(*style.indent * level, ' '));
}

Status Printer::json_list(List const& list, JsonStyle const& style, std::size_t level) {
    if (list.items.empty()) return write("[]");
    KITH_TRY(write("["));
    KITH_TRY(new_line(style, level + 1));
    for (std::size_t i = 0; i < list.items.size(); ++i) {
        if (i > 0) KITH_TRY(separator(style, level + 1));
        KITH_TRY(json(list.items[i], style, level + 1));
    }
    KITH_TRY(new_line(style, level));
    return write("]");
}

Status Printer::json_dict(Dict const& dict, JsonStyle const& style, std::size_t level) {
    if (dict.entries.empty()) return write("{}");
    std::vector<std::pair<Text const*, Value const*>> entries;
    for (auto const& [key, value] : dict.entries) {
        auto const* const name = as_text(key);
        if (name == nullptr) return misuse("tojson of a dict with a key that is no text");
        entries.emplace_back(name, &value);
    }
    if (style.sorted)
        std::ranges::stable_sort(entries, {},
                                 [](auto const& entry) { return entry.first->bytes(); });
    KITH_TRY(write("{"));
    KITH_TRY(new_line(style, level + 1));
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (i > 0) KITH_TRY(separator(style, level + 1));
        KITH_TRY(json_text(*entries[i].first, style));
        KITH_TRY(write(": "));
        KITH_TRY(json(*entries[i].second, style, level + 1));
    }
    KITH_TRY(new_line(style, level));
    return write("}");
}

Status Printer::json(Value const& value, JsonStyle const& style, std::size_t level) {
    KITH_TRY(runtime_.spend());
    if (auto const* boolean = std::get_if<bool>(&value)) return write(*boolean ? "true" : "false");
    if (auto const* integer = std::get_if<std::int64_t>(&value))
        return write(std::to_string(*integer));
    if (auto const* real = std::get_if<double>(&value)) {
        if (!std::isfinite(*real)) return misuse("tojson of a number that is not finite");
        return write(real_text(*real));
    }
    if (is<None>(value)) return write("null");
    if (auto const* text = as_text(value)) return json_text(*text, style);
    if (auto const* list = as_list(value)) return json_list(*list, style, level);
    if (auto const* dict = as_dict(value)) return json_dict(*dict, style, level);
    return misuse(std::string("tojson of ") + kind_name(value));
}

}  // namespace

Result<Text> printed(Runtime& runtime, Value const& value) {
    if (auto const* text = as_text(value)) {
        KITH_TRY(runtime.spend_bytes(text->size()));
        return *text;
    }
    if (is<Undefined>(value)) return Text();
    Printer printer(runtime);
    KITH_TRY(printer.repr(value));
    return printer.take();
}

Result<Text> json_of(Runtime& runtime, Value const& value, JsonStyle const& style) {
    Printer printer(runtime);
    KITH_TRY(printer.json(value, style, 0));
    return printer.take();
}

}  // namespace kith::infer::jinja
