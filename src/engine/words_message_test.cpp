// What a model file says about text, on its way out of the worker.
#include "engine/words_message.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "base/temporary_folder.h"
#include "infer/gguf.h"
#include "infer/mapped_file.h"
#include "infer/model_tool.h"

namespace kith::engine {
namespace {

using base::Code;
using base::code_of;

void check_same(infer::ModelWords const& a, infer::ModelWords const& b) {
    CHECK(a.family == b.family);
    CHECK(a.pre == b.pre);
    CHECK(a.architecture == b.architecture);
    CHECK(a.chat_template == b.chat_template);
    CHECK(a.tokens == b.tokens);
    CHECK(a.kinds == b.kinds);
    CHECK(a.scores == b.scores);
    CHECK(a.merges == b.merges);
    CHECK(a.unknown == b.unknown);
    CHECK(a.begin == b.begin);
    CHECK(a.end == b.end);
    CHECK(a.end_of_turn == b.end_of_turn);
    CHECK(a.end_of_message == b.end_of_message);
    CHECK(a.add_begin == b.add_begin);
    CHECK(a.add_space_prefix == b.add_space_prefix);
}

infer::ModelWords some_words() {
    return {.family = "gpt2",
            .pre = "qwen2",
            .architecture = "qwen2",
            .chat_template = "{{ messages }}",
            .tokens = {"a", "", "\xff", "ab"},
            .kinds = {{1, 3, 6, 0}},
            .scores = {{0.0F, -1.5F, 3e38F, 1e-45F}},
            .merges = {{"a b"}},
            .begin = 3,
            .end = ~std::uint64_t{0},
            .add_begin = false};
}

}  // namespace

TEST_CASE("words cross the border as they are, those of a file and no words at all") {
    auto const bytes = encode_words(some_words()).value();
    check_same(decode_words(bytes).value().value(), some_words());

    base::TemporaryFolder const folder;
    auto const path = (folder.path() / "tiny.gguf").string();
    REQUIRE(infer::model_synth({.path = path}));
    auto const mapped = infer::MappedFile::open(path).value();
    auto const file = infer::Gguf::parse(mapped.bytes()).value();
    auto const words = infer::read_words(file).value();
    CHECK(words.tokens.size() > 200);
    auto const message = encode_words(words).value();
    check_same(decode_words(message).value().value(), words);

    auto const nothing = encode_words({}).value();
    CHECK_FALSE(decode_words(nothing).value().has_value());
}

TEST_CASE("words that are cut anywhere, or go on after their end, are refused") {
    auto bytes = encode_words(some_words()).value();
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK(code_of(decode_words(base::ByteView(bytes).first(size))) == Code::internal);
    bytes.push_back(0);
    CHECK(code_of(decode_words(bytes)) == Code::internal);
}

TEST_CASE("a count that the message has no room for makes no list") {
    // present, an empty family, nothing optional, then 2^32 - 1 tokens
    base::Bytes const bytes{1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    CHECK(code_of(decode_words(bytes)) == Code::internal);
}

TEST_CASE("a vocabulary above the limit does not leave the worker") {
    std::string const long_text(std::size_t{1} << 20U, 'x');
    auto words = some_words();
    words.tokens.assign(64, long_text);
    CHECK(code_of(encode_words(words)) == Code::too_large);
}

}  // namespace kith::engine
