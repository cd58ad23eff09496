// The engine's side of the comparison with llama.cpp: prints the JSON of infer/model_tool.h.
//
//   parity_tool synth FILE ARCHITECTURE TYPE TOKENIZER [TIED]   tokenizers: gpt2 qwen2 llama3 spm
//   parity_tool tokenize FILE TEXT_FILE                          specials are parsed
//   parity_tool logits FILE ID...
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "infer/model_tool.h"

namespace {

using namespace kith::infer;
using Arguments = std::vector<std::string>;

SynthTokenizer tokenizer_kind(std::string const& name) {
    if (name == "qwen2") return SynthTokenizer::qwen2_bpe;
    if (name == "llama3") return SynthTokenizer::llama3_bpe;
    if (name == "spm") return SynthTokenizer::spm;
    return SynthTokenizer::byte_bpe;
}

kith::base::Result<std::string> synth(Arguments const& arguments) {
    auto const type = find_type(arguments.at(3));
    if (!type) return kith::base::fail(kith::base::Code::invalid, "unknown type");
    bool const qwen2 = arguments.at(2) == "qwen2";
    return model_synth({.path = arguments.at(1),
                        .shape = {.architecture = qwen2 ? Architecture::qwen2 : Architecture::llama,
                                  .type = *type,
                                  .tokenizer = tokenizer_kind(arguments.at(4)),
                                  .head = arguments.size() > 5 ? SynthHead::tied : SynthHead::own,
                                  .layers_count = 3,
                                  .hidden_size = 512,
                                  .feed_forward_size = 1024,
                                  .heads_count = 8,
                                  .kv_heads_count = 2,
                                  .vocabulary_size = 1024,
                                  .seed = 5}});
}

kith::base::Result<std::string> tokenize(Arguments const& arguments) {
    std::ifstream in(arguments.at(2), std::ios::binary);
    std::string const text((std::istreambuf_iterator<char>(in)), {});
    return model_tokenize(
        {.path = arguments.at(1), .text = text, .begin = Begin::none, .specials = Specials::parse});
}

kith::base::Result<std::string> logits(Arguments const& arguments) {
    LogitsOptions options{.path = arguments.at(1)};
    for (std::size_t i = 2; i < arguments.size(); ++i)
        options.tokens.push_back(static_cast<TokenId>(std::stol(arguments[i])));
    return model_logits(options);
}

}  // namespace

int main(int argc, char** argv) {
    Arguments const arguments(argv + 1, argv + argc);
    if (arguments.size() < 3) return 2;
    auto const out = arguments[0] == "synth"      ? synth(arguments)
                     : arguments[0] == "tokenize" ? tokenize(arguments)
                                                  : logits(arguments);
    if (!out) {
        std::fprintf(stderr, "parity_tool: %s\n", out.error().message.c_str());
        return 1;
    }
    std::puts(out->c_str());
    return 0;
}
