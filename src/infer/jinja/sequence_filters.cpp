// The filters on lists and dicts.
#include <algorithm>
#include <array>

#include "infer/jinja/access.h"
#include "infer/jinja/builtins.h"
#include "infer/jinja/print.h"

namespace kith::infer::jinja {

using base::Result;
using base::Status;

namespace {

Result<Value> length(Runtime& runtime, Value const& self, Arguments const&) {
    std::size_t count = 0;
    if (auto const* text = as_text(self)) {
        KITH_TRY(runtime.spend_bytes(text->size()));
        count = characters_count(text->bytes());
    } else if (auto const* list = as_list(self)) {
        count = list->items.size();
    } else if (auto const* dict = as_dict(self)) {
        count = dict->entries.size();
    } else if (!is<Undefined>(self)) {
        return misuse(std::string(kind_name(self)) + " has no length");
    }
    return Value(static_cast<std::int64_t>(count));
}

Result<Value> fallback(Runtime& runtime, Value const& self, Arguments const& arguments) {
    bool const falsy_too = Runtime::truth(arguments.get(1, "boolean"));
    bool const used = is<Undefined>(self) || (falsy_too && !Runtime::truth(self));
    if (!used) return self;
    auto const value = arguments.get(0, "default_value");
    return is<Undefined>(value) && arguments.empty() ? runtime.make(Text()) : Result<Value>(value);
}

Result<Value> first(Runtime& runtime, Value const& self, Arguments const&) {
    auto const* const items = KITH_TRY(runtime.items_of(self));
    return items->items.empty() ? Value(Undefined{}) : items->items.front();
}
Result<Value> last(Runtime& runtime, Value const& self, Arguments const&) {
    auto const* const items = KITH_TRY(runtime.items_of(self));
    return items->items.empty() ? Value(Undefined{}) : items->items.back();
}
Result<Value> to_list(Runtime& runtime, Value const& self, Arguments const&) {
    return Value(KITH_TRY(runtime.items_of(self)));
}

Result<Value> reverse(Runtime& runtime, Value const& self, Arguments const&) {
    auto items = KITH_TRY(runtime.items_of(self))->items;
    KITH_TRY(runtime.spend(items.size()));
    std::ranges::reverse(items);
    if (as_text(self) == nullptr) return runtime.make(std::move(items));
    auto const list = KITH_TRY(runtime.make(std::move(items)));
    return joined(runtime, *as_list(list), Text());
}

Result<Value> part_named(Runtime& runtime, Value const& item, Value const& attribute) {
    if (auto const* path = as_text(attribute)) return path_of(runtime, item, path->bytes());
    if (as_integer(attribute)) return item_of(runtime, item, attribute);
    return item;
}

Result<Value> join(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const* items = KITH_TRY(runtime.items_of(self));
    auto const attribute = arguments.get(1, "attribute");
    if (!is<Undefined>(attribute)) {
        std::vector<Value> parts;
        for (auto const& item : items->items)
            parts.push_back(KITH_TRY(part_named(runtime, item, attribute)));
        items = as_list(KITH_TRY(runtime.make(std::move(parts))));
    }
    auto const between = arguments.get(0, "d");
    return joined(runtime, *items, KITH_TRY(printed(runtime, between)));
}

Result<Value> entries(Runtime& runtime, Value const& self, Arguments const&) {
    if (is<Undefined>(self)) return runtime.make(std::vector<Value>{});
    auto const* const dict = as_dict(self);
    if (dict == nullptr) return misuse(std::string("items of ") + kind_name(self));
    std::vector<Value> pairs;
    for (auto const& [key, value] : dict->entries)
        pairs.push_back(KITH_TRY(runtime.make(std::vector<Value>{key, value})));
    return runtime.make(std::move(pairs));
}

// What things are put in order by: all numbers, or all texts.
struct Key {
    double number = 0;
    std::string text;
    Value item;
    bool operator<(Key const& other) const {
        return number < other.number || (number == other.number && text < other.text);
    }
};

std::string lowered(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

enum class Case : std::uint8_t { matters, ignored };

Result<std::vector<Key>> keys_of(Runtime& runtime, std::vector<Value> const& items,
                                 Value const& attribute, Case letters) {
    std::vector<Key> keys;
    std::size_t texts = 0;
    for (auto const& item : items) {
        auto const part = KITH_TRY(part_named(runtime, item, attribute));
        Key key{.number = 0, .text = {}, .item = item};
        if (auto const* text = as_text(part)) {
            KITH_TRY(runtime.spend_bytes(text->size() * 16));
            key.text = letters == Case::ignored ? lowered(text->bytes()) : text->bytes();
            ++texts;
        } else if (auto const number = as_number(part)) {
            key.number = *number;
        } else {
            return misuse(std::string(kind_name(part)) + " cannot be put in order");
        }
        keys.push_back(std::move(key));
    }
    if (texts != 0 && texts != keys.size())
        return misuse("texts and numbers cannot be put in order");
    KITH_TRY(runtime.spend(keys.size() * 16));
    return keys;
}

Result<Value> sorted(Runtime& runtime, std::vector<Key> keys, bool descending) {
    // Python's reverse keeps the order of equals.
    std::ranges::stable_sort(
        keys, [&](Key const& a, Key const& b) { return descending ? b < a : a < b; });
    std::vector<Value> out;
    out.reserve(keys.size());
    for (auto const& key : keys) out.push_back(key.item);
    return runtime.make(std::move(out));
}

Result<Value> sort(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const* const items = KITH_TRY(runtime.items_of(self));
    auto const letters =
        Runtime::truth(arguments.get(1, "case_sensitive")) ? Case::matters : Case::ignored;
    auto keys = KITH_TRY(keys_of(runtime, items->items, arguments.get(2, "attribute"), letters));
    return sorted(runtime, std::move(keys), Runtime::truth(arguments.get(0, "reverse")));
}

Result<Value> dictsort(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const pairs = KITH_TRY(entries(runtime, self, {}));
    auto const letters =
        Runtime::truth(arguments.get(0, "case_sensitive")) ? Case::matters : Case::ignored;
    auto const by = arguments.get(1, "by");
    bool const by_value = as_text(by) != nullptr && as_text(by)->bytes() == "value";
    auto keys = KITH_TRY(
        keys_of(runtime, as_list(pairs)->items, Value(std::int64_t{by_value ? 1 : 0}), letters));
    return sorted(runtime, std::move(keys), Runtime::truth(arguments.get(2, "reverse")));
}

template <bool wants_most>
Result<Value> extreme(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const* const items = KITH_TRY(runtime.items_of(self));
    auto const keys =
        KITH_TRY(keys_of(runtime, items->items, arguments.get(1, "attribute"), Case::ignored));
    if (keys.empty()) return Value(Undefined{});
    return wants_most ? std::ranges::max_element(keys, std::less<>())->item
                      : std::ranges::min_element(keys, std::less<>())->item;
}

Result<Value> sum(Runtime& runtime, Value const& self, Arguments const& arguments) {
    auto const* const items = KITH_TRY(runtime.items_of(self));
    std::int64_t whole = 0;
    double real = 0;
    bool all_whole = true;
    for (auto const& item : items->items) {
        auto const part = KITH_TRY(part_named(runtime, item, arguments.get(0, "attribute")));
        auto const number = as_number(part);
        if (!number) return misuse(std::string("sum of ") + kind_name(part));
        real += *number;
        auto const integer = as_integer(part);
        all_whole = all_whole && integer && !__builtin_add_overflow(whole, *integer, &whole);
    }
    return all_whole ? Value(whole) : Value(real);
}

Result<Value> unique(Runtime& runtime, Value const& self, Arguments const&) {
    auto const* const items = KITH_TRY(runtime.items_of(self));
    std::vector<Value> out;
    for (auto const& item : items->items) {
        bool seen = false;
        for (auto const& each : out) seen = seen || KITH_TRY(runtime.equal(each, item));
        if (!seen) out.push_back(item);
    }
    return runtime.make(std::move(out));
}

// Arguments without the first `count` positional ones.
Arguments without_first(Arguments const& arguments, std::size_t count) {
    auto const from = std::min(count, arguments.positional.size());
    return {.positional = {arguments.positional.begin() + static_cast<std::ptrdiff_t>(from),
                           arguments.positional.end()},
            .named = arguments.named};
}

// select and reject: by a test of each item, or its truth; with an attribute, of that part of it.
template <bool by_attribute, bool keeps>
Result<Value> filtered(Runtime& runtime, Value const& self, Arguments const& arguments) {
    if (!Runtime::truth(self)) return runtime.make(std::vector<Value>{});  // none, too
    auto const* const items = KITH_TRY(runtime.items_of(self));
    constexpr std::size_t at = by_attribute ? 1 : 0;
    auto const attribute = by_attribute ? arguments.get(0, "attribute") : Value(Undefined{});
    auto const test = arguments.get(at, "test");
    auto const rest = without_first(arguments, at + 1);
    std::vector<Value> out;
    for (auto const& item : items->items) {
        KITH_TRY(runtime.spend());
        auto const part = KITH_TRY(part_named(runtime, item, attribute));
        bool const passes =
            is<Undefined>(test)
                ? Runtime::truth(part)
                : KITH_TRY(call_test(runtime, KITH_TRY(text_self(test))->bytes(), part, rest));
        if (passes == keeps) out.push_back(item);
    }
    return runtime.make(std::move(out));
}

Result<Value> map(Runtime& runtime, Value const& self, Arguments const& arguments) {
    if (!Runtime::truth(self)) return runtime.make(std::vector<Value>{});  // none, too
    auto const* const items = KITH_TRY(runtime.items_of(self));
    bool const by_filter = !arguments.positional.empty();
    auto const attribute = arguments.get(1, "attribute");
    auto const otherwise = arguments.get(2, "default");
    auto const rest = without_first(arguments, 1);
    std::vector<Value> out;
    for (auto const& item : items->items) {
        KITH_TRY(runtime.spend());
        if (by_filter) {
            auto const name = KITH_TRY(text_self(arguments.positional[0]))->bytes();
            out.push_back(KITH_TRY(call_filter(runtime, name, item, rest)));
            continue;
        }
        auto const part = KITH_TRY(part_named(runtime, item, attribute));
        out.push_back(is<Undefined>(part) ? otherwise : part);
    }
    return runtime.make(std::move(out));
}

constexpr std::array table = {
    Builtin{"length", length},
    Builtin{"count", length},
    Builtin{"default", fallback},
    Builtin{"d", fallback},
    Builtin{"first", first},
    Builtin{"last", last},
    Builtin{"list", to_list},
    Builtin{"reverse", reverse},
    Builtin{"join", join},
    Builtin{"items", entries},
    Builtin{"sort", sort},
    Builtin{"dictsort", dictsort},
    Builtin{"min", extreme<false>},
    Builtin{"max", extreme<true>},
    Builtin{"sum", sum},
    Builtin{"unique", unique},
    Builtin{"select", filtered<false, true>},
    Builtin{"reject", filtered<false, false>},
    Builtin{"selectattr", filtered<true, true>},
    Builtin{"rejectattr", filtered<true, false>},
    Builtin{"map", map},
};

}  // namespace

std::span<Builtin const> sequence_filters() {
    return table;
}

}  // namespace kith::infer::jinja
