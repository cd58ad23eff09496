// infer/model_words.h: what a model file says about text, as plain lists: tokens, merges, the ids
// of special tokens, the chat template. A Tokenizer and a ChatTemplate are made of them, so that
// who makes these need not read the file.
//
// Nothing here is checked but its kind: sizes that do not fit together, unknown names and ids out
// of range are found by who uses it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kith::infer {

class Gguf;

// Borrows from what it was read from.
struct ModelWords {
    std::string_view family;                       // tokenizer.ggml.model: "llama", "gpt2"
    std::optional<std::string_view> pre;           // tokenizer.ggml.pre; "?" when it is no text
    std::optional<std::string_view> architecture;  // general.architecture
    std::optional<std::string_view> chat_template;

    std::vector<std::string_view> tokens;
    std::optional<std::vector<std::uint8_t>> kinds;  // TokenKind, one for each token
    std::optional<std::vector<float>> scores;
    std::optional<std::vector<std::string_view>> merges;  // "left right", by rank

    // As in the file, perhaps larger than the vocabulary.
    std::optional<std::uint64_t> unknown, begin, end, end_of_turn, end_of_message;
    std::optional<bool> add_begin, add_space_prefix;
};

// Code::invalid when the file names no family, or a list is of another kind.
base::Result<ModelWords> read_words(Gguf const& file);

}  // namespace kith::infer
