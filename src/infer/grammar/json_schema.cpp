#include "infer/grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <string>

#include "infer/grammar/json_rules.h"
#include "infer/grammar/number_range.h"
#include "infer/grammar/pattern.h"
#include "infer/grammar/pattern_rules.h"
#include "infer/grammar/schema_facts.h"
#include "infer/grammar/string_formats.h"

namespace kith::infer::grammar {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 14> ignored = {
    "title", "description", "default",    "examples", "$schema",   "$id",    "$comment",
    "$defs", "definitions", "deprecated", "readOnly", "writeOnly", "format", "strict"};
constexpr std::array<std::string_view, 21> shaping = {"type",
                                                      "properties",
                                                      "required",
                                                      "additionalProperties",
                                                      "items",
                                                      "minItems",
                                                      "maxItems",
                                                      "minLength",
                                                      "maxLength",
                                                      "pattern",
                                                      "enum",
                                                      "const",
                                                      "anyOf",
                                                      "allOf",
                                                      "$ref",
                                                      "prefixItems",
                                                      "oneOf",
                                                      "minimum",
                                                      "maximum",
                                                      "exclusiveMinimum",
                                                      "exclusiveMaximum"};

std::string_view view(json::string_view text) {
    return {text.data(), text.size()};
}

bool is_one_of(std::string_view word, auto const& words) {
    return std::ranges::find(words, word) != words.end();
}

class Compiler {
public:
    explicit Compiler(json::value const& root) : root_(root), rules_(builder_) {}

    Result<Grammar> run() {
        auto const start = KITH_TRY(reference("#"));
        return builder_.build(start);
    }

private:
    // The rule of a schema; `where` is its place, for errors.
    Result<RuleId> schema(json::value const& schema, std::string const& where);
    Result<RuleId> object_schema(json::object const& schema, std::string const& where);
    Status check_alone(std::string_view keyword, json::object const& schema,
                       std::string const& where) const;
    Result<RuleId> alone(std::string_view keyword, json::value const& value_of,
                         std::string const& where);
    Result<RuleId> reference(std::string_view target);
    Result<json::value const*> resolve(std::string_view target) const;
    Status check_keywords(json::object const& schema, std::string const& where) const;
    Result<RuleId> typed(std::string_view type, json::object const& schema,
                         std::string const& where);
    Result<RuleId> any_of(json::value const& list, std::string const& where);
    Result<RuleId> one_of(json::value const& list, std::string const& where);
    Result<RuleId> one_of_values(json::value const& list, std::string const& where);
    Result<RuleId> all_of(json::value const& list, std::string const& where);
    Result<RuleId> number(std::string_view type, json::object const& schema,
                          std::string const& where);
    Result<RuleId> string(json::object const& schema, std::string const& where);
    static std::optional<std::string> form_of(json::object const& schema, LengthRange length);
    Result<RuleId> pattern(std::string_view expression, LengthRange length);
    Result<RuleId> array(json::object const& schema, std::string const& where);
    Result<RuleId> tuple(json::array const& items, json::object const& schema,
                         std::string const& where);
    Result<RuleId> object(json::object const& schema, std::string const& where);
    Result<RuleId> members(json::object const& properties, json::object const& schema,
                           std::string const& where);
    Result<std::vector<std::string_view>> required(json::object const& schema,
                                                   std::string const& where) const;
    Result<std::optional<std::size_t>> count(json::object const& schema, char const* keyword,
                                             std::string const& where) const;
    RuleId value(json::value const& value) {
        return builder_.define({builder_.literal(json::serialize(value))});
    }
    static std::unexpected<base::Error> unsupported(std::string const& what,
                                                    std::string const& where) {
        return fail(Code::unsupported, what + " at " + where + " is not supported");
    }
    static std::unexpected<base::Error> invalid(std::string const& what, std::string const& where) {
        return fail(Code::invalid, what + " at " + where);
    }

    // The same error, with its place.
    static Result<RuleId> at(std::string const& where, Result<RuleId> out) {
        if (!out) return fail(out.error().code, out.error().message + " at " + where);
        return out;
    }

