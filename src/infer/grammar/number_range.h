// infer/grammar/number_range.h: the numbers between two bounds, as rules.
//
// Whole numbers are those of json_rules.h (16 digits) within the bounds, without "-0". Numbers are
// these and, between two whole numbers within the bounds, all with up to 15 digits after the point
// whose last is not 0: each lies strictly between its neighbours, so that a bound never has to be
// compared with a fraction.
#pragma once

#include <cstdint>

#include "infer/grammar/grammar.h"

namespace kith::infer::grammar {

inline constexpr std::int64_t bound_max = 9'999'999'999'999'999;  // 16 digits

// From least to most, both in [-bound_max, bound_max].
struct NumberRange {
    std::int64_t least = -bound_max;
    std::int64_t most = bound_max;
    [[nodiscard]] bool is_empty() const { return least > most; }
};

// One alternative or more for the whole numbers of a range that is not empty.
std::vector<Sequence> integers_in(Builder& builder, NumberRange range);
// The same for numbers that lie strictly between two neighbouring whole numbers of the range; none
// when it has no two.
std::vector<Sequence> fractions_in(Builder& builder, NumberRange range);

}  // namespace kith::infer::grammar
