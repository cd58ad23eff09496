#include "infer/grammar/automaton.h"

#include <algorithm>
#include <string>

namespace kith::infer::grammar {

Automaton::Automaton(Grammar grammar) : grammar_(std::move(grammar)) {
    classify();
    reset();
    StateData first;
    seen_.clear();
    for (auto const alternative : grammar_.rules[grammar_.start]) close(alternative, 0, first);
    start_ = intern(std::move(first));
}

// Two bytes are of one class when every set has both or neither.
void Automaton::classify() {
    std::map<std::vector<bool>, std::uint16_t> classes;
    for (std::size_t byte = 0; byte < class_of_.size(); ++byte) {
        std::vector<bool> in;
        in.reserve(grammar_.sets.size());
        for (auto const& set : grammar_.sets) in.push_back(set.test(byte));
        auto const next = static_cast<std::uint16_t>(classes.size());
        class_of_[byte] = classes.try_emplace(std::move(in), next).first->second;
    }
    classes_ = classes.size();
}

void Automaton::reset() {
    cells_.assign(1, {});
    cell_ids_.clear();
    states_.assign(1, {});
    state_ids_.clear();
    rows_.assign(classes_, dead);
    stacks_count_ = 0;
    overflowed_ = false;
}

Automaton::CellId Automaton::cell(std::uint32_t position, CellId below) {
    auto const key = std::uint64_t{position} << 32U | below;
    auto const known = cell_ids_.find(key);
    if (known != cell_ids_.end()) return known->second;
    auto const depth = cells_[below].depth + 1;
    if (cells_.size() >= cells_max || depth > stack_depth_max) {
        overflowed_ = true;
        return 0;
    }
    auto const id = static_cast<CellId>(cells_.size());
    cells_.push_back({position, below, depth});
    cell_ids_.emplace(key, id);
    return id;
}

// All that may be read next once `position` is reached with `below` under it. What was `seen_` in
// this step is in `out` already.
void Automaton::close(std::uint32_t position, CellId below, StateData& out) {
    todo_.assign(1, {position, below});
    while (!todo_.empty() && !overflowed_) {
        auto const [at, rest] = todo_.back();
        todo_.pop_back();
        if (!seen_.insert(std::uint64_t{at} << 32U | rest).second) continue;
        auto const& element = grammar_.elements[at];
        if (element.kind == Element::Kind::bytes) {
            out.stacks.push_back(cell(at, rest));
        } else if (element.kind == Element::Kind::end) {
            if (rest == 0)
                out.accepts = true;
            else
                todo_.emplace_back(cells_[rest].position, cells_[rest].below);
        } else {
            // The last thing of an alternative needs nothing kept for after it.
            bool const is_last = grammar_.elements[at + 1].kind == Element::Kind::end;
            auto const after = is_last ? rest : cell(at + 1, rest);
            for (auto const alternative : grammar_.rules[element.index])
                todo_.emplace_back(alternative, after);
        }
        if (seen_.size() > 8 * stacks_per_state_max) overflowed_ = true;
    }
}

Automaton::State Automaton::intern(StateData data) {
    std::ranges::sort(data.stacks);
    auto const repeats = std::ranges::unique(data.stacks);
    data.stacks.erase(repeats.begin(), repeats.end());
    if (data.stacks.size() > stacks_per_state_max) overflowed_ = true;
    if (overflowed_ || (data.stacks.empty() && !data.accepts)) return dead;
    auto const key = std::pair(data.stacks, data.accepts);
    if (auto const known = state_ids_.find(key); known != state_ids_.end()) return known->second;
    if (states_.size() >= states_max || stacks_count_ + data.stacks.size() > stacks_max) {
        overflowed_ = true;
        return dead;
    }
    auto const id = static_cast<State>(states_.size());
    stacks_count_ += data.stacks.size();
    states_.push_back(std::move(data));
    state_ids_.emplace(key, id);
    rows_.resize(rows_.size() + classes_, unknown);
    return id;
}

Automaton::State Automaton::compute(State state, std::uint8_t byte) {
    StateData out;
    seen_.clear();
    auto const stacks = states_[state].stacks;
    for (auto const top : stacks) {
        auto const from = cells_[top];
        if (grammar_.sets[grammar_.elements[from.position].index].test(byte))
            close(from.position + 1, from.below, out);
    }
    auto const to = intern(std::move(out));
    if (!overflowed_) rows_[state * classes_ + class_of_[byte]] = to;
    return to;
}

Automaton::State Automaton::forget_all_but(State state) {
    // The stacks of the state, from the bottom up, outlive the tables.
    std::vector<std::vector<std::uint32_t>> stacks;
    auto const accepts = states_[state].accepts;
    for (auto at : states_[state].stacks) {
        auto& stack = stacks.emplace_back();
        for (; at != 0; at = cells_[at].below) stack.push_back(cells_[at].position);
        std::ranges::reverse(stack);
    }
    reset();
    StateData data{.stacks = {}, .accepts = accepts};
    for (auto const& stack : stacks) {
        CellId below = 0;
        for (auto const position : stack) below = cell(position, below);
        data.stacks.push_back(below);
    }
    start_ = dead;
    return intern(std::move(data));
}

}  // namespace kith::infer::grammar
