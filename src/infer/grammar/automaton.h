// infer/grammar/automaton.h: what may follow, byte by byte, by a grammar.
//
// A state is the set of all stacks a pushdown automaton could have by now. States are given numbers
// when they are met first, and the step from one by a byte is computed once, so that walking a
// vocabulary costs a table look-up per byte. The tables are bounded; forget_all_but() empties them.
//
// Source: the construction is that of a lazily determinised nondeterministic automaton (Thompson
// 1968), its stacks shared as in Tomita's graph-structured stack (1986).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "infer/grammar/grammar.h"

namespace kith::infer::grammar {

inline constexpr std::size_t states_max = 65'536;
inline constexpr std::size_t cells_max = 524'288;  // of all stacks, shared parts once
inline constexpr std::size_t stacks_per_state_max = 2'048;
inline constexpr std::size_t stacks_max = 4'194'304;  // of all states together
inline constexpr std::size_t stack_depth_max = 512;

// Not thread-safe.
class Automaton {
public:
    using State = std::uint32_t;
    static constexpr State dead = 0;  // nothing may follow, and it is no end

    explicit Automaton(Grammar grammar);

    [[nodiscard]] State start() const { return start_; }
    // From `dead`, and past a limit, `dead`.
    State next(State state, std::uint8_t byte) {
        auto const known = rows_[state * classes_ + class_of_[byte]];
        return known != unknown ? known : compute(state, byte);
    }
    // The text may end here.
    [[nodiscard]] bool accepts(State state) const { return states_[state].accepts; }
    // It may, and nothing else.
    [[nodiscard]] bool is_over(State state) const {
        return states_[state].accepts && states_[state].stacks.empty();
    }

    // A limit was hit since the last call of forget_all_but(): `dead` may have meant that.
    [[nodiscard]] bool overflowed() const { return overflowed_; }
    [[nodiscard]] std::size_t states_count() const { return states_.size(); }
    [[nodiscard]] std::size_t stacks_count() const { return stacks_count_; }
    // Of any limit; forget_all_but() gives room again.
    [[nodiscard]] bool is_half_full() const {
        return states_.size() > states_max / 2 || stacks_count_ > stacks_max / 2 ||
               cells_.size() > cells_max / 2;
    }
    // Returns the new number of `state`; all others are void.
    State forget_all_but(State state);

private:
    static constexpr State unknown = UINT32_MAX;
    using CellId = std::uint32_t;  // 0: the empty stack

    // What is read next, and the rest of the stack.
    struct Cell {
        std::uint32_t position = 0;
        CellId below = 0;
        std::uint32_t depth = 0;
    };
    struct StateData {
        std::vector<CellId> stacks;  // sorted; the top of each is a byte set
        bool accepts = false;
    };

    State compute(State state, std::uint8_t byte);
    void close(std::uint32_t position, CellId below, StateData& out);
    CellId cell(std::uint32_t position, CellId below);
    State intern(StateData data);
    void classify();
    void reset();

    Grammar grammar_;
    std::array<std::uint16_t, 256> class_of_{};  // bytes that no set tells apart share a class
    std::size_t classes_ = 1;
    std::vector<Cell> cells_;
    std::unordered_map<std::uint64_t, CellId> cell_ids_;
    std::vector<StateData> states_;
    std::map<std::pair<std::vector<CellId>, bool>, State> state_ids_;
    std::vector<State> rows_;  // states x classes
    std::size_t stacks_count_ = 0;
    std::vector<std::pair<std::uint32_t, CellId>> todo_;
    std::unordered_set<std::uint64_t> seen_;
    State start_ = dead;
    bool overflowed_ = false;
};

}  // namespace kith::infer::grammar
