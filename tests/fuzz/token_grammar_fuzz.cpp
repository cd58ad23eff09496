// A schema up to the first zero byte, and behind it which of the allowed tokens is chosen each
// time: every token that is said to be allowed is taken, others are not, and an answer that ends is
// JSON.
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "infer/grammar/json_schema.h"
#include "infer/synth.h"
#include "infer/token_grammar.h"

namespace {

using namespace kith::infer;

constexpr std::size_t tokens_max = 48;

void expect(bool holds) {
    if (!holds) std::abort();
}

struct Vocabulary {
    explicit Vocabulary(SynthTokenizer kind)
        : tokenizer(Tokenizer::create(
                        Gguf::parse(*synthesise(SynthShape{.tokenizer = kind, .layers_count = 1}))
                            .value())
                        .value()),
          trie(tokenizer) {}
    Tokenizer tokenizer;
    TokenTrie trie;
};

void check_ended(std::string const& text) {
    boost::system::error_code error;
    boost::json::parse_options options;
    options.max_depth = 1024;
    (void)boost::json::parse(text, error, {}, options);
    expect(!error);
}

void answer(grammar::Grammar const& grammar, Vocabulary const& vocabulary,
            kith::fuzz::FuzzInput input) {
    auto const& tokenizer = vocabulary.tokenizer;
    TokenGrammar follower(grammar, vocabulary.trie, tokenizer);
    std::string text;
    for (std::size_t i = 0; i < tokens_max; ++i) {
        auto const mask = follower.allowed();
        if (!mask) return;  // too complex, or no token of this vocabulary goes on
        std::vector<TokenId> may;
        for (std::size_t id = 0; id < tokenizer.vocabulary_size(); ++id)
            if (is_allowed(**mask, id)) may.push_back(static_cast<TokenId>(id));
        expect(!may.empty());
        auto const other = input.below(tokenizer.vocabulary_size());
        if (!is_allowed(**mask, other))
            expect(!follower.accept(static_cast<TokenId>(other)).has_value());
        auto const token = may[input.below(may.size())];
        expect(follower.accept(token).has_value());
        if (tokenizer.ends_answer(token)) return check_ended(text);
        text += tokenizer.piece(token);
        if (follower.is_over()) return check_ended(text);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static Vocabulary const bpe(SynthTokenizer::qwen2_bpe);
    static Vocabulary const spm(SynthTokenizer::spm);
    std::string_view const all(reinterpret_cast<char const*>(data), size);
    auto const schema = all.substr(0, all.find('\0'));
    auto const grammar = grammar::grammar_of_schema(schema);
    if (!grammar) return 0;
    auto const behind = std::min(size, schema.size() + 1);
    kith::fuzz::FuzzInput const input(data + behind, size - behind);
    answer(*grammar, bpe, input);
    answer(*grammar, spm, input);
    return 0;
}
