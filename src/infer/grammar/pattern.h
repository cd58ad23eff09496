// infer/grammar/pattern.h: a regular expression as it is written in JSON schemas.
//
// Source: ECMA-262, 22.2 (with the flag u), as far as it describes a regular language without
// looking ahead. Read: characters, '.', classes with ranges and negation, \d \D \w \W \s \S, \t \n
// \v \f \r \0 \xHH \uHHHH \u{H...}, escaped punctuation; groups (capturing, named or not), '|', the
// quantifiers * + ? {n} {n,} {n,m} (greedy or lazy, which is the same language); '^' at the
// beginning and '$' at the end of the pattern or of one of its outermost alternatives. Everything
// else is refused by its name: looking ahead and behind, \b, back references, \p{...}, flags in
// groups, anchors elsewhere.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/grammar/code_points.h"

namespace kith::infer::grammar {

inline constexpr std::size_t pattern_bytes_max = 4'096;
inline constexpr std::size_t pattern_depth_max = 32;  // of groups
inline constexpr std::size_t pattern_repeats_max = 4'096;

struct Pattern {
    enum class Kind {
        characters,   // one of set number `set`
        sequence,     // all children, one after another; none: the empty text
        alternative,  // one of the children
        repeat,       // the only child, `least` to `most` times
    };
    static constexpr std::size_t no_limit = SIZE_MAX;
    struct Node {
        Kind kind = Kind::sequence;
        std::size_t set = 0;
        std::vector<std::size_t> children = {};
        std::size_t least = 0;
        std::size_t most = 0;
    };
    std::vector<Node> nodes;
    std::vector<CodePoints> sets;  // empty ones too: no text fits those
    std::size_t root = 0;          // what a whole text must be: any text where an anchor is missing
};

// Code::invalid: no regular expression. Code::unsupported: one of the rest, named. Code::too_large
// past a limit.
base::Result<Pattern> read_pattern(std::string_view text);

}  // namespace kith::infer::grammar
