// infer/grammar/pattern_rules.h: the JSON strings that fit a pattern, as rules.
//
// Source: the position automaton of Glushkov, "The abstract theory of automata" (1961): a state for
// each character of the pattern, without empty steps; its product with the number of characters
// so far, where a length is asked for as well; each state that is left is a rule, so that the
// grammar is linear on the right.
#pragma once

#include <compare>

#include "infer/grammar/grammar.h"
#include "infer/grammar/pattern.h"

namespace kith::infer::grammar {

inline constexpr std::size_t pattern_positions_max = 4'096;  // characters, copies counted
inline constexpr std::size_t pattern_steps_max = 32'768;     // from one to a next
inline constexpr std::size_t pattern_work_max = 4'194'304;   // of all patterns of a schema

// Counted down: a short pattern can ask for much and come to little.
struct PatternWork {
    std::size_t left = pattern_work_max;
    // False when there was not so much left.
    bool take(std::size_t amount) {
        bool const is_enough = amount <= left;
        left -= is_enough ? amount : left;
        return is_enough;
    }
};

// In characters, not in bytes.
struct LengthRange {
    std::size_t least = 0;
    std::size_t most = Pattern::no_limit;
    auto operator<=>(LengthRange const&) const = default;
};

// How long the shortest and the longest text are that fit; wider where a set is empty.
LengthRange lengths_of(Pattern const& pattern);

// With the quotes around it. Code::invalid when no text fits both, Code::too_large past a limit.
base::Result<RuleId> string_of_pattern(Builder& builder, Pattern const& pattern, LengthRange length,
                                       PatternWork& work);

}  // namespace kith::infer::grammar
