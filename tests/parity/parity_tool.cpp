// The engine's side of the comparison with llama.cpp: prints one JSON document.
//
//   parity_tool synth FILE ARCHITECTURE TYPE TOKENIZER [OPTION...]
//                                              tokenizers: gpt2 qwen2 llama3 tekken spm gemma phi3
//   parity_tool tokenize FILE TEXT_FILE                          specials are parsed
//   parity_tool logits FILE ID...                                one row of logits for each
//   position
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "infer/arch/architecture.h"
#include "infer/mapped_file.h"
#include "infer/model_tool.h"
#include "infer/stage.h"

namespace {

using namespace kith::infer;
using Arguments = std::vector<std::string>;

constexpr std::size_t context_size = 256;  // as run.mjs asks of llama.cpp

SynthTokenizer tokenizer_kind(std::string const& name) {
    if (name == "qwen2") return SynthTokenizer::qwen2_bpe;
    if (name == "llama3") return SynthTokenizer::llama3_bpe;
    if (name == "tekken") return SynthTokenizer::tekken_bpe;
    if (name == "phi3") return SynthTokenizer::phi3_spm;
    if (name == "gemma") return SynthTokenizer::gemma_spm;
    if (name == "spm") return SynthTokenizer::spm;
    return SynthTokenizer::byte_bpe;
}

std::optional<Architecture> find_architecture(std::string const& name) {
    for (auto const* const traits : all_architectures())
        if (traits->name == name) return traits->architecture;
    return std::nullopt;
}

// "tied", "layers=7", "rope=yarn" ...
bool set_option(SynthShape& shape, std::string const& option) {
    if (option == "tied") {
        shape.head = SynthHead::tied;
        return true;
    }
    static std::map<std::string, SynthRope> const ropes{{"linear", SynthRope::linear},
                                                        {"yarn", SynthRope::yarn},
                                                        {"divisors", SynthRope::divisors},
                                                        {"longrope", SynthRope::longrope}};
    std::map<std::string, std::size_t*> const sizes{
        {"layers", &shape.layers_count},     {"hidden", &shape.hidden_size},
        {"inner", &shape.feed_forward_size}, {"heads", &shape.heads_count},
        {"head", &shape.head_size},          {"experts", &shape.experts_count},
        {"expert", &shape.expert_size},      {"vocabulary", &shape.vocabulary_size},
        {"window", &shape.window},           {"context", &shape.context_length}};
    auto const key = option.substr(0, option.find('='));
    auto const value = option.substr(std::min(option.size(), key.size() + 1));
    if (key == "rope" && ropes.contains(value)) {
        shape.rope = ropes.at(value);
    } else if (sizes.contains(key)) {
        *sizes.at(key) = std::stoul(value);
    } else {
        return false;
    }
    return true;
}

kith::base::Result<std::string> synth(Arguments const& arguments) {
    auto const type = find_type(arguments.at(3));
    if (!type) return kith::base::fail(kith::base::Code::invalid, "unknown type");
    auto const architecture = find_architecture(arguments.at(2));
    if (!architecture) return kith::base::fail(kith::base::Code::invalid, "unknown architecture");
    SynthShape shape{.architecture = *architecture,
                     .type = *type,
                     .tokenizer = tokenizer_kind(arguments.at(4)),
                     .layers_count = 3,
                     .hidden_size = 512,
                     .feed_forward_size = 1024,
                     .heads_count = 8,
                     .kv_heads_count = 2,
                     .vocabulary_size = 1024,
                     .seed = 5};
    for (std::size_t i = 5; i < arguments.size(); ++i)
        if (!set_option(shape, arguments[i]))
            return kith::base::fail(kith::base::Code::invalid, "unknown option " + arguments[i]);
    return model_synth({.path = arguments.at(1), .shape = shape});
}

kith::base::Result<std::string> tokenize(Arguments const& arguments) {
    std::ifstream in(arguments.at(2), std::ios::binary);
    std::string const text((std::istreambuf_iterator<char>(in)), {});
    return model_tokenize(
        {.path = arguments.at(1), .text = text, .begin = Begin::none, .specials = Specials::parse});
}

// Of every position, all tokens given at once.
kith::base::Result<std::string> logits(Arguments const& arguments) {
    std::vector<TokenId> tokens;
    for (std::size_t i = 2; i < arguments.size(); ++i)
        tokens.push_back(static_cast<TokenId>(std::stol(arguments[i])));
    if (tokens.empty() || tokens.size() > micro_batch_tokens)
        return kith::base::fail(kith::base::Code::invalid, "logits: 1 to 64 token ids");
    std::vector<MappedFile> files;
    files.push_back(KITH_TRY(MappedFile::open(arguments.at(1))));
    auto const model = KITH_TRY(Model::load(std::move(files)));
    auto const& shape = model->hparams();
    LayerRange const all{0, shape.layers_count};
    auto stage = KITH_TRY(Stage::create(model));
    auto cache = KITH_TRY(KvCache::create(shape, all, context_size));
    std::vector<float> hidden(tokens.size() * shape.hidden_size);
    std::vector<float> out(tokens.size() * shape.vocabulary_size);
    KITH_TRY(stage.embed(tokens, hidden));
    KITH_TRY(stage.forward(cache, hidden, 0, all));
    KITH_TRY(stage.logits(hidden, out));
    boost::json::array rows;
    for (auto at = out.begin(); at != out.end();
         at += static_cast<std::ptrdiff_t>(shape.vocabulary_size))
        rows.emplace_back(
            boost::json::array(at, at + static_cast<std::ptrdiff_t>(shape.vocabulary_size)));
    return boost::json::serialize(boost::json::object{{"rows", std::move(rows)}});
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
