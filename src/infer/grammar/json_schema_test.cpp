#include "infer/grammar/json_schema.h"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "infer/grammar/automaton.h"
#include "infer/grammar/json_rules.h"

namespace kith::infer::grammar {
namespace {

using base::Code;

Automaton of(std::string_view schema) {
    return Automaton(grammar_of_schema(schema).value());
}
bool makes(Automaton& automaton, std::string_view text) {
    auto state = automaton.start();
    for (char const c : text) state = automaton.next(state, static_cast<std::uint8_t>(c));
    return automaton.accepts(state);
}
bool makes(std::string_view schema, std::string_view text) {
    auto automaton = of(schema);
    return makes(automaton, text);
}
std::string refusal(std::string_view schema, Code code) {
    auto const out = grammar_of_schema(schema);
    REQUIRE_FALSE(out.has_value());
    CHECK(out.error().code == code);
    return out.error().message;
}
bool contains(std::string const& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

TEST_CASE("each type takes its own values alone") {
    CHECK(makes(R"({"type":"string"})", R"("a\n\u00e9\uD7ff ")"));
    CHECK_FALSE(makes(R"({"type":"string"})", R"("\ud800")"));
    CHECK_FALSE(makes(R"({"type":"string"})", "\"\n\""));
    CHECK_FALSE(makes(R"({"type":"string"})", "\"\xc0\x80\""));
    CHECK_FALSE(makes(R"({"type":"string"})", "\"\xed\xa0\x80\""));
    CHECK(makes(R"({"type":"string"})", "\"\xf0\x9f\x98\x80\""));
    for (char const* const text : {"0", "-0", "12", "-1234567890123456"})
        CHECK(makes(R"({"type":"integer"})", text));
    for (char const* const text : {"01", "1.0", "-", "", "+1", "12345678901234567"})
        CHECK_FALSE(makes(R"({"type":"integer"})", text));
    for (char const* const text : {"0.5", "-1e5", "1E-10", "3", "1.25e+3"})
        CHECK(makes(R"({"type":"number"})", text));
    for (char const* const text : {".5", "1.", "1e", "1e999", "NaN"})
        CHECK_FALSE(makes(R"({"type":"number"})", text));
    CHECK(makes(R"({"type":"boolean"})", "true"));
    CHECK(makes(R"({"type":"null"})", "null"));
    CHECK(makes(R"({"type":["string","null"]})", "null"));
    CHECK(makes(R"({"type":["string","null"]})", "\"\""));
    CHECK_FALSE(makes(R"({"type":["string","null"]})", "1"));
}

TEST_CASE("members come in order, the required ones always, the others or not") {
    auto const* const schema = R"({"type":"object","properties":{"a":{"type":"integer"},
        "b":{"type":"boolean"},"c":{"type":"null"}},"required":["b"]})";
    auto automaton = of(schema);
    for (char const* const text : {R"({"b":true})", R"({"a":1,"b":true})", R"({"b":true,"c":null})",
                                   "{ \"a\" : 1 ,\n  \"b\": false, \"c\": null }"})
        CHECK(makes(automaton, text));
    for (char const* const text :
         {R"({})", R"({"a":1})", R"({"b":true,"a":1})", R"({"b":true,})", R"({,"b":true})",
          R"({"b":true,"d":1})", R"({"a":1 "b":true})", R"({"b":true,"b":true})"})
        CHECK_FALSE(makes(automaton, text));
    auto const* const optional =
        R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}}})";
    for (char const* const text :
         {"{}", R"({"a":null})", R"({"b":null})", R"({"a":null,"b":null})"})
        CHECK(makes(optional, text));
}