    json::value const& root_;
    Builder builder_;
    JsonRules rules_;
    std::map<std::string, RuleId, std::less<>> references_;
    std::map<std::pair<std::string, LengthRange>, RuleId> patterns_;
    PatternWork pattern_work_;
};

// A name in an error is no longer than this, whatever the schema says.
std::string shown(std::string_view name) {
    constexpr std::size_t name_bytes_max = 60;
    std::string out;
    for (char const c : name.substr(0, name_bytes_max)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return out;
}

std::string below(std::string const& where, std::string_view name) {
    constexpr std::size_t where_bytes_max = 200;
    return where.size() > where_bytes_max ? where : where + "/" + shown(name);
}

Status Compiler::check_keywords(json::object const& schema, std::string const& where) const {
    for (auto const& member : schema) {
        auto const name = view(member.key());
        if (!is_one_of(name, shaping) && !is_one_of(name, ignored))
            return unsupported("'" + shown(name) + "'", where);
    }
    return {};
}

Result<RuleId> Compiler::schema(json::value const& schema, std::string const& where) {
    if (builder_.is_full()) return fail(Code::too_large, "the schema makes too large a grammar");
    if (auto const* boolean = schema.if_bool()) {
        if (*boolean) return rules_.any_value;
        return invalid("'false', which nothing satisfies,", where);
    }
    auto const* const object = schema.if_object();
    if (object == nullptr) return invalid("a schema that is no object", where);
    KITH_TRY(check_keywords(*object, where));
    return object_schema(*object, where);
}

// Each of these says all by itself here; together with others it would have to be an intersection,
// which a grammar cannot give.
Status Compiler::check_alone(std::string_view keyword, json::object const& schema,
                             std::string const& where) const {
    bool const by_value = keyword == "const" || keyword == "enum";
    for (auto const& member : schema) {
        auto const other = view(member.key());
        bool const harmless =
            other == keyword || is_one_of(other, ignored) || (by_value && other == "type");
        if (!harmless)
            return unsupported("'" + shown(other) + "' beside '" + std::string(keyword) + "'",
                               where);
    }
    return {};
}

Result<RuleId> Compiler::alone(std::string_view keyword, json::value const& value_of,
                               std::string const& where) {
    auto const inside = below(where, keyword);
    if (keyword == "const") return value(value_of);
    if (keyword == "enum") return one_of_values(value_of, inside);
    if (keyword == "anyOf") return any_of(value_of, inside);
    if (keyword == "oneOf") return one_of(value_of, inside);
    if (keyword == "allOf") return all_of(value_of, inside);
    if (!value_of.is_string()) return invalid("a $ref that is no string", where);
    return reference(view(value_of.get_string()));
}

Result<RuleId> Compiler::object_schema(json::object const& schema, std::string const& where) {
    for (std::string_view const keyword : {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"}) {
        auto const* const value_of = schema.if_contains(keyword);
        if (value_of == nullptr) continue;
        KITH_TRY(check_alone(keyword, schema, where));
        return alone(keyword, *value_of, where);
    }
    auto const* const type = schema.if_contains("type");
    if (type == nullptr) {
        bool const is_object = schema.contains("properties") || schema.contains("required") ||
                               schema.contains("additionalProperties");
        if (is_object) return object(schema, where);
        if (schema.contains("items") || schema.contains("prefixItems")) return array(schema, where);
        for (auto const& member : schema)
            if (!is_one_of(view(member.key()), ignored))
                return unsupported("'" + shown(view(member.key())) + "' without 'type'", where);
        return rules_.any_value;
    }
    if (type->is_string()) return typed(view(type->get_string()), schema, where);
    if (!type->is_array() || type->get_array().empty())
        return invalid("a type that is neither a string nor a list", where);
    std::vector<Sequence> alternatives;
    for (auto const& each : type->get_array()) {
        if (!each.is_string()) return invalid("a type that is no string", where);
        alternatives.push_back(
            {Builder::rule(KITH_TRY(typed(view(each.get_string()), schema, where)))});
    }
    return builder_.define(alternatives);
}

Result<RuleId> Compiler::typed(std::string_view type, json::object const& schema,
                               std::string const& where) {
    if (type == "string") return string(schema, where);
    if (type == "integer" || type == "number") return number(type, schema, where);
    if (type == "boolean") return rules_.boolean;
    if (type == "null") return rules_.null;
    if (type == "array") return array(schema, where);
    if (type == "object") return object(schema, where);
    return invalid("the type '" + shown(type) + "'", where);
}

// Each target is one rule, which may name itself inside.
Result<RuleId> Compiler::reference(std::string_view target) {
    if (auto const known = references_.find(target); known != references_.end())
        return known->second;
    auto const* const found = KITH_TRY(resolve(target));
    auto const rule = builder_.declare();
    references_.emplace(target, rule);
    auto const inner = KITH_TRY(schema(*found, shown(target)));
    builder_.add(rule, {Builder::rule(inner)});
    return rule;
}

Result<json::value const*> Compiler::resolve(std::string_view target) const {
    if (target == "#") return &root_;
    auto const* const root = root_.if_object();
    for (std::string_view const folder : {"$defs", "definitions"}) {
        auto const prefix = "#/" + std::string(folder) + "/";
        if (root == nullptr || !target.starts_with(prefix)) continue;
        auto const* const definitions = root->if_contains(folder);
        auto const* const object = definitions == nullptr ? nullptr : definitions->if_object();
        auto const* const found =
            object == nullptr ? nullptr : object->if_contains(target.substr(prefix.size()));
        if (found != nullptr) return found;
    }
    return fail(Code::unsupported, "the $ref '" + shown(target) + "' leads nowhere here");
}

Result<RuleId> Compiler::any_of(json::value const& list, std::string const& where) {
    if (!list.is_array() || list.get_array().empty())
        return invalid("a list of schemas that is none", where);
    std::vector<Sequence> alternatives;
    for (auto const& each : list.get_array())
        alternatives.push_back({Builder::rule(KITH_TRY(schema(each, where)))});
    return builder_.define(alternatives);
}

// Exactly one must fit, so it is read where no value fits two.
Result<RuleId> Compiler::one_of(json::value const& list, std::string const& where) {
    if (!list.is_array() || list.get_array().empty())
        return invalid("a list of schemas that is none", where);
    auto const& schemas = list.get_array();
    if (schemas.size() > one_of_max) return fail(Code::too_large, "'oneOf' of more than 64");
    for (std::size_t i = 0; i < schemas.size(); ++i)
        for (std::size_t k = 0; k < i; ++k)
            if (!exclude_each_other(schemas[i], schemas[k]))
                return unsupported("'oneOf' whose schemas may overlap", where);
    return any_of(list, where);
}

Result<RuleId> Compiler::all_of(json::value const& list, std::string const& where) {
    if (!list.is_array() || list.get_array().size() != 1)
        return unsupported("a number of schemas other than 1", where);
    return schema(list.get_array()[0], where);
}

Result<RuleId> Compiler::one_of_values(json::value const& list, std::string const& where) {
    if (!list.is_array() || list.get_array().empty())
        return invalid("a list of values that is none", where);
    std::vector<Sequence> alternatives;
    for (auto const& each : list.get_array()) {
        if (builder_.is_full()) break;
        alternatives.push_back(builder_.literal(json::serialize(each)));
    }
    return builder_.define(alternatives);
}

Result<std::optional<std::size_t>> Compiler::count(json::object const& schema, char const* keyword,
                                                   std::string const& where) const {
    auto const* const value_of = schema.if_contains(keyword);
    if (value_of == nullptr) return std::optional<std::size_t>();
    auto const* const number = value_of->if_int64();
    if (number == nullptr || *number < 0)
        return invalid(std::string("a '") + keyword + "' that is no count", where);
    if (*number > static_cast<std::int64_t>(copies_max))
        return fail(Code::too_large, std::string("'") + keyword + "' above 4096 at " + where);
    return std::optional(static_cast<std::size_t>(*number));
}

Result<RuleId> Compiler::number(std::string_view type, json::object const& schema,
                                std::string const& where) {
    if (!has_bounds(schema)) return type == "integer" ? rules_.integer : rules_.number;
    auto const bounds = read_bounds(schema);
    if (!bounds) return invalid(bounds.error().message, where);
    auto out =
        bounds->whole.is_empty() ? std::vector<Sequence>{} : integers_in(builder_, bounds->whole);
    if (type == "number")
        for (auto& fraction : fractions_in(builder_, bounds->around_fractions))
            out.push_back(std::move(fraction));
    if (!out.empty()) return builder_.define(out);
    if (type == "integer") return invalid("bounds without a number between them", where);
    return unsupported("a range of numbers without two whole ones", where);
}

Result<RuleId> Compiler::string(json::object const& schema, std::string const& where) {
    auto const least = KITH_TRY(count(schema, "minLength", where));
    auto const most = KITH_TRY(count(schema, "maxLength", where));
    if (most && least.value_or(0) > *most) return invalid("minLength above maxLength", where);
    LengthRange const length{.least = least.value_or(0), .most = most.value_or(Builder::no_limit)};
    if (auto const* const expression = schema.if_contains("pattern")) {
        if (!expression->is_string()) return invalid("a pattern that is no string", where);
        return at(where, pattern(view(expression->get_string()), length));
    }
    if (auto const form = form_of(schema, length)) return at(where, pattern(*form, {}));
    if (!least && !most) return rules_.string;
    auto const text =
        builder_.repeated({Builder::rule(rules_.character)}, length.least, length.most);
    auto const quote = builder_.literal("\"");
    return builder_.define({quote + Sequence{Builder::rule(text)} + quote});
}

// `format` is an annotation that any text may carry (JSON Schema 2020-12, validation, 7.2). It is
// kept to where nothing else is said: not beside a pattern, nor beside a length that one of its
// texts could miss.
std::optional<std::string> Compiler::form_of(json::object const& schema, LengthRange length) {
    auto const* const format = schema.if_contains("format");
    if (format == nullptr || !format->is_string()) return std::nullopt;
    auto form = find_format(view(format->get_string()));
    if (!form) return std::nullopt;
    auto const read = read_pattern(*form);
    if (!read) return std::nullopt;
    auto const own = lengths_of(*read);
    if (own.least < length.least || own.most > length.most) return std::nullopt;
    return form;
}

Result<RuleId> Compiler::pattern(std::string_view expression, LengthRange length) {
    auto const known = patterns_.find({std::string(expression), length});
    if (known != patterns_.end()) return known->second;
    auto const read = KITH_TRY(read_pattern(expression));
    auto const rule = KITH_TRY(string_of_pattern(builder_, read, length, pattern_work_));
    patterns_.emplace(std::pair(std::string(expression), length), rule);
    return rule;
}

Result<RuleId> Compiler::array(json::object const& schema, std::string const& where) {
    if (auto const* const items = schema.if_contains("prefixItems")) {
        if (!items->is_array() || items->get_array().empty())
            return invalid("prefixItems that are no list", where);
        return tuple(items->get_array(), schema, where);
    }
    auto const least = KITH_TRY(count(schema, "minItems", where));
    auto const most = KITH_TRY(count(schema, "maxItems", where));
    if (most && least.value_or(0) > *most) return invalid("minItems above maxItems", where);
    auto const* const items = schema.if_contains("items");
    auto const item =
        items == nullptr ? rules_.any_value : KITH_TRY(this->schema(*items, below(where, "items")));
    return rules_.array_of(item, least.value_or(0), most.value_or(Builder::no_limit));
}

// As many items as there are schemas; that more or fewer would be valid too is not used.
Result<RuleId> Compiler::tuple(json::array const& items, json::object const& schema,
                               std::string const& where) {
    auto const least = KITH_TRY(count(schema, "minItems", where)).value_or(items.size());
    auto const most = KITH_TRY(count(schema, "maxItems", where)).value_or(items.size());
    if (least > items.size() || most < items.size())
        return unsupported("minItems or maxItems other than the number of prefixItems", where);
    auto const blanks = Builder::rule(rules_.blank);
    auto out = builder_.literal("[") + Sequence{blanks};
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out = out + builder_.literal(",") + Sequence{blanks};
        auto const item =
            KITH_TRY(this->schema(items[i], below(where, "prefixItems/" + std::to_string(i))));
        out = out + Sequence{Builder::rule(item), blanks};
    }
    return builder_.define({out + builder_.literal("]")});
}

Result<std::vector<std::string_view>> Compiler::required(json::object const& schema,
                                                         std::string const& where) const {
    std::vector<std::string_view> out;
    auto const* const list = schema.if_contains("required");
    if (list == nullptr) return out;
    if (!list->is_array()) return invalid("a 'required' that is no list", where);
    for (auto const& each : list->get_array()) {
        if (!each.is_string()) return invalid("a 'required' name that is no string", where);
        out.push_back(view(each.get_string()));
    }
    return out;
}

Result<RuleId> Compiler::object(json::object const& schema, std::string const& where) {
    auto const* const properties = schema.if_contains("properties");
    auto const* const named = properties == nullptr ? nullptr : properties->if_object();
    if (properties != nullptr && named == nullptr)
        return invalid("'properties' that are no object", where);
    if (named != nullptr && !named->empty()) return members(*named, schema, where);
    if (!KITH_TRY(required(schema, where)).empty())
        return unsupported("'required' names without 'properties'", where);
    auto const* const more = schema.if_contains("additionalProperties");
    if (more == nullptr || (more->is_bool() && more->get_bool())) return rules_.any_object;
    if (more->is_bool()) {
        return builder_.define({builder_.literal("{") + Sequence{Builder::rule(rules_.blank)} +
                                builder_.literal("}")});
    }
    return rules_.map_of(KITH_TRY(this->schema(*more, below(where, "additionalProperties"))));
}

// Each member in its turn, or left out where it is not required. From the last to the first:
// `begun` goes on behind a member and so puts a comma first, `bare` is the same with none written.
Result<RuleId> Compiler::members(json::object const& properties, json::object const& schema,
                                 std::string const& where) {
    auto const needed = KITH_TRY(required(schema, where));
    for (auto const name : needed)
        if (!properties.contains({name.data(), name.size()}))
            return unsupported("the required '" + shown(name) + "', which has no schema,", where);
    auto const blanks = Builder::rule(rules_.blank);
    auto const comma = builder_.literal(",") + Sequence{blanks};
    auto begun = builder_.define({{}});
    auto bare = begun;
    for (auto at = properties.size(); at-- > 0;) {
        auto const& property = *(properties.begin() + at);
        auto const name = view(property.key());
        auto const value_rule = KITH_TRY(this->schema(property.value(), below(where, name)));
        Sequence const member = builder_.literal(json::serialize(property.key())) +
                                Sequence{blanks} + builder_.literal(":") +
                                Sequence{blanks, Builder::rule(value_rule), blanks};
        bool const is_needed = is_one_of(name, needed);
        auto const rest = Builder::rule(begun);
        std::vector<Sequence> after{comma + member + Sequence{rest}};
        std::vector<Sequence> first{member + Sequence{rest}};
        if (!is_needed) {
            after.push_back({rest});
            first.push_back({Builder::rule(bare)});
        }
        begun = builder_.define(after);
        bare = builder_.define(first);
    }
    return builder_.define(
        {builder_.literal("{") + Sequence{blanks, Builder::rule(bare)} + builder_.literal("}")});
}

}  // namespace

Result<Grammar> grammar_of_schema(std::string_view schema) {
    if (schema.size() > schema_bytes_max)
        return fail(Code::too_large, "the schema is longer than 256 KiB");
    json::parse_options options;
    options.max_depth = schema_depth_max;
    boost::system::error_code error;
    auto const root = json::parse({schema.data(), schema.size()}, error, {}, options);
    if (error == json::error::too_deep)
        return fail(Code::too_large, "the schema is nested too deep");
    if (error) return fail(Code::invalid, "the schema is no JSON");
    return Compiler(root).run();
}

Result<Grammar> grammar_of_json_object() {
    Builder builder;
    JsonRules const rules(builder);
    return builder.build(rules.any_object);
}

}  // namespace kith::infer::grammar
