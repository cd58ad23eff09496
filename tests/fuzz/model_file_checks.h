// tests/fuzz/model_file_checks.h: what the targets gguf and gguf_structure do with a file: parse,
// look at every value, and, where it describes a whole small model, load it and run it.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "infer/gguf.h"
#include "infer/kv_cache.h"
#include "infer/model.h"
#include "infer/stage.h"
#include "infer/tokenizer.h"

namespace kith::fuzz {

inline void look_at(infer::GgufValue const& value) {
    (void)value.as_unsigned();
    (void)value.as_signed();
    (void)value.as_number();
    (void)value.as_bool();
    (void)value.as_string();
    (void)value.as_strings();
    (void)value.as_integers();
    (void)value.as_floats();
}

inline void run_model(std::shared_ptr<infer::Model const> const& model) {
    auto const& h = model->hparams();
    infer::LayerRange const all{0, h.layers_count};
    auto stage = infer::Stage::create(model);
    auto cache = infer::KvCache::create(h, all, 2);
    if (!stage || !cache || !model->has_layers(all)) return;
    std::array<infer::TokenId, 2> const tokens = {0, 1};
    std::vector<float> hidden(2 * h.hidden_size, 0.5F);
    (void)stage->embed(tokens, hidden);
    (void)stage->forward(*cache, hidden, 0, all);
    if (!model->has_head()) return;
    std::vector<float> logits(h.vocabulary_size);
    (void)stage->logits(std::span(hidden).first(h.hidden_size), logits);
}

// `file` is exactly as long as the memory behind it, so that a read past the end is seen.
inline void check_model_file(base::Bytes const& file) {
    auto const parsed = infer::Gguf::parse(file);
    if (!parsed) return;
    for (auto const& [key, value] : parsed->values()) look_at(value);
    if (auto const tokenizer = infer::Tokenizer::create(*parsed)) {
        auto const tokens = tokenizer->encode("It's 42: <|im_end|>\n", infer::Specials::parse);
        if (tokens) (void)tokenizer->decode(*tokens);
    }
    if (auto const model = infer::Model::load_views({file})) run_model(*model);
}

}  // namespace kith::fuzz
