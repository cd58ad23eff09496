#include "infer/grammar/pattern_rules.h"

#include <algorithm>
#include <map>

namespace kith::infer::grammar {

using base::Code;
using base::fail;
using base::Result;

namespace {

using Position = std::uint32_t;  // 0: before the first character

// Of a part of the pattern: where its texts begin and end.
struct Part {
    bool is_empty_too = false;
    std::vector<Position> first = {};
    std::vector<Position> last = {};
};

// What may follow what. Work is counted, so that a short pattern cannot ask for much of it.
class Positions {
public:
    Positions(Pattern const& pattern, PatternWork& work) : pattern_(pattern), work_(work) {
        next_.emplace_back();
        sets_.push_back(0);
        auto const whole = part(pattern.root);
        next_[0] = whole.first;
        ends_.resize(sets_.size());
        ends_[0] = whole.is_empty_too;
        for (auto const position : whole.last) ends_[position] = true;
        for (auto& each : next_) {
            std::ranges::sort(each);
            auto const repeats = std::ranges::unique(each);
            each.erase(repeats.begin(), repeats.end());
        }
    }

    [[nodiscard]] bool is_full() const { return full_; }
    [[nodiscard]] std::vector<Position> const& next(Position position) const {
        return next_[position];
    }
    [[nodiscard]] std::size_t set(Position position) const { return sets_[position]; }
    [[nodiscard]] bool is_end(Position position) const { return ends_[position]; }

private:
    void count(std::size_t work) {
        if (!work_.take(work)) full_ = true;
    }

    Part part(std::size_t node_index) {
        count(1);
        if (full_) return {};
        auto const& node = pattern_.nodes[node_index];
        switch (node.kind) {
            case Pattern::Kind::characters:
                return characters(node.set);
            case Pattern::Kind::sequence:
                return sequence(node);
            case Pattern::Kind::alternative:
                return alternative(node);
            case Pattern::Kind::repeat:
                return repeat(node);
        }
        return {};
    }

    Part characters(std::size_t set) {
        if (pattern_.sets[set].is_empty()) return {};
        auto const position = static_cast<Position>(sets_.size());
        if (position > pattern_positions_max) {
            full_ = true;
            return {};
        }
        sets_.push_back(set);
        next_.emplace_back();
        return {.is_empty_too = false, .first = {position}, .last = {position}};
    }

    Part sequence(Pattern::Node const& node) {
        Part out{.is_empty_too = true};
        for (auto const child : node.children) out = joined(std::move(out), part(child));
        return out;
    }

    Part alternative(Pattern::Node const& node) {
        Part out;
        for (auto const child : node.children) {
            auto const each = part(child);
            out.is_empty_too = out.is_empty_too || each.is_empty_too;
            append(out.first, each.first);
            append(out.last, each.last);
        }
        return out;
    }

    // x{2,4} is x x (x (x)?)?, x{2,} is x x x*: copies that follow in one way only.
    Part repeat(Pattern::Node const& node) {
        auto const child = node.children[0];
        Part tail{.is_empty_too = true};
        if (node.most == Pattern::no_limit) {
            tail = part(child);
            follow(tail.last, tail.first);
            tail.is_empty_too = true;
        } else {
            for (auto i = node.least; i < node.most && !full_; ++i) {
                tail = joined(part(child), std::move(tail));
                tail.is_empty_too = true;
            }
        }
        for (std::size_t i = 0; i < node.least && !full_; ++i)
            tail = joined(part(child), std::move(tail));
        return tail;
    }

    // An impossible side makes the whole impossible: it has no beginning or no end, and is pruned.
    Part joined(Part a, Part b) {
        follow(a.last, b.first);
        if (a.is_empty_too) append(a.first, b.first);
        if (b.is_empty_too) append(b.last, a.last);
        return {.is_empty_too = a.is_empty_too && b.is_empty_too,
                .first = std::move(a.first),
                .last = std::move(b.last)};
    }

    void follow(std::vector<Position> const& from, std::vector<Position> const& to) {
        count(from.size() * to.size());
        if (full_) return;
        for (auto const position : from) append(next_[position], to);
    }

    void append(std::vector<Position>& to, std::vector<Position> const& more) {
        count(more.size());
        if (!full_) to.insert(to.end(), more.begin(), more.end());
    }

    Pattern const& pattern_;
    PatternWork& work_;
    std::vector<std::size_t> sets_;
    std::vector<std::vector<Position>> next_;
    std::vector<bool> ends_;
    bool full_ = false;
};

// A position, and how many characters were read to get there: counted up to where it no longer
// matters.
class Product {
public:
    Product(Positions const& positions, LengthRange length, PatternWork& work)
        : positions_(positions), length_(length), work_(work) {
        (void)state(0, 0);
        for (std::size_t i = 0; i < states_.size() && !full_; ++i) visit(i);
        prune();
    }

    struct Step {
        Position position;  // whose character is read
        std::size_t to;
    };
    struct State {
        Position position = 0;
        std::size_t length = 0;
        bool is_end = false;
        bool leads_to_end = false;
        std::vector<Step> steps = {};
    };

    [[nodiscard]] bool is_full() const { return full_; }
    [[nodiscard]] std::vector<State> const& states() const { return states_; }

private:
    std::size_t state(Position position, std::size_t length) {
        auto const [known, is_new] = ids_.try_emplace({position, length}, states_.size());
        if (is_new)
            states_.push_back({.position = position,
                               .length = length,
                               .is_end = positions_.is_end(position) && length >= length_.least});
        return known->second;
    }

