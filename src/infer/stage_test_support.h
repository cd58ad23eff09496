// infer/stage_test_support.h: models in memory and ways to run them, for the tests of stages.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "infer/stage.h"

namespace kith::infer {

using ModelPtr = decltype(Model::load_views({}))::value_type;

inline ModelPtr load(base::Bytes const& file) {
    auto model = Model::load_views({file});
    if (!model) FAIL(model.error().message);
    return std::move(model).value();
}

inline Stage make_stage(ModelPtr model, StageOptions options = {}) {
    auto stage = Stage::create(std::move(model), options);
    if (!stage) FAIL(stage.error().message);
    return std::move(stage).value();
}

inline KvCache make_cache(Model const& model, LayerRange range, std::size_t positions) {
    auto cache = KvCache::create(model.hparams(), range, positions);
    if (!cache) FAIL(cache.error().message);
    return std::move(cache).value();
}

inline std::vector<TokenId> some_tokens(std::size_t count) {
    std::vector<TokenId> out;
    for (std::size_t i = 0; i < count; ++i)
        out.push_back(static_cast<TokenId>((i * 37 + 11) % 512));
    return out;
}

// Logits after the last token, computed through the layer cuts given, `batch` tokens at a time.
inline std::vector<float> run(ModelPtr const& model, std::vector<std::size_t> cuts,
                              std::size_t batch, StageOptions options = {}) {
    auto const& h = model->hparams();
    auto stage = make_stage(model, options);
    cuts.push_back(h.layers_count);
    std::vector<KvCache> caches;
    std::size_t begin = 0;
    auto const tokens = some_tokens(19);
    for (auto const end : cuts) {
        caches.push_back(make_cache(*model, {begin, end}, tokens.size()));
        begin = end;
    }
    std::vector<float> hidden;
    for (std::size_t at = 0; at < tokens.size(); at += batch) {
        auto const count = std::min(batch, tokens.size() - at);
        hidden.resize(count * h.hidden_size);
        REQUIRE(stage.embed(std::span(tokens).subspan(at, count), hidden).has_value());
        for (auto& cache : caches)
            REQUIRE(stage.forward(cache, hidden, at, cache.layers()).has_value());
    }
    std::vector<float> logits(h.vocabulary_size);
    REQUIRE(stage.logits(std::span(hidden).last(h.hidden_size), logits).has_value());
    return logits;
}

}  // namespace kith::infer
