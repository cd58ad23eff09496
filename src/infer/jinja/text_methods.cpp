// The methods of texts, and what the filters on texts share with them.
#include <algorithm>
#include <array>

#include "infer/jinja/builtins.h"
#include "infer/jinja/print.h"

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;

namespace {

// The characters of Python's str.isspace(), in UTF-8.
constexpr std::array<std::string_view, 29> blank_characters = {" ",
                                                               "\t",
                                                               "\n",
                                                               "\r",
                                                               "\v",
                                                               "\f",
                                                               "\x1c",
                                                               "\x1d",
                                                               "\x1e",
                                                               "\x1f",
                                                               "\xc2\x85",
                                                               "\xc2\xa0",
                                                               "\xe1\x9a\x80",
                                                               "\xe2\x80\x80",
                                                               "\xe2\x80\x81",
                                                               "\xe2\x80\x82",
                                                               "\xe2\x80\x83",
                                                               "\xe2\x80\x84",
                                                               "\xe2\x80\x85",
                                                               "\xe2\x80\x86",
                                                               "\xe2\x80\x87",
                                                               "\xe2\x80\x88",
                                                               "\xe2\x80\x89",
                                                               "\xe2\x80\x8a",
                                                               "\xe2\x80\xa8",
                                                               "\xe2\x80\xa9",
                                                               "\xe2\x80\xaf",
                                                               "\xe2\x81\x9f",
                                                               "\xe3\x80\x80"};

std::size_t blank_at_front(std::string_view text) {
    for (auto const blank : blank_characters)
        if (text.starts_with(blank)) return blank.size();
    return 0;
}
std::size_t blank_at_back(std::string_view text) {
    for (auto const blank : blank_characters)
        if (text.ends_with(blank)) return blank.size();
    return 0;
}

// The size of the first or last character of `text` when `set` has it, else 0.
std::size_t member_at_front(std::string_view text, std::string_view set) {
    if (text.empty()) return 0;
    auto const size = character_offset(text, 1);
    return set.find(text.substr(0, size)) == std::string_view::npos ? 0 : size;
}
std::size_t member_at_back(std::string_view text, std::string_view set) {
    if (text.empty()) return 0;
    auto begin = text.size() - 1;
    while (begin > 0 && !begins_character(text[begin])) --begin;
    auto const last = text.substr(begin);
    return set.find(last) == std::string_view::npos ? 0 : last.size();
}

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
    return is_upper(c) || is_lower(c);
}
char upper(char c) {
    return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
}
char lower(char c) {
    return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

Text const& self_text(Value const& self) {
    return **std::get_if<Text const*>(&self);  // the tables are asked for texts alone
}

template <Side side>
Result<Value> strip(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const set = arguments.get(0, "chars");
    auto const* const text = as_text(set);
    if (text == nullptr && !is<Undefined>(set) && !is<None>(set))
        return misuse("strip() of what is no text");
    // Each character at the ends is looked for in the set.
    KITH_TRY(runtime.spend_bytes(self_text(self).size() * (text ? text->size() / 16 + 1 : 1)));
    return runtime.make(
        stripped(self_text(self), text ? std::optional(text->bytes()) : std::nullopt, side));
}

template <bool from_right>
Result<Value> split(Runtime& runtime, Value const& self, Arguments const& arguments) {
    Text const& text = self_text(self);
    KITH_TRY(runtime.spend_bytes(text.size()));
    auto const separator = arguments.get(0, "sep");
    auto const limit = as_integer(arguments.get(1, "maxsplit")).value_or(-1);
    auto const most = limit < 0 ? items_max : static_cast<std::size_t>(limit);
    std::vector<Value> parts;
    auto const add = [&](Text part) -> base::Status {
        if (parts.size() >= items_max) return fail(Code::too_large, "split() into too many parts");
        parts.push_back(KITH_TRY(runtime.make(std::move(part))));
        return {};
    };
    auto const* const by = as_text(separator);
    if (by == nullptr) {  // runs of blanks, none at the ends
        if (from_right && limit >= 0) return misuse("rsplit() by blanks with a limit");
        auto rest = stripped(text, std::nullopt, Side::left);
        while (!rest.empty()) {
            std::size_t end = 0;
            while (end < rest.size() && blank_at_front(rest.bytes().substr(end)) == 0) ++end;
            if (parts.size() == most) end = rest.size();
            KITH_TRY(runtime.spend_bytes(rest.size()));
            KITH_TRY(add(rest.substr(0, end)));
            rest = stripped(rest.substr(end), std::nullopt, Side::left);
        }
        return runtime.make(std::move(parts));
    }
    if (by->empty()) return misuse("split() by nothing");
    std::size_t begin = 0;
    std::vector<std::size_t> places;
    for (auto at = find_bytes(text.bytes(), by->bytes()); at != std::string_view::npos;
         at = find_bytes(text.bytes(), by->bytes(), at + by->size()))
        places.push_back(at);
    if (places.size() > most) {
        if (from_right)
            places.erase(places.begin(), places.end() - static_cast<std::ptrdiff_t>(most));
        else
            places.resize(most);
    }
    for (auto const place : places) {
        KITH_TRY(add(text.substr(begin, place - begin)));
        begin = place + by->size();
    }
    KITH_TRY(add(text.substr(begin)));
    return runtime.make(std::move(parts));
}

Result<Value> splitlines(Runtime& runtime, Value const& self, Arguments const& arguments) {
    if (!arguments.empty()) return misuse("splitlines() with an argument");
    std::vector<Value> parts;
    for (auto& line : lines_of(self_text(self)))
        parts.push_back(KITH_TRY(runtime.make(std::move(line))));
    return runtime.make(std::move(parts));
}

// One text, or any of a tuple of texts, at one end.
template <bool at_front>
Result<Value> has_end(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const wanted = arguments.get(0, "prefix");
    auto const fits = [&](Value const& value) -> Result<bool> {
        auto const* const text = as_text(value);
        if (text == nullptr) return misuse("startswith() or endswith() of what is no text");
        return at_front ? self_text(self).bytes().starts_with(text->bytes())
                        : self_text(self).bytes().ends_with(text->bytes());
    };
    auto const* const list = as_list(wanted);
    if (list == nullptr) return Value(KITH_TRY(fits(wanted)));
    KITH_TRY(runtime.spend(list->items.size()));
    for (auto const& each : list->items)
        if (KITH_TRY(fits(each))) return Value(true);
    return Value(false);
}

template <bool at_front>
Result<Value> remove_end(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const part = KITH_TRY(text_argument(arguments, 0, "prefix"))->bytes();
    Text const& text = self_text(self);
    bool const found = at_front ? text.bytes().starts_with(part) : text.bytes().ends_with(part);
    if (!found) return self;
    return runtime.make(text.substr(at_front ? part.size() : 0, text.size() - part.size()));
}

Result<Value> to_upper(Runtime& runtime, Value const& self, Arguments const&) {
    return runtime.make(self_text(self).mapped([](char c, std::size_t) { return upper(c); }));
}
Result<Value> to_lower(Runtime& runtime, Value const& self, Arguments const&) {
    return runtime.make(self_text(self).mapped([](char c, std::size_t) { return lower(c); }));
}
Result<Value> to_capitalized(Runtime& runtime, Value const& self, Arguments const&) {
    return runtime.make(self_text(self).mapped(
        [](char c, std::size_t at) { return at == 0 ? upper(c) : lower(c); }));
}
Result<Value> to_title(Runtime& runtime, Value const& self, Arguments const&) {
    auto const bytes = self_text(self).bytes();
    return runtime.make(self_text(self).mapped([bytes](char c, std::size_t at) {
        bool const inside = at > 0 && (is_letter(bytes[at - 1]) || bytes[at - 1] < 0);
        return inside ? lower(c) : upper(c);
    }));
}

Result<Value> replace(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const* const old = KITH_TRY(text_argument(arguments, 0, "old"));
    auto const* const fresh = KITH_TRY(text_argument(arguments, 1, "new"));
    return runtime.make(KITH_TRY(replaced(runtime, self_text(self), old->bytes(), *fresh,
                                          as_integer(arguments.get(2, "count")))));
}

Result<std::optional<std::int64_t>> place_of(Runtime& runtime, Value const& self,
                                             Arguments const& arguments, bool from_right) {
    auto const part = KITH_TRY(text_argument(arguments, 0, "sub"))->bytes();
    auto const text = self_text(self).bytes();
    KITH_TRY(runtime.spend_bytes(text.size()));
    auto found = find_bytes(text, part);
    while (from_right && found != std::string_view::npos) {
        KITH_TRY(runtime.spend());
        auto const later = find_bytes(text, part, found + 1);
        if (later == std::string_view::npos) break;
        found = later;
    }
    if (found == std::string_view::npos) return std::optional<std::int64_t>();
    auto const count = characters_count(text.substr(0, found));
    return std::optional(static_cast<std::int64_t>(count));
}

template <bool from_right>
Result<Value> find(Runtime& runtime, Value const& self, Arguments const& arguments) {
    return Value(KITH_TRY(place_of(runtime, self, arguments, from_right)).value_or(-1));
}
Result<Value> index(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const found = KITH_TRY(place_of(runtime, self, arguments, false));
    if (!found) return misuse("index() of a text that is not there");
    return Value(*found);
}

Result<Value> count(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const part = KITH_TRY(text_argument(arguments, 0, "sub"))->bytes();
    auto const text = self_text(self).bytes();
    KITH_TRY(runtime.spend_bytes(text.size()));
    if (part.empty()) return misuse("count() of nothing");
    std::int64_t found = 0;
    for (auto at = find_bytes(text, part); at != std::string_view::npos;
         at = find_bytes(text, part, at + part.size()))
        ++found;
    return Value(found);
}

Result<Value> join(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const* const items = KITH_TRY(runtime.items_of(arguments.get(0, "iterable")));
    return joined(runtime, *items, self_text(self));
}

template <bool (*fits)(char)>
Result<Value> all_are(Runtime& runtime, Value const& self, Arguments const&) {
    KITH_TRY(runtime.spend_bytes(self_text(self).size()));
    return Value(!self_text(self).empty() && std::ranges::all_of(self_text(self).bytes(), fits));
}
bool digit(char c) {
    return c >= '0' && c <= '9';
}
bool letter_or_digit(char c) {
    return is_letter(c) || digit(c);
}
bool blank(char c) {
    return blank_at_front({&c, 1}) > 0;
}
template <bool (*wanted)(char), bool (*unwanted)(char)>
Result<Value> has_case(Runtime& runtime, Value const& self, Arguments const&) {
    auto const bytes = self_text(self).bytes();
    KITH_TRY(runtime.spend_bytes(bytes.size()));
    return Value(std::ranges::any_of(bytes, wanted) && std::ranges::none_of(bytes, unwanted));
}

constexpr std::array table = {
    Builtin{"strip", strip<Side::both>},
    Builtin{"lstrip", strip<Side::left>},
    Builtin{"rstrip", strip<Side::right>},
    Builtin{"split", split<false>},
    Builtin{"rsplit", split<true>},
    Builtin{"splitlines", splitlines},
    Builtin{"startswith", has_end<true>},
    Builtin{"endswith", has_end<false>},
    Builtin{"removeprefix", remove_end<true>},
    Builtin{"removesuffix", remove_end<false>},
    Builtin{"upper", to_upper},
    Builtin{"lower", to_lower},
    Builtin{"capitalize", to_capitalized},
    Builtin{"title", to_title},
    Builtin{"replace", replace},
    Builtin{"find", find<false>},
    Builtin{"rfind", find<true>},
    Builtin{"index", index},
    Builtin{"count", count},
    Builtin{"join", join},
    Builtin{"isdigit", all_are<digit>},
    Builtin{"isalpha", all_are<is_letter>},
    Builtin{"isalnum", all_are<letter_or_digit>},
    Builtin{"isspace", all_are<blank>},
    Builtin{"isupper", has_case<is_upper, is_lower>},
    Builtin{"islower", has_case<is_lower, is_upper>},
};

}  // namespace

