// infer/pretokenize.h: the rules that cut a text into words before byte-pair merging; merges never
// cross a word.
//
// The rules are regular expressions in the models' own files; here they are written out by hand, in
// linear time.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kith::infer {

enum class PreTokenizer {
    gpt2,    // "gpt-2": contractions, letters, numbers, others, each with a leading space
    plain,   // "default" or absent: llama.cpp's rules for files that name none
    llama3,  // "llama-bpe": numbers in threes, a leading non-letter joins a word
    dbrx,    // "dbrx" (Phi 4), "smaug-bpe": the words of llama3, merged also where one is a token
    qwen2,   // "qwen2": as llama3, numbers one by one
    smollm,  // "smollm": numbers one by one, then gpt2
    tekken,  // "tekken" (Mistral Nemo): words also end before a capital
};

// By tokenizer.ggml.pre; nullopt: unknown.
std::optional<PreTokenizer> find_pre_tokenizer(std::string_view name);

// The words of `text`, in order; together they are the text. Views into it.
std::vector<std::string_view> split_words(PreTokenizer rules, std::string_view text);

}  // namespace kith::infer
