// infer/model_run.h: one sequence over a whole model in one process, for the tools.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "infer/kv_cache.h"
#include "infer/mapped_file.h"
#include "infer/model.h"
#include "infer/stage.h"

namespace kith::infer {

struct ModelRun {
    std::shared_ptr<Model const> model;
    Stage stage;
    KvCache cache;
    std::vector<float> hidden;  // of the tokens fed last
    std::vector<float> row;     // logits

    // Room for `positions` tokens. Code::invalid for a file that is a part of a model.
    static base::Result<ModelRun> create(MappedFile file, StageOptions options,
                                         std::size_t positions);

    [[nodiscard]] LayerRange all_layers() const { return {0, model->hparams().layers_count}; }
    // Behind what was fed before; logits after the last of `tokens` (not none) are in `row`.
    base::Status feed(std::span<TokenId const> tokens);
};

}  // namespace kith::infer
