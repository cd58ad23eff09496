#include "infer/grammar/grammar.h"

#include <doctest/doctest.h>

#include <string>

#include "infer/grammar/automaton.h"

namespace kith::infer::grammar {
namespace {

using base::Code;

// Whether the whole text is of the grammar; nullopt-like dead states count as no.
bool makes(Automaton& automaton, std::string_view text) {
    auto state = automaton.start();
    for (char const c : text) state = automaton.next(state, static_cast<std::uint8_t>(c));
    return automaton.accepts(state);
}
bool begins(Automaton& automaton, std::string_view text) {
    auto state = automaton.start();
    for (char const c : text) state = automaton.next(state, static_cast<std::uint8_t>(c));
    return state != Automaton::dead;
}

// S = "(" S ")" S | "x"?
Automaton brackets() {
    Builder builder;
    auto const s = builder.declare();
    builder.add(s, builder.literal("(") + Sequence{Builder::rule(s)} + builder.literal(")") +
                       Sequence{Builder::rule(s)});
    builder.add(s, {Builder::rule(builder.optional(builder.literal("x")))});
    return Automaton(builder.build(s).value());
}

TEST_CASE("an automaton follows nested brackets, which no finite one could") {
    auto automaton = brackets();
    CHECK(makes(automaton, ""));
    CHECK(makes(automaton, "(x)x"));
    CHECK(makes(automaton, "((()(x)))()"));
    CHECK_FALSE(makes(automaton, "(()"));
    CHECK(begins(automaton, "(()"));
    CHECK_FALSE(begins(automaton, "())"));
    CHECK_FALSE(begins(automaton, "xx"));
}

TEST_CASE("repetition is counted, at both limits") {
    Builder builder;
    auto const part = builder.literal("ab");
    auto const rule = builder.repeated(part, 2, 4);
    Automaton automaton(builder.build(rule).value());
    CHECK_FALSE(makes(automaton, "ab"));
    CHECK(makes(automaton, "abab"));
    CHECK(makes(automaton, "abababab"));
    CHECK_FALSE(begins(automaton, "ababababa"));
    CHECK_FALSE(makes(automaton, "abababa"));
    Builder none;
    Automaton empty(none.build(none.repeated(none.literal("a"), 0, 0)).value());
    CHECK(empty.is_over(empty.start()));
    CHECK_FALSE(automaton.is_over(automaton.start()));
}

TEST_CASE("byte sets are ranges, a dash in front means itself") {
    Builder builder;
    Automaton automaton(builder.build(builder.define({{builder.any_of("-a-cX")}})).value());
    for (char const* const text : {"-", "a", "b", "c", "X"}) CHECK(makes(automaton, text));
    for (char const* const text : {"d", "x", "", "aa"}) CHECK_FALSE(makes(automaton, text));
}

TEST_CASE("a grammar that begins with itself, or makes nothing, is refused") {
    Builder left;
    auto const a = left.declare();
    left.add(a, Sequence{Builder::rule(a)} + left.literal("x"));
    left.add(a, left.literal("x"));
    CHECK(left.build(a).error().code == Code::invalid);

    Builder hidden;  // behind something that may be empty, over two rules
    auto const b = hidden.declare();
    auto const c =
        hidden.define({{Builder::rule(hidden.optional(hidden.literal("y"))), Builder::rule(b)}});
    hidden.add(b, {Builder::rule(c)});
    hidden.add(b, hidden.literal("z"));
    CHECK(hidden.build(b).error().code == Code::invalid);

    Builder endless;
    auto const d = endless.declare();
    endless.add(d, endless.literal("x") + Sequence{Builder::rule(d)});
    CHECK(endless.build(d).error().code == Code::invalid);

    Builder star;  // of what may be empty
    auto const e =
        star.repeated({Builder::rule(star.optional(star.literal("x")))}, 0, Builder::no_limit);
    CHECK(star.build(e).error().code == Code::invalid);
}

TEST_CASE("elements and rules are bounded") {
    Builder builder;
    auto const rule = builder.repeated(builder.literal("ab"), elements_max, elements_max);
    CHECK(builder.is_full());
    CHECK(builder.build(rule).error().code == Code::too_large);
    Builder rules;
    for (std::size_t i = 0; i < rules_max; ++i) rules.define({{}});
    CHECK_FALSE(rules.is_full());
    rules.declare();
    CHECK(rules.is_full());
}

TEST_CASE("stacks deeper than the limit are dead, and it is said that this was a limit") {
    auto automaton = brackets();
    auto state = automaton.start();
    std::size_t depth = 0;
    while (state != Automaton::dead && depth < 2 * stack_depth_max) {
        state = automaton.next(state, '(');
        ++depth;
    }
    CHECK(state == Automaton::dead);
    CHECK(automaton.overflowed());
    CHECK(depth > stack_depth_max / 2);
}

TEST_CASE("a state survives the tables being emptied") {
    auto automaton = brackets();
    auto state = automaton.start();
    for (char const c : std::string_view("((x)("))
        state = automaton.next(state, static_cast<std::uint8_t>(c));
    state = automaton.forget_all_but(state);
    CHECK(automaton.states_count() == 2);
    for (char const c : std::string_view("))"))
        state = automaton.next(state, static_cast<std::uint8_t>(c));
    CHECK(automaton.accepts(state));
    CHECK(automaton.next(state, ')') == Automaton::dead);
}

}  // namespace
}  // namespace kith::infer::grammar
