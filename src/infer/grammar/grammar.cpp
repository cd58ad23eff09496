#include "infer/grammar/grammar.h"

#include <algorithm>

namespace kith::infer::grammar {

using base::Code;
using base::fail;
using base::Result;

Sequence operator+(Sequence first, Sequence const& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

RuleId Builder::declare() {
    if (grammar_.rules.size() >= rules_max) {
        full_ = true;
        return 0;
    }
    grammar_.rules.emplace_back();
    return static_cast<RuleId>(grammar_.rules.size() - 1);
}

void Builder::add(RuleId rule, Sequence const& alternative) {
    auto& elements = grammar_.elements;
    if (full_ || elements.size() + alternative.size() + 1 > elements_max) {
        full_ = true;
        return;
    }
    grammar_.rules[rule].push_back(static_cast<std::uint32_t>(elements.size()));
    elements.insert(elements.end(), alternative.begin(), alternative.end());
    elements.push_back({});
}

RuleId Builder::define(std::vector<Sequence> const& alternatives) {
    auto const rule = declare();
    for (auto const& alternative : alternatives) add(rule, alternative);
    return rule;
}

Element Builder::set(ByteSet const& bytes) {
    auto const known = std::ranges::find(grammar_.sets, bytes);
    auto const index = static_cast<std::size_t>(known - grammar_.sets.begin());
    if (known == grammar_.sets.end()) {
        if (index == byte_sets_max) {
            full_ = true;
            return {Element::Kind::bytes, 0};
        }
        grammar_.sets.push_back(bytes);
    }
    return {Element::Kind::bytes, static_cast<std::uint32_t>(index)};
}

Element Builder::any_of(std::string_view text) {
    ByteSet bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto const first = static_cast<unsigned char>(text[i]);
        auto last = first;
        if (i > 0 && i + 2 < text.size() && text[i + 1] == '-') {
            last = static_cast<unsigned char>(text[i + 2]);
            i += 2;
        } else if (i == 0 && text.size() > 2 && text[1] == '-') {
            last = static_cast<unsigned char>(text[2]);
            i = 2;
        }
        for (unsigned byte = first; byte <= last; ++byte) bytes.set(byte);
    }
    return set(bytes);
}

Sequence Builder::literal(std::string_view text) {
    Sequence out;
    for (char const c : text) {
        ByteSet bytes;
        bytes.set(static_cast<unsigned char>(c));
        out.push_back(set(bytes));
    }
    return out;
}

RuleId Builder::repeated(Sequence const& part, std::size_t least, std::size_t most) {
    // The tail first: none or more, or a chain of "one more, or an end".
    RuleId tail = define({{}});
    if (most == no_limit) {
        tail = declare();
        add(tail, part + Sequence{rule(tail)});
        add(tail, {});
    } else {
        for (auto i = least; i < most && !full_; ++i)
            tail = define({part + Sequence{rule(tail)}, {}});
    }
    for (std::size_t i = 0; i < least && !full_; ++i) tail = define({part + Sequence{rule(tail)}});
    return tail;
}

namespace {

// Facts about rules that follow from those about others, until nothing changes.
class Checker {
public:
    explicit Checker(Grammar const& grammar)
        : grammar_(grammar),
          productive_(grammar.rules.size()),
          nullable_(grammar.rules.size()),
          state_(grammar.rules.size(), State::unseen) {}

    // Every rule that is used makes some text of finite length.
    [[nodiscard]] bool all_productive() {
        settle(productive_, [&](Element const& element) {
            return element.kind == Element::Kind::bytes
                       ? grammar_.sets[element.index].any()
                       : static_cast<bool>(productive_[element.index]);
        });
        return std::ranges::all_of(productive_, [](bool each) { return each; });
    }

    // No rule comes back to itself before a byte was read.
    [[nodiscard]] bool begins_with_itself() {
        settle(nullable_, [&](Element const& element) {
            return element.kind == Element::Kind::rule && nullable_[element.index];
        });
        for (RuleId rule = 0; rule < grammar_.rules.size(); ++rule)
            if (state_[rule] == State::unseen && has_cycle(rule)) return true;
        return false;
    }

private:
    enum class State : std::uint8_t { unseen, open, closed };

    template <class Holds>
    void settle(std::vector<bool>& fact, Holds holds) {
        // Later rules are mostly made of earlier ones or the other way round: both directions, so
        // that few rounds do.
        auto const count = grammar_.rules.size();
        for (bool changed = true; changed;) {
            changed = false;
            for (std::size_t i = 0; i < 2 * count; ++i) {
                auto const rule = i < count ? i : 2 * count - 1 - i;
                if (fact[rule]) continue;
                fact[rule] = std::ranges::any_of(grammar_.rules[rule], [&](std::uint32_t at) {
                    while (grammar_.elements[at].kind != Element::Kind::end &&
                           holds(grammar_.elements[at]))
                        ++at;
                    return grammar_.elements[at].kind == Element::Kind::end;
                });
                changed = changed || fact[rule];
            }
        }
    }

    // The rules that may stand at the front of `rule`.
    [[nodiscard]] std::vector<RuleId> fronts(RuleId rule) const {
        std::vector<RuleId> out;
        for (auto at : grammar_.rules[rule]) {
            for (; grammar_.elements[at].kind == Element::Kind::rule; ++at) {
                out.push_back(grammar_.elements[at].index);
                if (!nullable_[grammar_.elements[at].index]) break;
            }
        }
        return out;
    }

    // Depth first, with a stack of its own: chains of rules are as long as the grammar.
    bool has_cycle(RuleId first) {
        struct Visit {
            RuleId rule;
            std::vector<RuleId> left;
        };
        std::vector<Visit> path{{first, fronts(first)}};
        state_[first] = State::open;
        while (!path.empty()) {
            auto& visit = path.back();
            if (visit.left.empty()) {
                state_[visit.rule] = State::closed;
                path.pop_back();
                continue;
            }
            auto const next = visit.left.back();
            visit.left.pop_back();
            if (state_[next] == State::open) return true;
            if (state_[next] == State::closed) continue;
            state_[next] = State::open;
            path.push_back({next, fronts(next)});
        }
        return false;
    }

    Grammar const& grammar_;
    std::vector<bool> productive_, nullable_;
    std::vector<State> state_;
};

}  // namespace

Result<Grammar> Builder::build(RuleId start) const {
    if (full_) return fail(Code::too_large, "the grammar is too large");
    Checker checker(grammar_);
    if (!checker.all_productive())
        return fail(Code::invalid, "a part of the grammar makes no text at all");
    if (checker.begins_with_itself())
        return fail(Code::invalid, "a part of the grammar begins with itself");
    auto out = grammar_;
    out.start = start;
    return out;
}

}  // namespace kith::infer::grammar
