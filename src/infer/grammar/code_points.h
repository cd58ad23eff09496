// infer/grammar/code_points.h: sets of Unicode characters, and how JSON writes one of them.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/grammar/grammar.h"

namespace kith::infer::grammar {

inline constexpr char32_t code_point_max = 0x10ffff;
inline constexpr std::size_t code_point_ranges_max = 1'024;  // of one set

// Surrogates, which are no characters, are never in it.
class CodePoints {
public:
    struct Range {
        char32_t first = 0;
        char32_t last = 0;  // included
        auto operator<=>(Range const&) const = default;
    };

    CodePoints() = default;
    CodePoints(std::initializer_list<Range> ranges);

    void add(Range range);
    void add(CodePoints const& other);
    [[nodiscard]] CodePoints complement() const;
    [[nodiscard]] bool is_empty() const { return ranges_.empty(); }
    // Ascending, none touching the next.
    [[nodiscard]] std::vector<Range> const& ranges() const { return ranges_; }
    auto operator<=>(CodePoints const&) const = default;

private:
    std::vector<Range> ranges_;
};

// The ways in which a JSON string has one character of the set, each in a single form: itself as
// UTF-8, or the shortest escape where RFC 8259 section 7 wants one.
std::vector<Sequence> json_character(Builder& builder, CodePoints const& set);

}  // namespace kith::infer::grammar
