#include "infer/jinja/runtime.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace kith::infer::jinja {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

std::size_t depth_of(Value const& value) {
    if (auto const* list = as_list(value)) return list->depth;
    if (auto const* dict = as_dict(value)) return dict->depth;
    return 0;
}

}  // namespace

Status Runtime::spend(std::size_t steps) {
    if (steps > steps_max - steps_)
        return fail(Code::too_large, "the template takes too many steps for this conversation");
    steps_ += steps;
    return {};
}

Status Runtime::take_memory(std::size_t bytes) {
    KITH_TRY(spend_bytes(bytes));
    if (bytes > memory_bytes_max - memory_)
        return fail(Code::too_large, "the template takes too much memory for this conversation");
    memory_ += bytes;
    return {};
}

Result<Value> Runtime::make(Text text) {
    if (text.size() > text_bytes_max)
        return fail(Code::too_large, "a text in the template grows too long");
    KITH_TRY(take_memory(sizeof(Text) + 2 * text.size()));
    return Value(&texts_.emplace_back(std::move(text)));
}

Result<Value> Runtime::make(std::string_view text, Origin origin) {
    return make(Text(text, origin));
}

Result<Value> Runtime::make(std::vector<Value> items) {
    if (items.size() > items_max)
        return fail(Code::too_large, "a list in the template is too long");
    KITH_TRY(take_memory(sizeof(List) + items.size() * sizeof(Value)));
    List list;
    for (auto const& item : items) list.depth = std::max(list.depth, depth_of(item) + 1);
    if (list.depth > values_depth_max) return fail(Code::too_large, "a value is nested too deep");
    list.items = std::move(items);
    return Value(&lists_.emplace_back(std::move(list)));
}

Result<Value> Runtime::make(std::vector<std::pair<Value, Value>> entries) {
    if (entries.size() > items_max)
        return fail(Code::too_large, "a dict in the template is too long");
    KITH_TRY(take_memory(sizeof(Dict) + entries.size() * 2 * sizeof(Value)));
    Dict dict;
    for (auto const& [key, value] : entries) dict.depth = std::max(dict.depth, depth_of(value) + 1);
    if (dict.depth > values_depth_max) return fail(Code::too_large, "a value is nested too deep");
    dict.entries = std::move(entries);
    return Value(&dicts_.emplace_back(std::move(dict)));
}

Result<Value> Runtime::make(Space space) {
    KITH_TRY(take_memory(sizeof(Space) + space.entries.size() * 2 * sizeof(Value)));
    return Value(&spaces_.emplace_back(std::move(space)));
}

Result<Value> Runtime::make(Method method) {
    KITH_TRY(take_memory(sizeof(Method)));
    return Value(&methods_.emplace_back(method));
}

Result<LoopState*> Runtime::make_loop(LoopState state) {
    KITH_TRY(take_memory(sizeof(LoopState)));
    return &loops_.emplace_back(state);
}

bool Runtime::truth(Value const& value) {
    if (auto const* boolean = std::get_if<bool>(&value)) return *boolean;
    if (auto const* integer = std::get_if<std::int64_t>(&value)) return *integer != 0;
    if (auto const* real = std::get_if<double>(&value)) return *real != 0;
    if (auto const* text = as_text(value)) return !text->empty();
    if (auto const* list = as_list(value)) return !list->items.empty();
    if (auto const* dict = as_dict(value)) return !dict->entries.empty();
    return !is<Undefined>(value) && !is<None>(value);
}

Result<bool> Runtime::equal_lists(List const& a, List const& b) {
    if (a.items.size() != b.items.size()) return false;
    for (std::size_t i = 0; i < a.items.size(); ++i)
        if (!KITH_TRY(equal(a.items[i], b.items[i]))) return false;
    return true;
}

Result<bool> Runtime::equal_dicts(Dict const& a, Dict const& b) {
    if (a.entries.size() != b.entries.size()) return false;
    for (auto const& [key, value] : a.entries) {
        auto const other = KITH_TRY(find(b, key));
        if (!other || !KITH_TRY(equal(value, *other))) return false;
    }
    return true;
}

Result<bool> Runtime::equal(Value const& a, Value const& b) {
    KITH_TRY(spend());
    if (auto const one = as_integer(a), two = as_integer(b); one && two) return *one == *two;
    if (auto const one = as_number(a), two = as_number(b); one && two) return *one == *two;
    if (a.index() != b.index()) return false;
    if (auto const* text = as_text(a)) {
        KITH_TRY(spend_bytes(text->size()));
        return text->bytes() == as_text(b)->bytes();
    }
    if (auto const* list = as_list(a)) return equal_lists(*list, *as_list(b));
    if (auto const* dict = as_dict(a)) return equal_dicts(*dict, *as_dict(b));
    if (auto const* space = std::get_if<Space*>(&a)) return *space == std::get<Space*>(b);
    return is<Undefined>(a) || is<None>(a);
}

