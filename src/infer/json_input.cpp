#include "infer/json_input.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;

namespace {

namespace json = boost::json;
using jinja::Input;

jinja::Text given(std::string_view text) {
    return {text, jinja::Origin::given};
}

// The parser kept the depth within json_input_depth_max.
Input converted(json::value const& value) {
    if (auto const* boolean = value.if_bool()) return {*boolean};
    if (auto const* integer = value.if_int64()) return {*integer};
    if (auto const* positive = value.if_uint64()) return {static_cast<double>(*positive)};
    if (auto const* real = value.if_double()) return {*real};
    if (auto const* text = value.if_string()) return {given({text->data(), text->size()})};
    if (auto const* array = value.if_array()) {
        Input::List list;
        for (auto const& item : *array) list.push_back(converted(item));
        return {std::move(list)};
    }
    if (auto const* object = value.if_object()) {
        Input::Dict dict;
        for (auto const& member : *object)
            dict.emplace_back(given({member.key().data(), member.key().size()}),
                              converted(member.value()));
        return {std::move(dict)};
    }
    return {};
}

}  // namespace

Result<Input> input_of_json(std::string_view text) {
    if (text.size() > json_input_bytes_max)
        return fail(Code::too_large, "JSON of more than 1 MiB in a conversation");
    json::parse_options options;
    options.max_depth = json_input_depth_max;
    boost::system::error_code error;
    auto const value = json::parse({text.data(), text.size()}, error, {}, options);
    if (error == json::error::too_deep)
        return fail(Code::too_large, "JSON in a conversation is nested too deep");
    if (error) return fail(Code::invalid, "malformed JSON in a conversation");
    return converted(value);
}

}  // namespace kith::infer
