#include "infer/jinja/template.h"

#include <doctest/doctest.h>

#include <string>

#include "infer/jinja/lexer.h"
#include "infer/jinja/runtime.h"

namespace kith::infer::jinja {
namespace {

using base::Code;

// What jinja2 says of the same is compared in infer/chat_golden_test.cpp; here are the limits and
// what is not Jinja's to say.

base::Result<Text> run(std::string const& source) {
    auto const parsed = Template::parse(source);
    if (!parsed) return std::unexpected(parsed.error());
    return parsed->render({{"given", Input{Text("<g>", Origin::given)}}}, base::UnixTime{0});
}
Code error_of(std::string const& source) {
    auto const out = run(source);
    REQUIRE_FALSE(out.has_value());
    return out.error().code;
}
std::string message_of(std::string const& source) {
    auto const out = run(source);
    REQUIRE_FALSE(out.has_value());
    return out.error().message;
}
std::string repeated(std::string const& text, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += text;
    return out;
}

TEST_CASE("errors name the line and what is missing") {
    CHECK(message_of("a\n\n{{ 1 | frobnicate }}").find("line 3") == 0);
    CHECK(message_of("a\n{{ x | frobnicate }}").find("frobnicate") != std::string::npos);
    CHECK(message_of("a\n{% frobnicate %}").find("line 2") == 0);
    CHECK(message_of("{% call f() %}{% endcall %}").find("'call'") != std::string::npos);
    CHECK(error_of("{% extends 'x' %}") == Code::unsupported);
    CHECK(error_of("{{ undefined_function() }}") == Code::unsupported);
    CHECK(error_of("{{ '%s' % 1 }}") == Code::unsupported);
    CHECK(error_of("{{ 1 ") == Code::invalid);
    CHECK(message_of("{{ raise_exception('not\nso') }}") ==
          "the model's chat template refuses the conversation: not so");
    CHECK(error_of("{{ raise_exception('x') }}") == Code::invalid);
}

TEST_CASE("a template is bounded in bytes, tokens, nodes and depth") {
    CHECK(run(std::string(template_bytes_max, 'x')).has_value());
    CHECK(error_of(std::string(template_bytes_max + 1, 'x')) == Code::too_large);
    CHECK(error_of("{{ [" + repeated("1,", tokens_max / 2) + "] }}") == Code::too_large);
    CHECK(error_of(repeated("{{ 1 }}", nodes_max / 2 + 1)) == Code::too_large);
    CHECK(error_of("{{ " + repeated("(", 200) + "1" + repeated(")", 200) + " }}") ==
          Code::too_large);
    CHECK(error_of("{{ " + repeated("[", 60) + repeated("]", 60) + " }}") == Code::too_large);
    CHECK(error_of("{{ " + repeated("-", 5000) + "1 }}") == Code::too_large);
    CHECK(error_of("{{ " + repeated("not ", 5000) + "1 }}") == Code::too_large);
    CHECK(error_of("{{ 1" + repeated(" + 1", 5000) + " }}") == Code::too_large);
    CHECK(error_of("{{ 1" + repeated(" if 1 else 1", 5000) + " }}") == Code::too_large);
    CHECK(error_of("{{ x" + repeated(".y", 5000) + " }}") == Code::too_large);
    CHECK(error_of("{{ x" + repeated(" | trim", 5000) + " }}") == Code::too_large);
    CHECK(error_of("{{ x" + repeated(" is defined", 5000) + " }}") == Code::too_large);
    CHECK(error_of(repeated("{% if 1 %}", blocks_depth_max + 1) +
                   repeated("{% endif %}", blocks_depth_max + 1)) == Code::too_large);
    CHECK(run(repeated("{% if 1 %}", blocks_depth_max - 1) +
              repeated("{% endif %}", blocks_depth_max - 1))
              .has_value());
    CHECK(error_of("{{ f(" + repeated("1,", arguments_max + 1) + ") }}") == Code::too_large);
}

TEST_CASE("a rendering is bounded in steps, memory, output and depth") {
    CHECK(error_of("{% for i in range(60000) %}{% for j in range(60000) %}{% endfor %}"
                   "{% endfor %}") == Code::too_large);
    CHECK(error_of("{{ range(100000) }}") == Code::too_large);
    CHECK(error_of("{{ 'x' * 10000000 }}") == Code::too_large);
    CHECK(error_of("{{ [1] * 10000000 }}") == Code::too_large);
    CHECK(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}") == Code::too_large);
    CHECK(error_of("{% for i in range(5000) %}{{ 'x' * 1000 }}{% endfor %}") == Code::too_large);
    CHECK(error_of("{% set ns = namespace(x=[]) %}{% for i in range(100) %}"
                   "{% set ns.x = [ns.x] %}{% endfor %}") == Code::too_large);
    // Shared parts, printed 2^39 times.
    CHECK(error_of("{% set ns = namespace(x=[1]) %}{% for i in range(38) %}"
                   "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}") == Code::too_large);
    CHECK(error_of("{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(38) %}"
                   "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
                   "{{ ns.x == ns.y }}") == Code::too_large);
    CHECK(error_of("{% set ns = namespace(x='x' * 1000000) %}{% for i in range(90) %}"
                   "{% set ns.x = ns.x | upper %}{% endfor %}") == Code::too_large);
    CHECK(error_of("{{ ('a,' * 100000).split(',') }}") == Code::too_large);
    CHECK(error_of("{{ ('ab' * 2000) | replace('a', 'x' * 4000) }}") == Code::too_large);
    CHECK(error_of("{{ ['x' * 100000] * 100 | join }}") == Code::unsupported);  // 100 | join first
    CHECK(error_of("{{ (['x' * 100000] * 100) | join }}") == Code::too_large);
    CHECK(error_of("{{ ('\n' * 60000) | indent(200, blank=true) }}") == Code::too_large);
}

TEST_CASE("a needle made to be slow to find is found in linear time") {
    // The naive search takes 10^12 comparisons for this.
    auto const out =
        run("{{ 'b' in 'a' * 2000000 }}{{ ('a' * 1000000 ~ 'b') in ('a' * 2000000) }}");
    CHECK(out.value().bytes() == "FalseFalse");
}

TEST_CASE("numbers that do not fit are errors, never wrapped") {
    CHECK(error_of("{{ 9223372036854775807 + 1 }}") == Code::unsupported);
    CHECK(error_of("{{ 9223372036854775807 * 2 }}") == Code::unsupported);
    CHECK(error_of("{{ 9223372036854775808 }}") == Code::unsupported);
    CHECK(error_of("{{ 10 ** 19 }}") == Code::unsupported);
    CHECK(error_of("{{ (-9223372036854775807 - 1) // -1 }}") == Code::unsupported);
    CHECK(error_of("{{ (-9223372036854775807 - 1) | abs }}") == Code::unsupported);
    CHECK(run("{{ -1 ** 999999999999 }}{{ 1 ** 999999999999 }}{{ 0 ** 99999999999 }}").has_value());
    CHECK(run("{{ '1e300' | int }}{{ 'nan' | float | int }}").has_value());
    CHECK(run("{{ [1,2,3][-9223372036854775807:9223372036854775807:9223372036854775807] }}")
              .value()
              .bytes() == "[1]");
    CHECK(run("{{ 'abc'[::-9223372036854775807] }}").value().bytes() == "c");
    CHECK(error_of("{{ [1][::0] }}") == Code::unsupported);
}

TEST_CASE("each byte of the output tells who wrote it") {
    auto const out = run("w{{ given ~ 'w' }}{{ given | tojson }}{{ given * 2 }}").value();
    std::string marks;
    for (std::size_t i = 0; i < out.size(); ++i)
        marks += out.origin(i) == Origin::given ? 'g' : 'w';
    CHECK(out.bytes() == "w<g>w\"<g>\"<g><g>");
    CHECK(marks == "wgggwwgggwgggggg");
}

TEST_CASE("texts keep their origins when they are joined, cut and joined again") {
    Text text("ab", Origin::written);
    text.append("cd", Origin::given);
    CHECK(text.origin(1) == Origin::written);
    CHECK(text.origin(2) == Origin::given);
    auto part = text.substr(2);
    CHECK(part.origin(0) == Origin::given);
    part.append(text, 1, 2);
    CHECK(part.bytes() == "cdbc");
    CHECK(part.origin(2) == Origin::written);
    CHECK(part.origin(3) == Origin::given);
    CHECK(text.substr(9).empty());
    Text empty;
    empty.append("x", Origin::given);
    CHECK(empty.origin(0) == Origin::given);
}

}  // namespace
}  // namespace kith::infer::jinja