TEST_CASE("arrays, tuples, lengths, values and alternatives") {
    auto const* const list =
        R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})";
    CHECK(makes(list, "[1]"));
    CHECK(makes(list, "[1, 2,3 ]"));
    CHECK_FALSE(makes(list, "[]"));
    CHECK_FALSE(makes(list, "[1,2,3,4]"));
    CHECK_FALSE(makes(list, "[1,]"));
    CHECK(makes(R"({"type":"array","maxItems":0})", "[ ]"));
    CHECK(makes(R"({"type":"array"})", R"([1,"a",[{}]])"));
    CHECK(makes(R"({"prefixItems":[{"type":"string"},{"type":"null"}]})", R"(["a",null])"));
    CHECK_FALSE(makes(R"({"prefixItems":[{"type":"string"},{"type":"null"}]})", R"(["a"])"));
    auto const* const text = R"({"type":"string","minLength":2,"maxLength":3})";
    CHECK(makes(text, "\"\xc3\xa4\\n\""));  // two characters
    CHECK_FALSE(makes(text, "\"a\""));
    CHECK_FALSE(makes(text, "\"abcd\""));
    CHECK(makes(R"({"enum":["a\"b",2,null,{"x":[1]}]})", R"("a\"b")"));
    CHECK(makes(R"({"enum":["a\"b",2,null,{"x":[1]}]})", R"({"x":[1]})"));
    CHECK(makes(R"({"type":"string","enum":["x","xy"]})", R"("xy")"));
    CHECK(makes(R"({"const":"c"})", R"("c")"));
    CHECK(makes(R"({"anyOf":[{"type":"integer"},{"type":"null"}],"title":"T"})", "null"));
    CHECK(makes(R"({"allOf":[{"type":"integer"}]})", "1"));
    CHECK(makes(R"({"type":"object","additionalProperties":{"type":"integer"}})", R"({"q":1})"));
    CHECK_FALSE(makes(R"({"type":"object","additionalProperties":{"type":"null"}})", R"({"q":1})"));
    CHECK_FALSE(makes(R"({"type":"object","additionalProperties":false})", R"({"q":1})"));
    CHECK(makes("true", R"([{"any":"thing"}])"));
}

// All whole numbers from -1200 to 1200, against what the bounds say.
void check_integers(std::string const& bounds, int least, int most) {
    CAPTURE(bounds);
    auto automaton = of("{\"type\":\"integer\"," + bounds + "}");
    for (int number = -1200; number <= 1200; ++number) {
        CAPTURE(number);
        CHECK(makes(automaton, std::to_string(number)) == (number >= least && number <= most));
    }
    for (char const* const text : {"-0", "00", "01", "-01", "1.0", "", "-"})
        CHECK_FALSE(makes(automaton, text));
}

TEST_CASE("whole numbers keep within their bounds, to the last") {
    int const ends[] = {-1000, -999, -101, -100, -19, -10, -9,  -1, 0,
                        1,     5,    9,    10,   42,  99,  100, 420};
    for (int const least : ends)
        for (int const most : ends)
            if (least <= most)
                check_integers(
                    "\"minimum\":" + std::to_string(least) + ",\"maximum\":" + std::to_string(most),
                    least, most);
    check_integers(R"("exclusiveMinimum":-3,"exclusiveMaximum":7)", -2, 6);
    check_integers(R"("minimum":-2.5,"maximum":7.9)", -2, 7);
    check_integers(R"("exclusiveMinimum":-2.5,"exclusiveMaximum":7.9)", -2, 7);
    check_integers(R"("minimum":1,"exclusiveMinimum":1)", 2, 1200);
    check_integers(R"("maximum":-3)", -1200, -3);
    check_integers(R"("minimum":-1e300,"maximum":1e300)", -1200, 1200);
    CHECK(makes(R"({"type":"integer","minimum":0})", "9999999999999999"));
    CHECK_FALSE(makes(R"({"type":"integer","minimum":0})", "10000000000000000"));
    CHECK(makes(R"({"type":["integer","null"],"minimum":3})", "null"));
    CHECK_FALSE(makes(R"({"type":["integer","null"],"minimum":3})", "2"));
}

