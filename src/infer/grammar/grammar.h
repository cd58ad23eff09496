// infer/grammar/grammar.h: context-free grammars over bytes.
//
// A rule has alternatives, each a sequence of byte sets and rules. Built once, immutable after;
// what a grammar may follow with is the business of automaton.h.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kith::infer::grammar {

inline constexpr std::size_t elements_max = 131'072;  // of all alternatives together
inline constexpr std::size_t rules_max = 32'768;
inline constexpr std::size_t byte_sets_max = 4'096;

using ByteSet = std::bitset<256>;
using RuleId = std::uint32_t;

struct Element {
    enum class Kind : std::uint8_t {
        bytes,  // one byte of the set number `index`
        rule,   // what the rule number `index` makes
        end,    // of an alternative; written by Builder::add
    };
    Kind kind = Kind::end;
    std::uint32_t index = 0;
};
using Sequence = std::vector<Element>;

struct Grammar {
    RuleId start = 0;
    std::vector<Element> elements;                  // alternatives, one after the other
    std::vector<std::vector<std::uint32_t>> rules;  // where the alternatives of each begin
    std::vector<ByteSet> sets;
};

class Builder {
public:
    // A rule that nothing makes yet.
    RuleId declare();
    void add(RuleId rule, Sequence const& alternative);
    RuleId define(std::vector<Sequence> const& alternatives);

    Element set(ByteSet const& bytes);
    // Ranges as in "a-zA-Z_"; a '-' that means itself comes first. Bytes of `text` alone.
    Element any_of(std::string_view text);
    Sequence literal(std::string_view text);
    static Element rule(RuleId rule) { return {Element::Kind::rule, rule}; }

    // At least `least` and at most `most` times; each copy is an element more.
    static constexpr std::size_t no_limit = SIZE_MAX;
    RuleId repeated(Sequence const& part, std::size_t least, std::size_t most);
    RuleId optional(Sequence const& part) { return repeated(part, 0, 1); }

    // More than the limits above were asked for; what is added then is dropped.
    [[nodiscard]] bool is_full() const { return full_; }

    // Code::too_large past the limits. Code::invalid for a rule that makes no text at all, or that
    // begins with itself.
    base::Result<Grammar> build(RuleId start) const;

private:
    Grammar grammar_;
    bool full_ = false;
};

// One text after another.
Sequence operator+(Sequence first, Sequence const& second);

}  // namespace kith::infer::grammar