Result<bool> Runtime::less(Value const& a, Value const& b) {
    KITH_TRY(spend());
    if (auto const one = as_integer(a), two = as_integer(b); one && two) return *one < *two;
    if (auto const one = as_number(a), two = as_number(b); one && two) return *one < *two;
    auto const* const one = as_text(a);
    auto const* const two = as_text(b);
    if (one == nullptr || two == nullptr)
        return misuse(std::string(kind_name(a)) + " and " + kind_name(b) +
                      " cannot be put in order");
    KITH_TRY(spend_bytes(one->size()));
    return one->bytes() < two->bytes();  // UTF-8 sorts as its code points do
}

Result<bool> Runtime::contains(Value const& b, Value const& a) {
    if (auto const* text = as_text(b)) {
        auto const* const part = as_text(a);
        if (part == nullptr) return misuse(std::string(kind_name(a)) + " cannot be in a text");
        KITH_TRY(spend_bytes(text->size()));
        return find_bytes(text->bytes(), part->bytes()) != std::string_view::npos;
    }
    if (auto const* dict = as_dict(b)) return KITH_TRY(find(*dict, a)).has_value();
    if (auto const* list = as_list(b)) {
        for (auto const& item : list->items)
            if (KITH_TRY(equal(item, a))) return true;
        return false;
    }
    if (is<Undefined>(b)) return false;
    return misuse(std::string("nothing is in ") + kind_name(b));
}

Result<std::optional<Value>> Runtime::find(Dict const& dict, Value const& key) {
    auto const* const wanted = as_text(key);
    KITH_TRY(spend(1 + dict.entries.size() / 16));
    for (auto const& [each, value] : dict.entries) {
        auto const* const name = as_text(each);
        bool const same = wanted != nullptr && name != nullptr   ? wanted->bytes() == name->bytes()
                          : wanted != nullptr || name != nullptr ? false
                                                                 : KITH_TRY(equal(each, key));
        if (same) return std::optional(value);
    }
    return std::optional<Value>();
}

Result<List const*> Runtime::items_of(Value const& value) {
    if (auto const* list = as_list(value)) return list;
    std::vector<Value> items;
    if (auto const* dict = as_dict(value)) {
        for (auto const& entry : dict->entries) items.push_back(entry.first);
    } else if (auto const* text = as_text(value)) {
        auto const bytes = text->bytes();
        if (bytes.size() > items_max) return fail(Code::too_large, "a text is too long to walk");
        for (std::size_t at = 0; at < bytes.size();) {
            auto end = at + 1;
            while (end < bytes.size() && !begins_character(bytes[end])) ++end;
            items.push_back(KITH_TRY(make(text->substr(at, end - at))));
            at = end;
        }
    } else if (!is<Undefined>(value)) {
        return misuse(std::string(kind_name(value)) + " cannot be walked through");
    }
    return as_list(KITH_TRY(make(std::move(items))));
}

char const* kind_name(Value const& value) {
    constexpr std::array<char const*, std::variant_size_v<Value>> names = {"something undefined",
                                                                           "none",
                                                                           "a boolean",
                                                                           "a number",
                                                                           "a number",
                                                                           "a text",
                                                                           "a list",
                                                                           "a dict",
                                                                           "a namespace",
                                                                           "a loop",
                                                                           "a macro",
                                                                           "a function",
                                                                           "a method"};
    return names[value.index()];
}

std::optional<std::int64_t> as_integer(Value const& value) {
    if (auto const* integer = std::get_if<std::int64_t>(&value)) return *integer;
    if (auto const* boolean = std::get_if<bool>(&value)) return *boolean ? 1 : 0;
    return std::nullopt;
}

std::optional<double> as_number(Value const& value) {
    if (auto const* real = std::get_if<double>(&value)) return *real;
    if (auto const integer = as_integer(value)) return static_cast<double>(*integer);
    return std::nullopt;
}

std::size_t find_bytes(std::string_view text, std::string_view needle, std::size_t from) {
    if (from > text.size()) return std::string_view::npos;
    if (needle.empty()) return from;
    // Two-way search in glibc: a needle made to be slow to find is not.
    auto const* const found =
        memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
    if (found == nullptr) return std::string_view::npos;
    return static_cast<std::size_t>(static_cast<char const*>(found) - text.data());
}

}  // namespace kith::infer::jinja
