// infer/model_work.h: how much a model has to read and to compute, from its shape alone.
#pragma once

#include <cstddef>

#include "infer/model.h"

namespace kith::infer {

// Weights are counted as the file has them, each matrix once for all rows that pass together, and
// keys and values as float16; operations are those with weights (a product and a sum are two), not
// those of attention.
struct Work {
    double bytes = 0;
    double operations = 0;
};

// One prompt from its first token, in micro batches; logits of the last.
Work prompt_work(Model const& model, std::size_t tokens);
// `steps` tokens of each of `sequences` sequences that are decoded together, the first of which
// sees `positions` tokens before it; logits of all.
struct DecodePlan {
    std::size_t steps = 0;
    std::size_t sequences = 1;
    std::size_t positions = 0;
};
Work decode_work(Model const& model, DecodePlan const& plan);

}  // namespace kith::infer
