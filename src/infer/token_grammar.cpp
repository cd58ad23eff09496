#include "infer/token_grammar.h"

#include <algorithm>

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;
using base::Status;
using grammar::Automaton;

TokenTrie::TokenTrie(Tokenizer const& tokenizer) : vocabulary_size_(tokenizer.vocabulary_size()) {
    std::vector<std::pair<std::string, TokenId>> words;
    for (std::size_t i = 0; i < vocabulary_size_; ++i) {
        auto const token = static_cast<TokenId>(i);
        if (tokenizer.ends_answer(token)) {
            ends_.push_back(token);
        } else if (auto piece = tokenizer.piece(token); !piece.empty()) {
            words.emplace_back(std::move(piece), token);
        }
    }
    std::ranges::sort(words);
    std::string_view before;
    for (auto const& [word, token] : words) {
        auto const differs = std::ranges::mismatch(before, word);
        entries_.push_back({.token = token,
                            .offset = static_cast<std::uint32_t>(bytes_.size()),
                            .size = static_cast<std::uint32_t>(word.size()),
                            .shared = static_cast<std::uint32_t>(differs.in1 - before.begin())});
        bytes_ += word;
        before = word;
    }
}

TokenGrammar::TokenGrammar(grammar::Grammar grammar, TokenTrie const& trie,
                           Tokenizer const& tokenizer)
    : automaton_(std::move(grammar)),
      trie_(trie),
      tokenizer_(tokenizer),
      state_(automaton_.start()) {}

Result<TokenMask> TokenGrammar::compute() {
    TokenMask mask((trie_.vocabulary_size() + 63) / 64);
    bool any = false;
    auto const allow = [&](TokenId token) {
        mask[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1}
                                                      << (static_cast<std::size_t>(token) % 64);
        any = true;
    };
    if (automaton_.accepts(state_)) std::ranges::for_each(trie_.ends(), allow);
    // path[i]: the state behind the first i bytes of the entry, as long as they are allowed.
    std::vector<Automaton::State> path{state_};
    for (auto const& entry : trie_.entries()) {
        if (entry.shared >= path.size()) continue;  // shares what is not allowed
        path.resize(entry.shared + 1);
        while (path.size() <= entry.size) {
            auto const byte = trie_.bytes()[entry.offset + path.size() - 1];
            auto const next = automaton_.next(path.back(), static_cast<std::uint8_t>(byte));
            if (next == Automaton::dead) break;
            path.push_back(next);
        }
        if (path.size() == entry.size + std::size_t{1}) allow(entry.token);
    }
    if (automaton_.overflowed())
        return fail(Code::too_large, "the form that was asked for is too complex to follow");
    if (!any)
        return fail(Code::invalid,
                    "no token of this model continues the answer in the form that was asked for");
    return mask;
}

Result<TokenMask const*> TokenGrammar::allowed() {
    if (automaton_.is_half_full()) {  // between tokens, well before anything is full
        masks_.clear();
        state_ = automaton_.forget_all_but(state_);
    }
    if (auto const known = masks_.find(state_); known != masks_.end()) return &known->second;
    if (masks_.size() >= masks_kept_max) masks_.clear();
    auto mask = KITH_TRY(compute());
    return &masks_.emplace(state_, std::move(mask)).first->second;
}

Status TokenGrammar::accept(TokenId token) {
    if (tokenizer_.ends_answer(token)) {
        if (automaton_.accepts(state_)) return {};
        return fail(Code::invalid, "the answer ends before its form is complete");
    }
    auto state = state_;
    auto const piece = tokenizer_.piece(token);
    for (char const c : piece) state = automaton_.next(state, static_cast<std::uint8_t>(c));
    if (piece.empty() || state == Automaton::dead)
        return fail(Code::invalid, "a token that may not follow");
    state_ = state;
    return {};
}

}  // namespace kith::infer
