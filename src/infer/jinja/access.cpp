#include "infer/jinja/access.h"

#include <algorithm>

#include "infer/jinja/builtins.h"

namespace kith::infer::jinja {

using base::Result;

namespace {

std::int64_t signed_size(std::size_t size) {
    return static_cast<std::int64_t>(size);
}

Result<Value> loop_attribute(Runtime& runtime, LoopState* loop, std::string_view name) {
    auto const& items = loop->items->items;
    auto const index = signed_size(loop->index);
    auto const size = signed_size(items.size());
    if (name == "index") return Value(index + 1);
    if (name == "index0") return Value(index);
    if (name == "revindex") return Value(size - index);
    if (name == "revindex0") return Value(size - index - 1);
    if (name == "first") return Value(index == 0);
    if (name == "last") return Value(index + 1 == size);
    if (name == "length") return Value(size);
    // Of recursive loops, which are not of the subset.
    if (name == "depth") return Value(std::int64_t{1});
    if (name == "depth0") return Value(std::int64_t{0});
    if (name == "previtem")
        return index == 0 ? Value(Undefined{}) : items[static_cast<std::size_t>(index - 1)];
    if (name == "nextitem")
        return index + 1 == size ? Value(Undefined{}) : items[static_cast<std::size_t>(index + 1)];
    if (name == "cycle" || name == "changed") return runtime.make(Method{Value(loop), name});
    return Value(Undefined{});
}

Result<Value> undefined_part(std::string_view name) {
    return misuse("'" + std::string(name) + "' of something undefined");
}

// The character at a place that may count from the end.
Result<Value> character(Runtime& runtime, Text const& text, std::int64_t index) {
    KITH_TRY(runtime.spend_bytes(text.size()));
    auto const count = signed_size(characters_count(text.bytes()));
    if (index < 0) index += count;
    if (index < 0 || index >= count) return Value(Undefined{});
    auto const from = character_offset(text.bytes(), static_cast<std::size_t>(index));
    auto const to = character_offset(text.bytes(), static_cast<std::size_t>(index) + 1);
    return runtime.make(text.substr(from, to - from));
}

}  // namespace

Result<Value> attribute_of(Runtime& runtime, Value const& value, std::string_view name) {
    if (is<Undefined>(value)) return undefined_part(name);
    if (auto const* loop = std::get_if<LoopState*>(&value))
        return loop_attribute(runtime, *loop, name);
    if (has_method(value, name)) return runtime.make(Method{value, name});
    if (auto const* dict = as_dict(value)) {
        KITH_TRY(runtime.spend(1 + dict->entries.size() / 16));
        for (auto const& [key, entry] : dict->entries)
            if (auto const* text = as_text(key); text != nullptr && text->bytes() == name)
                return entry;
    }
    if (auto const* space = std::get_if<Space*>(&value))
        for (auto const& [key, entry] : (*space)->entries)
            if (key == name) return entry;
    return Value(Undefined{});
}

Result<Value> item_of(Runtime& runtime, Value const& value, Value const& key) {
    auto const* const name = as_text(key);
    if (is<Undefined>(value))
        return undefined_part(name == nullptr ? std::string_view("an item") : name->bytes());
    if (auto const* dict = as_dict(value))
        if (auto const found = KITH_TRY(runtime.find(*dict, key))) return *found;
    if (auto index = as_integer(key)) {
        if (auto const* text = as_text(value)) return character(runtime, *text, *index);
        auto const* const list = as_list(value);
        if (list == nullptr) return Value(Undefined{});
        if (*index < 0) *index += signed_size(list->items.size());
        if (*index < 0 || *index >= signed_size(list->items.size())) return Value(Undefined{});
        return list->items[static_cast<std::size_t>(*index)];
    }
    if (name == nullptr || is<Dict const*>(value)) return Value(Undefined{});
    return attribute_of(runtime, value, name->bytes());
}

Result<Value> path_of(Runtime& runtime, Value const& value, std::string_view path) {
    auto out = value;
    while (true) {
        auto const dot = path.find('.');
        auto const part = path.substr(0, dot);
        bool const is_number = !part.empty() && part.size() < 10 &&
                               part.find_first_not_of("0123456789") == std::string_view::npos;
        auto const key = is_number ? Value(std::int64_t{std::stol(std::string(part))})
                                   : KITH_TRY(runtime.make(part));
        // A part of a part that is not there is not there either.
        out = is<Undefined>(out) ? out : KITH_TRY(item_of(runtime, out, key));
        if (dot == std::string_view::npos) return out;
        path.remove_prefix(dot + 1);
    }
}

namespace {

struct Range {
    std::int64_t from = 0;
    std::int64_t to = 0;
    std::int64_t step = 1;
};

// The rules of Python's slice.indices().
Result<Range> range_of(Value const& from, Value const& to, Value const& step, std::int64_t size) {
    auto const given = [](Value const& value) { return !is<None>(value) && !is<Undefined>(value); };
    Range out;
    if (given(step)) {
        auto const number = as_integer(step);
        if (!number || *number == 0) return misuse("a slice with an impossible step");
        out.step = *number;
    }
    auto const low = out.step < 0 ? std::int64_t{-1} : std::int64_t{0};
    auto const high = out.step < 0 ? size - 1 : size;
    auto const place = [&](Value const& value, std::int64_t fallback) -> Result<std::int64_t> {
        if (!given(value)) return fallback;
        auto number = as_integer(value);
        if (!number) return misuse(std::string("a slice up to ") + kind_name(value));
        if (*number < 0) *number = std::max(*number, -size - 1) + size;
        return std::clamp(*number, low, high);
    };
    out.from = KITH_TRY(place(from, out.step < 0 ? high : low));
    out.to = KITH_TRY(place(to, out.step < 0 ? low : high));
    return out;
}

Result<Value> slice_of_text(Runtime& runtime, Text const& text, Range range) {
    auto const bytes = text.bytes();
    if (range.step == 1) {
        if (range.from >= range.to) return runtime.make(Text());
        auto const begin = character_offset(bytes, static_cast<std::size_t>(range.from));
        auto const end = character_offset(bytes, static_cast<std::size_t>(range.to));
        return runtime.make(text.substr(begin, end - begin));
    }
    std::vector<std::size_t> offsets;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        if (begins_character(bytes[i])) offsets.push_back(i);
    offsets.push_back(bytes.size());
    KITH_TRY(runtime.spend(offsets.size()));
    Text out;
    for (auto at = range.from; range.step > 0 ? at < range.to : at > range.to; at += range.step) {
        auto const which = static_cast<std::size_t>(at);
        out.append(text, offsets[which], offsets[which + 1] - offsets[which]);
        if (range.step > 0 ? range.step >= range.to - at : range.step <= range.to - at) break;
    }
    return runtime.make(std::move(out));
}

}  // namespace

Result<Value> slice_of(Runtime& runtime, Value const& value, Value const& from, Value const& to,
                       Value const& step) {
    if (auto const* text = as_text(value)) {
        KITH_TRY(runtime.spend_bytes(text->size()));
        auto const size = signed_size(characters_count(text->bytes()));
        return slice_of_text(runtime, *text, KITH_TRY(range_of(from, to, step, size)));
    }
    auto const* const list = as_list(value);
    if (list == nullptr) return misuse(std::string("a slice of ") + kind_name(value));
    auto const range = KITH_TRY(range_of(from, to, step, signed_size(list->items.size())));
    std::vector<Value> items;
    for (auto at = range.from; range.step > 0 ? at < range.to : at > range.to; at += range.step) {
        items.push_back(list->items[static_cast<std::size_t>(at)]);
        if (range.step > 0 ? range.step >= range.to - at : range.step <= range.to - at) break;
    }
    KITH_TRY(runtime.spend(items.size()));
    return runtime.make(std::move(items));
}

}  // namespace kith::infer::jinja
