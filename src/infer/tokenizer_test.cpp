#include "infer/tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "infer/gguf_writer.h"
#include "infer/pretokenize.h"
#include "infer/sampler.h"
#include "infer/synth.h"
#include "infer/unicode.h"

namespace kith::infer {
namespace {

using base::Code;

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinite = std::numeric_limits<float>::infinity();

Tokenizer synthetic(SynthTokenizer kind) {
    auto const file = synthesise(SynthShape{.tokenizer = kind, .layers_count = 1});
    auto tokenizer = Tokenizer::create(Gguf::parse(*file).value());
    if (!tokenizer) FAIL(tokenizer.error().message);
    return std::move(tokenizer).value();
}

constexpr SynthTokenizer all_kinds[] = {SynthTokenizer::byte_bpe, SynthTokenizer::qwen2_bpe,
                                        SynthTokenizer::llama3_bpe, SynthTokenizer::tekken_bpe,
                                        SynthTokenizer::spm};

std::vector<std::string> words(PreTokenizer rules, std::string_view text) {
    std::vector<std::string> out;
    for (auto const word : split_words(rules, text)) out.emplace_back(word);
    return out;
}
using Words = std::vector<std::string>;

TEST_CASE("UTF-8 is read strictly, byte by byte where it is not valid") {
    auto const points = [](std::string_view text) {
        std::u32string out;
        for (auto const& c : split_characters(text)) out += c.point;
        out.pop_back();
        return out;
    };
    CHECK(points("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") == U"a\u00e9\u20ac\U0001f600");
    auto const invalid = [&](std::string_view text) {
        for (char32_t const point : points(text))
            if (point != invalid_point) return false;
        return points(text).size() == text.size();
    };
    CHECK(invalid("\x80"));
    CHECK(invalid("\xc0\xaf"));          // overlong
    CHECK(invalid("\xe0\x80\xaf"));      // overlong
    CHECK(invalid("\xed\xa0\x80"));      // surrogate
    CHECK(invalid("\xf4\x90\x80\x80"));  // above U+10FFFF
    CHECK(invalid("\xf0\x9f\x98"));      // cut off
    CHECK(invalid("\xff\xfe"));
    std::string text;
    append_utf8(text, U'\u00e9');
    append_utf8(text, U'\u20ac');
    append_utf8(text, U'\U0001f600');
    CHECK(text == "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST_CASE("characters have the class of their Unicode category") {
    CHECK(char_class(U'a') == CharClass::letter);
    CHECK(char_class(U'\u00e9') == CharClass::letter);
    CHECK(char_class(U'\u4e2d') == CharClass::letter);
    CHECK(char_class(U'7') == CharClass::number);
    CHECK(char_class(U'\u00bd') == CharClass::number);
    CHECK(char_class(U'!') == CharClass::punctuation);
    CHECK(char_class(U'$') == CharClass::other);
    CHECK(char_class(U'\u0301') == CharClass::other);  // a mark
    CHECK(char_class(U'\u3000') == CharClass::whitespace);
    CHECK(char_class(U'\n') == CharClass::whitespace);
    CHECK(char_class(U'\U0010ffff') == CharClass::other);
    CHECK(char_class(invalid_point) == CharClass::other);
}

TEST_CASE("the gpt2 rules split words with their leading space") {
    auto const rules = PreTokenizer::gpt2;
    CHECK(words(rules, "it's 42 o'clock") == Words{"it", "'s", " 42", " o", "'", "clock"});
    CHECK(words(rules, "a  b") == Words{"a", " ", " b"});
    CHECK(words(rules, "a\n\n b  ") == Words{"a", "\n\n", " b", "  "});
    CHECK(words(rules, "x+=1;") == Words{"x", "+=", "1", ";"});
    CHECK(words(rules, "IT'S") == Words{"IT", "'", "S"});
    CHECK(words(rules, "").empty());
}

TEST_CASE("the qwen2 and llama3 rules split digits, newlines and contractions their way") {
    CHECK(words(PreTokenizer::qwen2, "12345 x") == Words{"1", "2", "3", "4", "5", " x"});
    CHECK(words(PreTokenizer::llama3, "12345 x") == Words{"123", "45", " x"});
    CHECK(words(PreTokenizer::qwen2, "IT'S it'LL") == Words{"IT", "'S", " it", "'LL"});
    CHECK(words(PreTokenizer::qwen2, "(x) $y \tz") == Words{"(x", ")", " $", "y", " ", "\tz"});
    CHECK(words(PreTokenizer::llama3, "a;\n\nb \n c") == Words{"a", ";\n\n", "b", " \n", " c"});
    CHECK(words(PreTokenizer::llama3, "  \n  x") == Words{"  \n", " ", " x"});
    CHECK(words(PreTokenizer::qwen2, "\xff\xfe ab") == Words{"\xff\xfe", " ab"});
}

TEST_CASE("a long run of one kind of character costs what its length says") {
    // A rule that walks the rest of the run for each piece would take minutes.
    for (char const c : {'7', ' ', '\n', '!', 'x', 'X', '/'})
        for (auto const rules : {PreTokenizer::qwen2, PreTokenizer::llama3, PreTokenizer::gpt2,
                                 PreTokenizer::plain, PreTokenizer::smollm, PreTokenizer::tekken}) {
            std::string const text(1U << 17U, c);
            std::size_t bytes = 0;
            for (auto const word : split_words(rules, text)) bytes += word.size();
            CHECK(bytes == text.size());
        }
}

TEST_CASE("the tekken rules also cut before a capital, and take slashes after symbols") {
    auto const rules = PreTokenizer::tekken;
    CHECK(words(rules, "HelloWorld") == Words{"Hello", "World"});
    CHECK(words(rules, "HTTPServer aBC iPhone") == Words{"HTTPServer", " a", "BC", " i", "Phone"});
    CHECK(words(rules, " It's 42") == Words{" It", "'s", " ", "4", "2"});
    CHECK(words(rules, "a +/\n//b") == Words{"a", " +/\n//", "b"});
    CHECK(words(rules, "x\n\n  y") == Words{"x", "\n\n", " ", " y"});
    // Letters of neither of A-Z and a-z go with both.
    CHECK(words(rules, "\xc3\xa9X") == Words{"\xc3\xa9", "X"});
    CHECK(words(rules, "a\xc3\xa9 b") == Words{"a\xc3\xa9", " b"});
    CHECK(words(rules, "XY\xc3\xa9Zq") == Words{"XY\xc3\xa9Zq"});
    CHECK(words(rules, "XY\xc3\xa9Z") == Words{"XY\xc3\xa9", "Z"});
}

TEST_CASE("the rules for files that name none cut punctuation and digits further") {
    CHECK(words(PreTokenizer::plain, "ab, 1234!") == Words{"ab", ",", " ", "123", "4", "!"});
    CHECK(words(PreTokenizer::smollm, "ab 12") == Words{"ab", " ", "1", "2"});
}

TEST_CASE("text goes through every tokenizer and back without loss") {
    std::uint64_t const seed = 5;
    CAPTURE(seed);
    Xoshiro256 random(seed);
    std::vector<std::string> texts = {
        "",
        " ",
        "Hello, world! It's the machine's answer.\n\n  12345 times",
        "   leading and trailing   ",
        "caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80\xe2\x80\x8d",
        "\xff\x80 broken \xe2\x82",
        std::string("nul \0 inside", 12),
        std::string(5000, 'a'),
        "<|im_end|> <s> </s> <unk> <tool_call>"};
    for (int i = 0; i < 50; ++i) {
        std::string text;
        for (auto n = random.next() % 60; n > 0; --n) text += static_cast<char>(random.next());
        texts.push_back(text);
    }
    for (auto const kind : all_kinds) {
        auto const tokenizer = synthetic(kind);
        for (auto const& text : texts) {
            CAPTURE(text);
            auto const tokens = tokenizer.encode(text, Specials::as_text);
            REQUIRE(tokens.has_value());
            CHECK(tokenizer.decode(*tokens) == text);
        }
    }
}

TEST_CASE("text never becomes a control token unless it is asked for") {
    for (auto const kind : {SynthTokenizer::qwen2_bpe, SynthTokenizer::spm}) {
        auto const tokenizer = synthetic(kind);
        std::string const marker = kind == SynthTokenizer::spm ? "</s>" : "<|im_end|>";
        auto const id = tokenizer.find_special(marker);
        REQUIRE(id.has_value());
        auto const plain = tokenizer.encode("a " + marker + " b", Specials::as_text).value();
        CHECK(std::ranges::find(plain, *id) == plain.end());
        auto const parsed = tokenizer.encode("a " + marker + " b", Specials::parse).value();
        CHECK(std::ranges::count(parsed, *id) == 1);
        CHECK(tokenizer.piece(*id).empty());
        CHECK(tokenizer.token_text(*id) == marker);
        CHECK(tokenizer.ends_answer(*id));
    }
    auto const tokenizer = synthetic(SynthTokenizer::qwen2_bpe);
    auto const user_defined = tokenizer.find_special("<tool_call>").value();
    CHECK(tokenizer.encode("<tool_call>", Specials::as_text).value() ==
          std::vector<TokenId>{user_defined});
}

TEST_CASE("of the special tokens at a place the longest counts, however many there are") {
    GgufWriter writer;
    writer.add_string("tokenizer.ggml.model", "gpt2");
    writer.add_string("tokenizer.ggml.pre", "qwen2");
    std::vector<std::string> texts{"a", "b", "c", "<", "ab", "<a", "<ab>", "<abc", "<a"};
    std::vector<std::int32_t> kinds{1, 1, 1, 1, 1, 4, 4, 3, 4};  // normal, user-defined, control
    for (int i = 0; i < 5000; ++i) {
        texts.push_back("<" + std::to_string(i));
        kinds.push_back(4);
    }
    writer.add_strings("tokenizer.ggml.tokens", texts);
    writer.add_integers("tokenizer.ggml.token_type", kinds);
    writer.add_strings("tokenizer.ggml.merges", {"a b"});
    auto const bytes = writer.to_bytes();
    auto const tokenizer = Tokenizer::create(Gguf::parse(bytes).value()).value();
    auto const encoded = [&](std::string_view text, Specials specials) {
        return tokenizer.encode(text, specials, Begin::none).value();
    };
    using Ids = std::vector<TokenId>;
    CHECK(encoded("<ab><abc<a", Specials::parse) == Ids{6, 7, 5});
    CHECK(encoded("<ab<abcab", Specials::as_text) == Ids{5, 1, 5, 1, 2, 4});
    CHECK(encoded("<4999<", Specials::as_text) == Ids{9 + 4999, 3});
    CHECK(encoded("<", Specials::parse) == Ids{3});
    // Each place costs the length of the longest match, not the number of tokens.
    CHECK(encoded(std::string(1U << 17U, '<'), Specials::as_text).size() == 1U << 17U);
}

TEST_CASE("the beginning token comes first where the model asks for it") {
    auto const spm = synthetic(SynthTokenizer::spm);
    CHECK(spm.encode("a", Specials::as_text, Begin::as_model_says).value().front() == 1);
    CHECK(spm.encode("a", Specials::as_text).value().front() != 1);
    auto const bpe = synthetic(SynthTokenizer::qwen2_bpe);
    CHECK(bpe.encode("a", Specials::as_text, Begin::as_model_says).value().size() == 1);
}

TEST_CASE("texts past the limit and ids outside the vocabulary are harmless") {
    auto const tokenizer = synthetic(SynthTokenizer::qwen2_bpe);
    std::string const text(tokenizer_text_bytes_max + 1, 'x');
    CHECK(tokenizer.encode(text, Specials::as_text).error().code == Code::too_large);
    CHECK(tokenizer.piece(-1).empty());
    CHECK(tokenizer.piece(1 << 30).empty());
    CHECK(tokenizer.decode({-5, 512, 100000}).empty());
    CHECK(tokenizer.token_text(512).empty());
    CHECK_FALSE(tokenizer.find_special("the").has_value());
}

TEST_CASE("the streaming decoder never hands out half a character") {
    auto const tokenizer = synthetic(SynthTokenizer::byte_bpe);
    std::string const text = "x\xc3\xa9\xf0\x9f\x98\x80y\xe2\x82\xac";
    StreamingDecoder decoder(tokenizer);
    std::string all;
    for (char const c : text) {  // one byte per token
        auto const tokens = tokenizer.encode(std::string(1, c), Specials::as_text).value();
        REQUIRE(tokens.size() == 1);
        auto const piece = decoder.push(tokens[0]);
        for (auto const& character : split_characters(piece))
            CHECK(character.point != invalid_point);
        all += piece;
    }
    CHECK(all + decoder.finish() == text);

    for (char const c : std::string("\xe2\x82"))
        CHECK(decoder.push(tokenizer.encode(std::string(1, c), Specials::as_text).value()[0])
                  .empty());
    CHECK(decoder.push(tokenizer.encode("z", Specials::as_text).value()[0]) ==
          "\xef\xbf\xbd\xef\xbf\xbdz");
    CHECK(decoder.push(tokenizer.encode("\xf0", Specials::as_text).value()[0]).empty());
    CHECK(decoder.finish() == "\xef\xbf\xbd");
    CHECK(decoder.finish().empty());
}

TEST_CASE("hostile vocabularies are refused by name") {
    auto const refusal = [](auto const& fill) {
        GgufWriter writer;
        fill(writer);
        auto const bytes = writer.to_bytes();
        auto const tokenizer = Tokenizer::create(Gguf::parse(bytes).value());
        REQUIRE_FALSE(tokenizer.has_value());
        return tokenizer.error().message;
    };
    auto const contains = [](std::string const& text, char const* part) {
        return text.find(part) != std::string::npos;
    };
    CHECK(contains(refusal([](GgufWriter&) {}), "tokenizer.ggml.model"));
    CHECK(contains(refusal([](GgufWriter& w) { w.add_string("tokenizer.ggml.model", "bert"); }),
                   "\"bert\""));
    auto const bpe = [](GgufWriter& w) { w.add_string("tokenizer.ggml.model", "gpt2"); };
    CHECK(contains(refusal([&](GgufWriter& w) {
                       bpe(w);
                       w.add_string("tokenizer.ggml.pre", "bloom");
                   }),
                   "\"bloom\""));
    CHECK(contains(refusal(bpe), "tokenizer.ggml.tokens"));
    auto const tokens = [&](GgufWriter& w) {
        bpe(w);
        w.add_strings("tokenizer.ggml.tokens", {"a", "b"});
    };
    CHECK(contains(refusal(tokens), "merges"));
    CHECK(contains(refusal([&](GgufWriter& w) {
                       tokens(w);
                       w.add_integers("tokenizer.ggml.token_type", {1});
                   }),
                   "token_type"));
    CHECK(contains(refusal([&](GgufWriter& w) {
                       tokens(w);
                       w.add_strings("tokenizer.ggml.merges", {"ab"});
                   }),
                   "pair"));
    CHECK(contains(refusal([&](GgufWriter& w) {
                       bpe(w);
                       w.add_strings("tokenizer.ggml.tokens",
                                     {std::string(tokenizer_token_bytes_max + 1, 'a')});
                   }),
                   "longer"));
    CHECK(contains(refusal([](GgufWriter& w) {
                       w.add_string("tokenizer.ggml.model", "llama");
                       w.add_strings("tokenizer.ggml.tokens", {"a"});
                       w.add_floats("tokenizer.ggml.scores", {not_a_number});
                   }),
                   "scores"));
}

// ---- sampling and stops -------------------------------------------------------------------------

TEST_CASE("greedy takes the highest logit, the lowest id among equals, never NaN") {
    auto sampler = Sampler::create({}).value();
    std::vector<float> const logits = {1, not_a_number, 3, 3, -infinite, infinite};
    CHECK(sampler.sample(logits).value() == 2);
    std::vector<float> const none = {not_a_number, -infinite};
    CHECK(sampler.sample(none).error().code == Code::invalid);
    CHECK(sampler.sample({}).error().code == Code::invalid);
}

TEST_CASE("the same seed gives the same tokens, on every machine") {
    std::vector<float> logits;
    for (int i = 0; i < 50; ++i) logits.push_back(static_cast<float>(i % 7) * 0.5F);
    auto const draw = [&](SamplerOptions options) {
        auto sampler = Sampler::create(options).value();
        std::vector<TokenId> out;
        for (int i = 0; i < 8; ++i) out.push_back(sampler.sample(logits).value());
        return out;
    };
    auto const first = draw({.temperature = 1.0F, .seed = 42});
    CHECK(first == draw({.temperature = 1.0F, .seed = 42}));
    CHECK(first != draw({.temperature = 1.0F, .seed = 43}));
    Xoshiro256 generator(42);
    CHECK(generator.next() == 1546998764402558742U);  // fixed for ever: seeds are part of the API
}

TEST_CASE("top_k, top_p and min_p leave out what they should") {
    std::vector<float> const logits = {0.0F, 4.0F, 3.9F, 3.8F, -20.0F};
    auto const reached = [&](SamplerOptions options) {
        std::array<bool, 5> seen{};
        options.temperature = 1.0F;
        for (std::uint64_t seed = 0; seed < 400; ++seed) {
            options.seed = seed;
            auto sampler = Sampler::create(options).value();
            seen[static_cast<std::size_t>(sampler.sample(logits).value())] = true;
        }
        return seen;
    };
    CHECK(reached({}) == std::array{true, true, true, true, false});
    CHECK(reached({.top_k = 2}) == std::array{false, true, true, false, false});
    CHECK(reached({.top_p = 0.5F}) == std::array{false, true, true, false, false});
    CHECK(reached({.min_p = 0.5F}) == std::array{false, true, true, true, false});
    CHECK(reached({.top_k = 1}) == std::array{false, true, false, false, false});
}

TEST_CASE("sampler options outside their range are refused") {
    auto const refused = [](SamplerOptions options) {
        return !Sampler::create(options).has_value();
    };
    CHECK(refused({.temperature = -1}));
    CHECK(refused({.temperature = not_a_number}));
    CHECK(refused({.temperature = 101}));
    CHECK(refused({.top_p = 0}));
    CHECK(refused({.top_p = 1.1F}));
    CHECK(refused({.min_p = 1}));
    CHECK(refused({.min_p = -0.1F}));
}

TEST_CASE("stop strings are found across pieces, and nothing of them gets out") {
    auto matcher = StopMatcher::create({"STOP", "\n\n"}).value();
    CHECK(matcher.push("hello S").text == "hello ");
    CHECK(matcher.push("T").text.empty());
    CHECK(matcher.push("Ax\n").text == "STAx");
    auto const last = matcher.push("\nmore STOP");
    CHECK(last.stopped);
    CHECK(last.text.empty());
    CHECK(matcher.push("x").text.empty());
    CHECK(matcher.finish().empty());

    auto earliest = StopMatcher::create({"bb", "ab"}).value();
    CHECK(earliest.push("xabb").text == "x");
    auto unfinished = StopMatcher::create({"abc"}).value();
    CHECK(unfinished.push("xab").text == "x");
    CHECK(unfinished.finish() == "ab");
    auto overlapping = StopMatcher::create({"aab"}).value();
    CHECK(overlapping.push("aaa").text == "a");
    CHECK(overlapping.push("b").stopped);
}

TEST_CASE("S54: stop strings are at most 16, none empty, none too long") {
    CHECK(StopMatcher::create(std::vector<std::string>(16, "x")).has_value());
    CHECK(StopMatcher::create(std::vector<std::string>(17, "x")).error().code == Code::too_large);
    CHECK(StopMatcher::create({""}).error().code == Code::invalid);
    CHECK(StopMatcher::create({std::string(stop_string_bytes_max, 'x')}).has_value());
    CHECK(StopMatcher::create({std::string(stop_string_bytes_max + 1, 'x')}).error().code ==
          Code::too_large);
}

}  // namespace
}  // namespace kith::infer
