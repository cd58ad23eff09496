// Any bytes as a model file: parse, look at every value, and, where the file describes a whole
// small model, load it and run it. Nothing may crash, and nothing may be allocated that the file's
// own size does not justify.
#include <array>
#include <vector>

#include "infer/gguf.h"
#include "infer/kv_cache.h"
#include "infer/model.h"
#include "infer/stage.h"
#include "infer/tokenizer.h"

namespace {

using namespace kith::infer;

void look_at(GgufValue const& value) {
    (void)value.as_unsigned();
    (void)value.as_signed();
    (void)value.as_number();
    (void)value.as_bool();
    (void)value.as_string();
    (void)value.as_strings();
    (void)value.as_integers();
    (void)value.as_floats();
}

void run_model(std::shared_ptr<Model const> const& model) {
    auto const& h = model->hparams();
    LayerRange const all{0, h.layers_count};
    auto stage = Stage::create(model);
    auto cache = KvCache::create(h, all, 2);
    if (!stage || !cache || !model->has_layers(all)) return;
    std::array<TokenId, 2> const tokens = {0, 1};
    std::vector<float> hidden(2 * h.hidden_size, 0.5F);
    (void)stage->embed(tokens, hidden);
    (void)stage->forward(*cache, hidden, 0, all);
    if (!model->has_head()) return;
    std::vector<float> logits(h.vocabulary_size);
    (void)stage->logits(std::span(hidden).first(h.hidden_size), logits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    // Aligned like a mapping, and exactly as long, so that a read past the end is seen.
    kith::base::Bytes const bytes(data, data + size);
    auto const file = Gguf::parse(bytes);
    if (!file) return 0;
    for (auto const& [key, value] : file->values()) look_at(value);
    if (auto const tokenizer = Tokenizer::create(*file)) {
        auto const tokens = tokenizer->encode("It's 42: <|im_end|>\n", Specials::parse);
        if (tokens) (void)tokenizer->decode(*tokens);
    }
    if (auto const model = Model::load_views({bytes})) run_model(*model);
    return 0;
}