std::span<Builtin const> text_methods() {
    return table;
}

Text stripped(Text const& text, std::optional<std::string_view> set, Side side) {
    auto bytes = text.bytes();
    std::size_t begin = 0;
    while (side != Side::right && !bytes.empty()) {
        auto const size = set ? member_at_front(bytes, *set) : blank_at_front(bytes);
        if (size == 0) break;
        begin += size;
        bytes.remove_prefix(size);
    }
    while (side != Side::left && !bytes.empty()) {
        auto const size = set ? member_at_back(bytes, *set) : blank_at_back(bytes);
        if (size == 0) break;
        bytes.remove_suffix(size);
    }
    return text.substr(begin, bytes.size());
}

Result<Value> joined(Runtime& runtime, List const& items, Text const& between) {
    Text out;
    for (std::size_t i = 0; i < items.items.size(); ++i) {
        if (i > 0) out.append(between);
        auto const part = KITH_TRY(printed(runtime, items.items[i]));
        KITH_TRY(runtime.spend_bytes(part.size() + between.size()));
        out.append(part);
        if (out.size() > text_bytes_max)
            return fail(Code::too_large, "a text in the template grows too long");
    }
    return runtime.make(std::move(out));
}

Result<Text> replaced(Runtime& runtime, Text const& text, std::string_view old, Text const& fresh,
                      std::optional<std::int64_t> count) {
    if (old.empty()) return misuse("replace() of nothing");
    KITH_TRY(runtime.spend_bytes(text.size()));
    auto left = count && *count >= 0 ? *count : INT64_MAX;
    Text out;
    std::size_t begin = 0;
    for (auto at = find_bytes(text.bytes(), old); at != std::string_view::npos && left > 0;
         at = find_bytes(text.bytes(), old, begin), --left) {
        out.append(text, begin, at - begin);
        out.append(fresh);
        begin = at + old.size();
        KITH_TRY(runtime.spend_bytes(fresh.size()));
        if (out.size() > text_bytes_max)
            return fail(Code::too_large, "a text in the template grows too long");
    }
    out.append(text, begin);
    return out;
}

std::vector<Text> lines_of(Text const& text) {
    std::vector<Text> out;
    auto const bytes = text.bytes();
    std::size_t begin = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] != '\n' && bytes[i] != '\r') continue;
        out.push_back(text.substr(begin, i - begin));
        if (bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n') ++i;
        begin = i + 1;
    }
    if (begin < bytes.size()) out.push_back(text.substr(begin));
    return out;
}

Result<Text const*> text_argument(Arguments const& arguments, std::size_t place,
                                  std::string_view name) {
    auto const value = arguments.get(place, name);
    auto const* const text = as_text(value);
    if (text == nullptr)
        return misuse("expected a text as argument, got " + std::string(kind_name(value)));
    return text;
}

Result<Text const*> text_self(Value const& self) {
    auto const* const text = as_text(self);
    if (text == nullptr) return misuse("expected a text, got " + std::string(kind_name(self)));
    return text;
}

}  // namespace kith::infer::jinja