TEST_CASE("numbers keep within their bounds, fractions between whole numbers") {
    auto const* const share = R"({"type":"number","minimum":0,"maximum":1})";
    for (char const* const text : {"0", "1", "0.5", "0.001", "0.999999999999999"})
        CHECK(makes(share, text));
    for (char const* const text : {"1.1", "-0.1", "1.01", "2", "-1", "0.50", "0.", "1e1", "00.5"})
        CHECK_FALSE(makes(share, text));
    auto const* const open = R"({"type":"number","exclusiveMinimum":-2,"exclusiveMaximum":2})";
    for (char const* const text : {"-1.9", "1.9", "-0.1", "0.1", "0", "1"})
        CHECK(makes(open, text));
    for (char const* const text : {"-2", "2", "2.1", "-2.1"}) CHECK_FALSE(makes(open, text));
    auto const* const below = R"({"type":"number","maximum":-3})";
    CHECK(makes(below, "-3.5"));
    CHECK(makes(below, "-3"));
    CHECK_FALSE(makes(below, "-2.5"));
    refusal(R"({"type":"number","minimum":0.2,"maximum":0.8})", Code::unsupported);
    refusal(R"({"type":"integer","minimum":0.2,"maximum":0.8})", Code::invalid);
    refusal(R"({"type":"integer","minimum":3,"maximum":2})", Code::invalid);
    refusal(R"({"type":"integer","minimum":"3"})", Code::invalid);
    refusal(R"({"type":"integer","minimum":3,"exclusiveMinimum":true})", Code::invalid);
    refusal(R"({"type":"integer","minimum":1e17})", Code::invalid);
}

TEST_CASE("oneOf is read where no value fits two, and refused where one may") {
    auto const* const kinds = R"({"oneOf":[
        {"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k"]},
        {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]},
        {"type":"null"},{"type":"integer","minimum":1}]})";
    CHECK(makes(kinds, R"({"k":"a","x":1})"));
    CHECK(makes(kinds, R"({"k":"b"})"));
    CHECK(makes(kinds, "null"));
    CHECK_FALSE(makes(kinds, R"({"k":"b","x":1})"));
    CHECK_FALSE(makes(kinds, "0"));
    CHECK(makes(R"({"oneOf":[{"const":"x"},{"const":"y"}]})", R"("y")"));
    for (char const* const overlapping :
         {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", R"({"oneOf":[true,true]})",
          R"({"oneOf":[{"const":1},{"const":1.0}]})", R"({"oneOf":[{"type":"string"},{}]})",
          R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"}}},
             {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})",
          R"({"oneOf":[{"type":"string"},{"type":["string","null"]}]})"})
        CHECK(contains(refusal(overlapping, Code::unsupported), "oneOf"));
    refusal(R"({"oneOf":[]})", Code::invalid);
    refusal(R"({"oneOf":1})", Code::invalid);
    std::string many = R"({"oneOf":[)";
    for (std::size_t i = 0; i < 64; ++i) many += "{\"const\":\"" + std::to_string(i) + "\"},";
    refusal(many + R"({"const":"z"}]})", Code::too_large);
    many.pop_back();
    CHECK(grammar_of_schema(many + "]}").has_value());
}

