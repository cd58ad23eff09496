// Any bytes as text for each kind of tokenizer: what is encoded as plain text decodes to the same
// bytes, no control token comes out, and the streaming decoder only hands out whole characters.
#include <cstdlib>
#include <vector>

#include "infer/synth.h"
#include "infer/tokenizer.h"

namespace {

using namespace kith::infer;

std::vector<Tokenizer> make_tokenizers() {
    std::vector<Tokenizer> out;
    for (auto const kind :
         {SynthTokenizer::byte_bpe, SynthTokenizer::qwen2_bpe, SynthTokenizer::llama3_bpe,
          SynthTokenizer::tekken_bpe, SynthTokenizer::spm}) {
        auto const bytes = synthesise(SynthShape{.tokenizer = kind, .layers_count = 1});
        out.push_back(Tokenizer::create(Gguf::parse(*bytes).value()).value());
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static auto const tokenizers = make_tokenizers();
    auto const text = kith::base::as_text({data, size});
    for (auto const& tokenizer : tokenizers) {
        auto const tokens = tokenizer.encode(text, Specials::as_text);
        if (!tokens) continue;
        if (tokenizer.decode(*tokens) != text) std::abort();
        StreamingDecoder decoder(tokenizer);
        for (auto const token : *tokens) {
            if (tokenizer.ends_answer(token)) std::abort();
            (void)decoder.push(token);
        }
        (void)decoder.finish();
        (void)tokenizer.encode(text, Specials::parse, Begin::as_model_says);
    }
    return 0;
}
