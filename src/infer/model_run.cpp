#include "infer/model_run.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;
using base::Status;

Result<ModelRun> ModelRun::create(MappedFile file, StageOptions options, std::size_t positions) {
    std::vector<MappedFile> files;
    files.push_back(std::move(file));
    auto model = KITH_TRY(Model::load(std::move(files)));
    LayerRange const all{0, model->hparams().layers_count};
    if (!model->has_layers(all) || !model->has_embedding() || !model->has_head())
        return fail(Code::invalid, "the file is a part of a model, not a whole one");
    auto stage = KITH_TRY(Stage::create(model, options));
    auto cache = KITH_TRY(KvCache::create(model->hparams(), all, positions));
    std::vector<float> row(model->hparams().vocabulary_size);
    return ModelRun{std::move(model), std::move(stage), std::move(cache), {}, std::move(row)};
}

Status ModelRun::feed(std::span<TokenId const> tokens) {
    auto const hidden_size = model->hparams().hidden_size;
    hidden.resize(tokens.size() * hidden_size);
    KITH_TRY(stage.embed(tokens, hidden));
    KITH_TRY(stage.forward(cache, hidden, cache.length(), all_layers()));
    return stage.logits(std::span(hidden).last(hidden_size), row);
}

}  // namespace kith::infer
