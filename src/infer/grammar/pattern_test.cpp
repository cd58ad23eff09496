#include "infer/grammar/pattern.h"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <regex>
#include <string>
#include <vector>

#include "infer/grammar/automaton.h"
#include "infer/grammar/json_schema.h"
#include "infer/grammar/pattern_rules.h"

namespace kith::infer::grammar {
namespace {

using base::Code;

Automaton of(std::string const& pattern, std::string const& more = {}) {
    auto const schema = R"({"type":"string","pattern":)" +
                        boost::json::serialize(boost::json::value(pattern)) + more + "}";
    auto grammar = grammar_of_schema(schema);
    REQUIRE_MESSAGE(grammar.has_value(), pattern);
    return Automaton(*std::move(grammar));
}
// `text` as it stands between the quotes.
bool fits(Automaton& automaton, std::string_view text) {
    auto state = automaton.start();
    for (char const c : "\"" + std::string(text) + "\"")
        state = automaton.next(state, static_cast<std::uint8_t>(c));
    REQUIRE_FALSE(automaton.overflowed());
    return automaton.accepts(state);
}
bool fits(std::string const& pattern, std::string_view text) {
    CAPTURE(pattern);
    auto automaton = of(pattern);
    return fits(automaton, text);
}
base::Error refused(std::string const& pattern) {
    auto const out = read_pattern(pattern);
    REQUIRE_MESSAGE(!out.has_value(), pattern);
    return out.error();
}

// Every text of up to `length` letters of `alphabet`.
std::vector<std::string> all_texts(std::string_view alphabet, std::size_t length) {
    std::vector<std::string> out{""};
    for (std::size_t i = 0; i < out.size(); ++i)
        if (out[i].size() < length)
            for (char const c : alphabet) out.push_back(out[i] + c);
    return out;
}

TEST_CASE("a pattern takes what std::regex takes, for all short texts") {
    auto const texts = all_texts("ab1-", 5);
    for (char const* const pattern : {"",
                                      "a",
                                      "^a",
                                      "a$",
                                      "^a$",
                                      "^a|b$",
                                      "^(?:a|b)*1$",
                                      "^a+b?1{2}$",
                                      "^(a{1,2}b){2,}$",
                                      "^[a-b]{2,3}$",
                                      "^[^a1]*$",
                                      "^\\d\\D\\w\\W$",
                                      "a1|b-",
                                      "^(|a)(b|)$",
                                      "^(a*)*$",
                                      "^((a|b)(1|-))+$",
                                      "^.{3}$",
                                      "^a{0}b$",
                                      "^a{0,2}$",
                                      "^a*?b+?$",
                                      "^[-a]+$",
                                      "^[a\\-]+$",
                                      "^(a(b(1)?)?)?$",
                                      "^()$",
                                      "(ab|b1)",
                                      "^(a?){3}b$"}) {
        CAPTURE(pattern);
        std::regex const expected(pattern, std::regex::ECMAScript);
        auto automaton = of(pattern);
        for (auto const& text : texts) {
            CAPTURE(text);
            CHECK(fits(automaton, text) == std::regex_search(text, expected));
        }
    }
}

TEST_CASE("a length holds together with a pattern") {
    auto const texts = all_texts("ab", 6);
    std::regex const expected("^(ab?)+$");
    for (std::size_t least = 0; least <= 5; ++least) {
        for (std::size_t most = least; most <= 5; ++most) {
            CAPTURE(least);
            CAPTURE(most);
            auto both = of("^(ab?)+$", ",\"minLength\":" + std::to_string(least) +
                                           ",\"maxLength\":" + std::to_string(most + 1));
            auto only_least = of("^(ab?)+$", ",\"minLength\":" + std::to_string(least));
            for (auto const& text : texts) {
                CAPTURE(text);
                bool const is_in = std::regex_match(text, expected) && text.size() >= least;
                CHECK(fits(both, text) == (is_in && text.size() <= most + 1));
                CHECK(fits(only_least, text) == is_in);
            }
        }
    }
    auto umlauts = of("^\xc3\xa4*$", ",\"maxLength\":2");  // characters are counted, not bytes
    CHECK(fits(umlauts, "\xc3\xa4\xc3\xa4"));
    CHECK_FALSE(fits(umlauts, "\xc3\xa4\xc3\xa4\xc3\xa4"));
    for (char const* const more : {R"("minLength":4)", R"("maxLength":2)"}) {
        auto const out = grammar_of_schema(
            R"({"type":"object","properties":{"p":{"type":"string","pattern":"^a{3}$",)" +
            std::string(more) + "}}}");
        REQUIRE_FALSE(out.has_value());
        CHECK(out.error().code == Code::invalid);
        CHECK(out.error().message.find("#/p") != std::string::npos);
    }
}

TEST_CASE("each character has one form in JSON: itself, or its shortest escape") {
    CHECK(fits("^.$", "\\\""));
    CHECK(fits("^.$", "\\\\"));
    CHECK(fits("^.$", "\\t"));
    CHECK(fits("^.$", "\\u0000"));
    CHECK(fits("^.$", "\\u001f"));
    CHECK_FALSE(fits("^.$", "\\n"));  // '.' is no end of a line
    CHECK(fits("^\\n$", "\\n"));
    CHECK_FALSE(fits("^\\n$", "\n"));
    CHECK_FALSE(fits("^\\n$", "\\u000a"));
    CHECK_FALSE(fits("^.$", "\""));
    CHECK_FALSE(fits("^a$", "\\u0061"));
    CHECK_FALSE(fits("^.$", "\x1f"));
    CHECK(fits("^[^a]$", "\\\\"));
    CHECK(fits("^\\/$", "/"));
}

TEST_CASE("characters beyond ASCII are whole, at every border of their lengths") {
    auto const utf8 = [](char32_t point) {
        std::string out;
        auto const byte = [&](char32_t value) { out += static_cast<char>(value); };
        if (point < 0x80) return out = std::string(1, static_cast<char>(point));
        if (point < 0x800) {
            byte(0xc0 | point >> 6U);
        } else {
            if (point < 0x10000) {
                byte(0xe0 | point >> 12U);
            } else {
                byte(0xf0 | point >> 18U);
                byte(0x80 | (point >> 12U & 0x3f));
            }
            byte(0x80 | (point >> 6U & 0x3f));
        }
        byte(0x80 | (point & 0x3f));
        return out;
    };
    char32_t const borders[] = {0x7f,    0x80,    0xbf,    0xc0,    0x7ff,    0x800,
                                0xfff,   0x1000,  0xd7ff,  0xe000,  0xffff,   0x10000,
                                0x1f600, 0x3ffff, 0x40000, 0xfffff, 0x100000, 0x10ffff};
    auto any = of("^[^\\n]$");
    for (auto const first : borders) {
        CHECK(fits(any, utf8(first)));
        for (auto const last : borders) {
            if (last < first) continue;
            Builder builder;
            auto const rule = builder.define(json_character(builder, CodePoints{{first, last}}));
            Automaton automaton(builder.build(rule).value());
            for (auto const point : borders) {
                CAPTURE(first);
                CAPTURE(last);
                CAPTURE(point);
                auto state = automaton.start();
                for (char const c : utf8(point))
                    state = automaton.next(state, static_cast<std::uint8_t>(c));
                CHECK(automaton.accepts(state) == (point >= first && point <= last));
            }
        }
    }
    CHECK_FALSE(fits(any, "\xed\xa0\x80"));  // a surrogate
    CHECK_FALSE(fits(any, "\xc0\x80"));
    CHECK_FALSE(fits(any, "\xf4\x90\x80\x80"));
    CHECK(fits("^\\u{1F600}\\u00e4\\xe4$", "\xf0\x9f\x98\x80\xc3\xa4\xc3\xa4"));
    CHECK(fits("^\\s\\S$", "\xe3\x80\x80\xc3\xa4"));
    CHECK(fits("^[\xc3\xa4-\xc3\xbc]$", "\xc3\xb6"));
}

TEST_CASE("what a pattern cannot say here is refused by its name") {
    auto const unsupported = [](std::string const& pattern, std::string_view name) {
        auto const error = refused(pattern);
        CAPTURE(pattern);
        CAPTURE(error.message);
        CHECK(error.code == Code::unsupported);
        CHECK(error.message.find(name) != std::string::npos);
    };
    unsupported("(?=a)", "(?=");
    unsupported("(?!a)", "(?!");
    unsupported("(?<=a)b", "(?<=");
    unsupported("(?<!a)b", "(?<!");
    unsupported("(?i)a", "flags");
    unsupported("\\bword\\b", "\\b");
    unsupported("(a)\\1", "back reference");
    unsupported("(?<n>a)\\k<n>", "back reference");
    unsupported("\\p{L}", "\\p");
    unsupported("\\cA", "\\c");
    unsupported("\\ud83d\\ude00", "surrogate");
    unsupported("a^b", "'^'");
    unsupported("(^a)", "'^'");
    unsupported("a$b", "'$'");
    unsupported("(a$)", "'$'");
    for (char const* const pattern :
         {"(",       ")",      "a)",   "(a",  "[",       "[a",    "[a-",         "[b-a]",
          "[a-\\d]", "*",      "+a",   "a**", "a{2,1}",  "a{",    "a{x}",        "{1}",
          "}",       "]",      "\\",   "\\q", "\\x1",    "\\u12", "\\u{110000}", "\\u{12",
          "(?<",     "(?<>a)", "(?<n", "a$)", "a{1}{2}", "\xff",  "\xc3"}) {
        CAPTURE(pattern);
        CHECK(refused(pattern).code == Code::invalid);
    }
}

TEST_CASE("a pattern keeps within its limits") {
    CHECK(read_pattern(std::string(pattern_bytes_max, 'a')).has_value());
    CHECK(refused(std::string(pattern_bytes_max + 1, 'a')).code == Code::too_large);
    auto const nested = [](std::size_t depth) {
        return std::string(depth, '(') + "a" + std::string(depth, ')');
    };
    CHECK(read_pattern(nested(pattern_depth_max)).has_value());
    CHECK(refused(nested(pattern_depth_max + 1)).code == Code::too_large);
    CHECK(read_pattern("a{4096}").has_value());
    CHECK(refused("a{4097}").code == Code::too_large);
    CHECK(refused("a{99999999999999999999}").code == Code::too_large);
    std::string ranges;
    for (char32_t point = 0x1000; ranges.size() < 4000; point += 2) {
        for (auto const bits : {12U, 6U, 0U})
            ranges += static_cast<char>(bits == 12 ? 0xe0 | point >> 12U
                                                   : 0x80 | (point >> bits & 0x3fU));
    }
    CHECK(refused("[" + ranges + "]").code == Code::too_large);

    auto const rules = [](std::string const& pattern, LengthRange length = {}) {
        Builder builder;
        auto const read = read_pattern(pattern);
        REQUIRE(read.has_value());
        PatternWork work;
        auto const out = string_of_pattern(builder, *read, length, work);
        return out ? std::string("ok") : std::string(base::code_name(out.error().code));
    };
    std::string const too_large = base::code_name(Code::too_large);
    std::string const invalid = base::code_name(Code::invalid);
    CHECK(rules("^a{4096}$") == "ok");
    CHECK(rules("^a{0,4096}$") == "ok");
    CHECK(rules("^a{4096}b$") == too_large);
    CHECK(rules("^((a{100}){100}){100}$") == too_large);
    CHECK(rules("^(((){4096}){4096}){4096}$") == too_large);  // work without a character
    CHECK(rules("^(a?){4096}$") == too_large);                // each before each
    CHECK(rules("^[ab]{2000}$", {.least = 0, .most = 4096}) == "ok");
    CHECK(rules("^(a|b)*(a|b|c)*$", {.least = 4096, .most = 4096}) == too_large);
    CHECK(rules("[^\\d\\D]") == invalid);  // no character at all
    CHECK(rules("^a[]b$|^c$") == "ok");
    CHECK(rules("^[]*$") == "ok");  // the empty text
}

TEST_CASE("the patterns of a schema share one allowance of work, and the same one is made once") {
    auto const schema = [](std::size_t count, auto const& pattern) {
        std::string out = R"({"type":"array","prefixItems":[)";
        for (std::size_t i = 0; i < count; ++i)
            out += (i == 0 ? "" : ",") + (R"({"type":"string","pattern":")" + pattern(i)) + "\"}";
        return grammar_of_schema(out + "]}");
    };
    // Each asks for a million steps and comes to nothing.
    auto const costly = [](std::size_t i) {
        return "^(((){1000}){1000}|" + std::to_string(i) + ")$";
    };
    CHECK(schema(3, costly).has_value());
    auto const many = schema(5, costly);
    REQUIRE_FALSE(many.has_value());
    CHECK(many.error().code == Code::too_large);
    CHECK(schema(500, [&](std::size_t) { return costly(0); }).has_value());
    CHECK(schema(500, [&](std::size_t) { return std::string("^[a-z]{1000}$"); }).has_value());
}

TEST_CASE("an expression whose states are large and many ends at a limit, not in memory") {
    // Which of the last 300 letters was an a: 2^300 states, each a set of up to 300 positions.
    auto automaton = of("^[ab]*a[ab]{300}$");
    std::uint64_t random = 11;  // the seed
    auto state = automaton.start();
    state = automaton.next(state, '"');
    for (std::size_t i = 0; i < states_max && !automaton.overflowed(); ++i) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        state = automaton.next(state, (random >> 40U) % 2 == 0 ? 'a' : 'b');
        CHECK((state != Automaton::dead || automaton.overflowed()));
    }
    CHECK(automaton.overflowed());
    CHECK(automaton.states_count() < states_max);  // it was the stacks
    CHECK(automaton.stacks_count() <= stacks_max);
    CHECK(automaton.is_half_full());
}

TEST_CASE("formats have the shape of their standards") {
    auto const check = [](char const* name, std::vector<std::string> const& good,
                          std::vector<std::string> const& bad) {
        CAPTURE(name);
        Automaton automaton(
            grammar_of_schema(R"({"type":"string","format":")" + std::string(name) + "\"}")
                .value());
        for (auto const& text : good) CHECK_MESSAGE(fits(automaton, text), text);
        for (auto const& text : bad) CHECK_FALSE_MESSAGE(fits(automaton, text), text);
    };
    check("date", {"2026-11-27", "1999-02-28", "2024-12-31"},
          {"2026-13-01", "2026-02-30", "2026-04-31", "2026-1-1", "26-01-01", ""});
    check("time", {"23:59:59Z", "00:00:00.5+01:30"},
          {"24:00:00Z", "12:60:00Z", "12:00:00", "1:2:3Z"});
    check("date-time", {"2026-11-27T17:00:00Z"}, {"2026-11-27 17:00:00Z", "2026-11-27"});
    check("duration", {"P1D", "PT5M", "P1Y2M3DT4H5M6S", "P3W", "PT1H30M"},
          {"P", "PT", "P1", "P1W2D", "PT1H2S", "1D", "P1DT"});
    check("uuid", {"01234567-89ab-cdef-0123-456789abcdef"},
          {"01234567-89AB-cdef-0123-456789abcdef", "0123456789abcdef0123456789abcdef"});
    check("email", {"a.b+c@example.org", "x@a-b.cc"},
          {"a@b", "a@.cc", ".a@b.cc", "a b@c.dd", "@c.dd"});
    check("hostname", {"example.org", "a", "A-b.c"}, {"-a", "a-", "a..b", "a_b", ""});
    check("ipv4", {"0.0.0.0", "255.250.199.9"}, {"256.0.0.0", "1.2.3", "01.2.3.4", "1.2.3.4.5"});
    check("ipv6",
          {"::", "::1", "1::", "fe80::1:2", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6::", "::2:3:4:5:6:7"},
          {":", "1:2", "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::", "1:2:3:4:5:6:7::8", ":1::"});
    check("uri", {"https://example.org", "http://a.b:80/c/d?e=f#g", "x://y/%20"},
          {"example.org", "http:/a", "http://", "http://a b", "x://y/%2", "x://y/\\u00e4"});
    check("colour", {"anything"}, {});  // an annotation that nobody here knows
    Automaton both(
        grammar_of_schema(R"({"type":["string","null"],"format":"date","pattern":"^x$"})").value());
    CHECK(fits(both, "x"));  // beside a pattern it is an annotation
    CHECK_FALSE(fits(both, "2026-11-27"));
    CHECK(grammar_of_schema(R"({"type":"integer","format":"date"})").has_value());
}

TEST_CASE("a format is kept to beside a length that all its texts have, and else says nothing") {
    auto const of = [](std::string const& rest) {
        return Automaton(grammar_of_schema(R"({"type":"string",)" + rest + "}").value());
    };
    auto uuid = of(R"("format":"uuid","minLength":36,"maxLength":36)");
    CHECK(fits(uuid, "01234567-89ab-cdef-0123-456789abcdef"));
    CHECK_FALSE(fits(uuid, std::string(36, 'a')));
    auto date_time = of(R"("format":"date-time","maxLength":19)");
    CHECK(fits(date_time, "2026-11-27 17:00:00"));
    CHECK_FALSE(fits(date_time, "2026-11-27 17:00:00Z"));
    auto host = of(R"("format":"hostname","maxLength":253)");  // no longer than that anyway
    CHECK(fits(host, "example.org"));
    CHECK_FALSE(fits(host, "x@example.org"));
    for (auto const* const usual :
         {R"("format":"uri","maxLength":2048)", R"("format":"email","maxLength":30)"}) {
        auto any = of(usual);
        CHECK(fits(any, "neither this nor that"));
    }
    auto const two = grammar_of_schema(R"({"type":"object","properties":{
        "a":{"type":"string","format":"email","maxLength":254},
        "b":{"type":"string","format":"email","maxLength":255}}})");
    CHECK(two.has_value());
}

TEST_CASE("a length that every text of a pattern has is not counted") {
    // 4096 characters times a bound of 4096 would be far too many states.
    auto const schema = R"({"type":"string","pattern":"^[a-z]{0,4000}$","maxLength":4096})";
    Automaton automaton(grammar_of_schema(schema).value());
    CHECK(fits(automaton, std::string(4000, 'x')));
    CHECK_FALSE(fits(automaton, std::string(4001, 'x')));
}

TEST_CASE("a pattern that is no string is no schema") {
    auto const out = grammar_of_schema(R"({"type":"string","pattern":1})");
    REQUIRE_FALSE(out.has_value());
    CHECK(out.error().code == Code::invalid);
}

}  // namespace
}  // namespace kith::infer::grammar