    void visit(std::size_t index) {
        auto const length = states_[index].length;
        if (length == length_.most) return;
        bool const counts = length_.most != Pattern::no_limit || length < length_.least;
        for (auto const next : positions_.next(states_[index].position)) {
            if (++steps_count_ > pattern_steps_max || !work_.take(1)) {
                full_ = true;
                return;
            }
            auto const to = state(next, counts ? length + 1 : length);
            states_[index].steps.push_back({next, to});
        }
    }

    // Backwards from the ends; what does not lead to one is left out.
    void prune() {
        std::vector<std::vector<std::size_t>> before(states_.size());
        std::vector<std::size_t> todo;
        for (std::size_t i = 0; i < states_.size(); ++i) {
            for (auto const& step : states_[i].steps) before[step.to].push_back(i);
            if (states_[i].is_end) {
                states_[i].leads_to_end = true;
                todo.push_back(i);
            }
        }
        while (!todo.empty()) {
            auto const at = todo.back();
            todo.pop_back();
            for (auto const each : before[at]) {
                if (states_[each].leads_to_end) continue;
                states_[each].leads_to_end = true;
                todo.push_back(each);
            }
        }
    }

    Positions const& positions_;
    LengthRange length_;
    PatternWork& work_;
    std::vector<State> states_;
    std::map<std::pair<Position, std::size_t>, std::size_t> ids_;
    std::size_t steps_count_ = 0;
    bool full_ = false;
};

// Writes the product as rules.
class Writer {
public:
    Writer(Builder& builder, Pattern const& pattern, Positions const& positions)
        : builder_(builder), pattern_(pattern), positions_(positions) {}

    RuleId write(std::vector<Product::State> const& states) {
        std::vector<RuleId> rules(states.size());
        for (std::size_t i = 0; i < states.size(); ++i)
            if (states[i].leads_to_end) rules[i] = builder_.declare();
        for (std::size_t i = 0; i < states.size() && !builder_.is_full(); ++i) {
            for (auto const& step : states[i].steps)
                if (states[step.to].leads_to_end)
                    builder_.add(rules[i], character(positions_.set(step.position)) +
                                               Sequence{Builder::rule(rules[step.to])});
            if (states[i].is_end) builder_.add(rules[i], {});
        }
        auto const quote = builder_.literal("\"");
        return builder_.define({quote + Sequence{Builder::rule(rules[0])} + quote});
    }

private:
    // A set that was met before is the same rule.
    Sequence const& character(std::size_t set) {
        auto const& points = pattern_.sets[set];
        auto const [known, is_new] = known_.try_emplace(points);
        if (is_new) {
            auto forms = json_character(builder_, points);
            known->second = forms.size() == 1 ? std::move(forms[0])
                                              : Sequence{Builder::rule(builder_.define(forms))};
        }
        return known->second;
    }

    Builder& builder_;
    Pattern const& pattern_;
    Positions const& positions_;
    std::map<CodePoints, Sequence> known_;
};

// Lengths of texts: what exceeds the largest number is without limit.
std::size_t plus(std::size_t a, std::size_t b) {
    std::size_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? Pattern::no_limit : sum;
}
std::size_t times(std::size_t a, std::size_t b) {
    std::size_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? Pattern::no_limit : product;
}

}  // namespace

LengthRange lengths_of(Pattern const& pattern) {
    std::vector<LengthRange> of(pattern.nodes.size());  // children come before their parents
    for (std::size_t i = 0; i < of.size(); ++i) {
        auto const& node = pattern.nodes[i];
        auto& out = of[i];
        switch (node.kind) {
            case Pattern::Kind::characters:
                out = {.least = 1, .most = 1};
                break;
            case Pattern::Kind::sequence:
                out = {.least = 0, .most = 0};
                for (auto const child : node.children)
                    out = {.least = plus(out.least, of[child].least),
                           .most = plus(out.most, of[child].most)};
                break;
            case Pattern::Kind::alternative:
                out = {.least = Pattern::no_limit, .most = 0};
                for (auto const child : node.children)
                    out = {.least = std::min(out.least, of[child].least),
                           .most = std::max(out.most, of[child].most)};
                break;
            case Pattern::Kind::repeat:
                out = {.least = times(of[node.children[0]].least, node.least),
                       .most = times(of[node.children[0]].most, node.most)};
                break;
        }
    }
    return of[pattern.root];
}

Result<RuleId> string_of_pattern(Builder& builder, Pattern const& pattern, LengthRange length,
                                 PatternWork& work) {
    auto const too_large = fail(Code::too_large, "a pattern that makes too large a grammar");
    // What every text keeps to by itself needs no counting.
    auto const own = lengths_of(pattern);
    if (own.least >= length.least) length.least = 0;
    if (own.most <= length.most) length.most = Pattern::no_limit;
    Positions const positions(pattern, work);
    if (positions.is_full()) return too_large;
    Product const product(positions, length, work);
    if (product.is_full()) return too_large;
    if (!product.states()[0].leads_to_end)
        return fail(Code::invalid, "a pattern that no text of the length fits");
    return Writer(builder, pattern, positions).write(product.states());
}

}  // namespace kith::infer::grammar