TEST_CASE("a schema may name itself, and parts of itself") {
    auto const* const tree = R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object",
        "properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},
        {"type":"null"}]}},"required":["v","next"]}}})";
    CHECK(makes(tree, R"({"v":1,"next":{"v":2,"next":null}})"));
    CHECK_FALSE(makes(tree, R"({"v":1,"next":{"v":2}})"));
    CHECK(makes(R"({"type":"array","items":{"$ref":"#"}})", "[[],[[]]]"));
}

TEST_CASE("any JSON object is one, and nothing else is") {
    Automaton automaton(grammar_of_json_object().value());
    CHECK(makes(automaton, R"({"a":[1,{"b":null}],"c":"d"})"));
    CHECK_FALSE(makes(automaton, "[]"));
    CHECK_FALSE(makes(automaton, R"({"a":1}x)"));
    std::string deep;
    for (std::size_t i = 0; i < any_depth_max; ++i) deep += "{\"a\":";
    auto const closed = deep + "1" + std::string(any_depth_max, '}');
    CHECK(makes(automaton, closed));
    CHECK_FALSE(makes(automaton, "{\"a\":" + closed + "}"));
}

TEST_CASE("what is not supported is refused by its name and place") {
    for (char const* const keyword :
         {"not", "pattern", "minimum", "multipleOf", "uniqueItems", "patternProperties", "if",
          "propertyNames", "contains", "dependentRequired", "minProperties", "nonsense"}) {
        auto const text = refusal(
            "{\"type\":\"object\",\"properties\":{\"p\":{\"" + std::string(keyword) + "\":1}}}",
            Code::unsupported);
        CHECK(contains(text, "'" + std::string(keyword) + "'"));
        CHECK(contains(text, "#/p"));
    }
    CHECK(contains(refusal(R"({"anyOf":[true],"type":"string"})", Code::unsupported), "beside"));
    CHECK(contains(refusal(R"({"allOf":[true,true]})", Code::unsupported), "allOf"));
    CHECK(contains(refusal(R"({"$ref":"http://x/y"})", Code::unsupported), "http://x/y"));
    CHECK(
        contains(refusal(R"({"type":"object","required":["x"]})", Code::unsupported), "required"));
    CHECK(contains(refusal(R"({"minLength":3})", Code::unsupported), "minLength"));
}

TEST_CASE("what is no schema, is satisfied by nothing, or is too large, is refused") {
    refusal("{", Code::invalid);
    refusal("[]", Code::invalid);
    refusal("false", Code::invalid);
    refusal(R"({"type":"strong"})", Code::invalid);
    refusal(R"({"enum":[]})", Code::invalid);
    refusal(R"({"type":"string","minLength":3,"maxLength":2})", Code::invalid);
    refusal(R"({"type":"string","minLength":-1})", Code::invalid);
    refusal(R"({"$ref":"#"})", Code::invalid);  // itself, without anything else
    refusal(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", Code::invalid);
    refusal(R"({"type":"string","maxLength":4097})", Code::too_large);
    CHECK(grammar_of_schema(R"({"type":"string","maxLength":4096})").has_value());
    refusal(std::string(schema_bytes_max, ' ') + "{}", Code::too_large);
    std::string many = R"({"type":"object","properties":{)";
    for (int i = 0; i < 40; ++i)
        many += "\"p" + std::to_string(i) + R"(":{"type":"string","minLength":4096},)";
    refusal(many + R"("z":true}})", Code::too_large);
}

// A walk at random through what may follow, one byte at a time.
std::string random_text(Automaton& automaton, std::uint64_t seed, std::size_t size) {
    std::string out;
    auto state = automaton.start();
    while (!automaton.is_over(state)) {
        if (out.size() > size && automaton.accepts(state)) break;
        std::vector<std::uint8_t> may;
        for (unsigned byte = 0; byte < 256; ++byte)
            if (automaton.next(state, static_cast<std::uint8_t>(byte)) != Automaton::dead)
                may.push_back(static_cast<std::uint8_t>(byte));
        REQUIRE_FALSE(may.empty());
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        auto pick = may[(seed >> 33U) % may.size()];
        // Towards an end, once it is long enough; in a string all three may follow.
        if (out.size() > size)
            for (auto const closing : std::string_view("]}\""))
                if (automaton.next(state, static_cast<std::uint8_t>(closing)) != Automaton::dead)
                    pick = static_cast<std::uint8_t>(closing);
        out += static_cast<char>(pick);
        state = automaton.next(state, pick);
    }
    return out;
}

TEST_CASE("whatever may follow, followed at random to its end, is JSON") {
    Automaton any(grammar_of_json_object().value());
    auto named = of(R"({"type":"object","properties":{"a":{"type":"string","maxLength":9},
        "b":{"type":"array","items":{"type":"number","minimum":-3,"maximum":120}},"c":{"enum":[1,"x"]}},"required":["c"]})");
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        for (auto* const automaton : {&any, &named}) {
            auto const text = random_text(*automaton, seed, 200);
            CAPTURE(text);
            boost::system::error_code error;
            auto const value = boost::json::parse(text, error);
            CHECK_FALSE(error);
            CHECK(value.is_object());
        }
    }
}

}  // namespace
}  // namespace kith::infer::grammar
