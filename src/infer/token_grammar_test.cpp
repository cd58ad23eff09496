#include "infer/token_grammar.h"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "infer/grammar/json_schema.h"
#include "infer/synth.h"

namespace kith::infer {
namespace {

using base::Code;

Tokenizer synthetic(SynthTokenizer kind) {
    auto const bytes = synthesise(SynthShape{.tokenizer = kind, .layers_count = 1});
    return Tokenizer::create(Gguf::parse(*bytes).value()).value();
}

// By the definition: each token's bytes through the automaton, one by one.
bool may_follow(grammar::Automaton& automaton, std::string_view before, std::string const& piece) {
    auto state = automaton.start();
    for (char const c : before) state = automaton.next(state, static_cast<std::uint8_t>(c));
    for (char const c : piece) state = automaton.next(state, static_cast<std::uint8_t>(c));
    return !piece.empty() && state != grammar::Automaton::dead;
}

TEST_CASE("the mask is what the grammar says of each token by itself") {
    auto const grammar = grammar::grammar_of_json_object().value();
    for (auto const kind : {SynthTokenizer::qwen2_bpe, SynthTokenizer::spm}) {
        auto const tokenizer = synthetic(kind);
        TokenTrie const trie(tokenizer);
        TokenGrammar follower(grammar, trie, tokenizer);
        grammar::Automaton reference(grammar);
        std::string text;
        for (char const c : std::string("{\"the\": [1, true], \"x\":null}")) {
            auto const mask = *follower.allowed().value();
            for (std::size_t i = 0; i < tokenizer.vocabulary_size(); ++i) {
                auto const token = static_cast<TokenId>(i);
                if (tokenizer.ends_answer(token)) continue;
                if (is_allowed(mask, i) != may_follow(reference, text, tokenizer.piece(token))) {
                    CAPTURE(text);
                    CHECK(tokenizer.piece(token) == "has another mask");
                }
            }
            for (std::size_t i = 0; i < tokenizer.vocabulary_size(); ++i) {
                auto const token = static_cast<TokenId>(i);
                if (tokenizer.piece(token) != std::string(1, c)) continue;
                REQUIRE(follower.accept(token).has_value());
                text += c;
                break;
            }
        }
        CHECK(follower.is_over());
        auto const end = tokenizer.end_token().value();
        auto const mask = *follower.allowed().value();
        CHECK(is_allowed(mask, static_cast<std::size_t>(end)));
        CHECK(follower.accept(end).has_value());
    }
}

TEST_CASE("whatever a sampler picks under a schema is JSON of that shape") {
    auto const tokenizer = synthetic(SynthTokenizer::qwen2_bpe);
    TokenTrie const trie(tokenizer);
    auto const grammar =
        grammar::grammar_of_schema(R"({"type":"object","properties":{"name":{"type":"string",
            "maxLength":12},"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":3},
            "n":{"type":"integer"}},"required":["name","n"]})")
            .value();
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        TokenGrammar follower(grammar, trie, tokenizer);
        auto sampler = Sampler::create({.temperature = 1.0F, .seed = seed}).value();
        Xoshiro256 noise(seed);
        std::vector<float> logits(tokenizer.vocabulary_size());
        std::string text;
        for (int i = 0; i < 400; ++i) {
            for (auto& logit : logits) logit = static_cast<float>(noise.next_unit() * 4);
            auto const token = sampler.choose(logits, follower.allowed().value()).value().token;
            REQUIRE(follower.accept(token).has_value());
            if (tokenizer.ends_answer(token)) break;
            text += tokenizer.piece(token);
        }
        CAPTURE(text);
        REQUIRE(follower.is_over());
        boost::system::error_code error;
        auto const value = boost::json::parse(text, error);
        REQUIRE_FALSE(error);
        CHECK(value.at("name").is_string());
        CHECK(value.at("n").is_int64());
        if (auto const* tags = value.get_object().if_contains("tags"))
            CHECK(tags->get_array().size() <= 3);
    }
}

TEST_CASE("a token that is not allowed is refused, and an end before the end") {
    auto const tokenizer = synthetic(SynthTokenizer::qwen2_bpe);
    TokenTrie const trie(tokenizer);
    TokenGrammar follower(grammar::grammar_of_json_object().value(), trie, tokenizer);
    CHECK(follower.accept(tokenizer.end_token().value()).error().code == Code::invalid);
    CHECK(follower.accept(tokenizer.begin_token().value()).error().code == Code::invalid);
    CHECK(follower.accept(-1).error().code == Code::invalid);
    CHECK_FALSE(is_allowed(*follower.allowed().value(),
                           static_cast<std::size_t>(tokenizer.end_token().value())));
}

TEST_CASE("a vocabulary that lacks a byte the grammar wants is an error, not a loop") {
    auto const tokenizer = synthetic(SynthTokenizer::spm);
    TokenTrie const trie(tokenizer);
    grammar::Builder builder;
    grammar::Builder const& same = builder;
    // No token has these bytes one after another unless there are byte tokens.
    auto const rule = builder.define({builder.literal("\x01\x02")});
    TokenGrammar follower(same.build(rule).value(), trie, tokenizer);
    auto const allowed = follower.allowed();
    if (!allowed) CHECK(allowed.error().code == Code::invalid);
}

}  // namespace
}  // namespace kith::infer
