// infer/token_grammar.h: which tokens may follow by a grammar over bytes.
//
// The vocabulary is sorted by the bytes of its tokens, so that what begins alike stands together;
// it is walked like a trie: a beginning the grammar does not allow is passed over with all that
// share it. The set of tokens for a state is kept, so that inside a string, where every character
// leads back to the same state, it is looked up.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "infer/grammar/automaton.h"
#include "infer/sampler.h"
#include "infer/tokenizer.h"

namespace kith::infer {

inline constexpr std::size_t masks_kept_max = 128;  // of vocabulary_size bits each

// The tokens of a vocabulary in the order of their bytes. Immutable; made once for each model.
class TokenTrie {
public:
    explicit TokenTrie(Tokenizer const& tokenizer);

    struct Entry {
        TokenId token = 0;
        std::uint32_t offset = 0;  // into bytes()
        std::uint32_t size = 0;    // never 0: control tokens are not here
        std::uint32_t shared = 0;  // bytes that it has in common with the entry before
    };
    [[nodiscard]] std::vector<Entry> const& entries() const { return entries_; }
    [[nodiscard]] std::string const& bytes() const { return bytes_; }
    [[nodiscard]] std::size_t vocabulary_size() const { return vocabulary_size_; }
    [[nodiscard]] std::vector<TokenId> const& ends() const { return ends_; }

private:
    std::vector<Entry> entries_;
    std::string bytes_;
    std::size_t vocabulary_size_ = 0;
    std::vector<TokenId> ends_;  // that end an answer
};

// One answer on its way. Not thread-safe.
class TokenGrammar {
public:
    // The trie and the tokenizer outlive it.
    TokenGrammar(grammar::Grammar grammar, TokenTrie const& trie, Tokenizer const& tokenizer);

    // Valid until the next call of anything. The tokens that end an answer are allowed where the
    // grammar is at an end. Code::invalid when no token of the vocabulary may follow,
    // Code::too_large when the grammar goes past a limit of automaton.h.
    base::Result<TokenMask const*> allowed();
    // The token that was chosen; Code::invalid for one that is not allowed.
    base::Status accept(TokenId token);
    // Nothing but an end may follow.
    [[nodiscard]] bool is_over() const { return automaton_.is_over(state_); }

private:
    base::Result<TokenMask> compute();

    grammar::Automaton automaton_;
    TokenTrie const& trie_;
    Tokenizer const& tokenizer_;
    grammar::Automaton::State state_;
    std::unordered_map<grammar::Automaton::State, TokenMask> masks_;
};

}  // namespace kith::infer
