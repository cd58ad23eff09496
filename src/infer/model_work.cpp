#include "infer/model_work.h"

#include <algorithm>

#include "infer/stage.h"

namespace kith::infer {

namespace {

struct Weights {
    double bytes = 0;
    double elements = 0;

    void add(Matrix const& matrix) {
        bytes += static_cast<double>(matrix.rows) * static_cast<double>(matrix.row_stride);
        elements += static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns);
    }
};

struct Parts {
    Weights layers;
    Weights experts;  // all of them
    Weights head;
};

Parts parts_of(Model const& model) {
    Parts out;
    auto const matrices = model.multiplied_matrices();
    for (std::size_t i = 0; i < matrices.size(); ++i) {
        bool const is_head = model.has_head() && i + 1 == matrices.size();
        (is_head ? out.head : out.layers).add(*matrices[i]);
    }
    for (auto const* const matrix : model.expert_matrices()) out.experts.add(*matrix);
    return out;
}

// Of the experts, what one token uses.
double used_share(Hparams const& h) {
    if (h.experts_count == 0) return 0;
    return static_cast<double>(h.experts_used) / static_cast<double>(h.experts_count);
}

// So many rows pass together; each may choose other experts.
double layer_bytes(Hparams const& h, Parts const& parts, std::size_t rows) {
    auto const share = std::min(1.0, static_cast<double>(rows) * used_share(h));
    return parts.layers.bytes + parts.experts.bytes * share;
}

double layer_operations(Hparams const& h, Parts const& parts) {
    return 2 * (parts.layers.elements + parts.experts.elements * used_share(h));
}

// Keys and values that a token at `position` sees, in all layers.
double seen_bytes(Hparams const& h, std::size_t position) {
    constexpr std::size_t bytes_of_float16 = 2;
    std::size_t positions = 0;
    for (std::size_t layer = 0; layer < h.layers_count; ++layer)
        positions += h.has_window(layer) ? std::min(h.window, position + 1) : position + 1;
    return static_cast<double>(positions) * static_cast<double>(2 * h.kv_size() * bytes_of_float16);
}

}  // namespace

Work prompt_work(Model const& model, std::size_t tokens) {
    auto const& h = model.hparams();
    auto const parts = parts_of(model);
    Work out{.bytes = parts.head.bytes,
             .operations = static_cast<double>(tokens) * layer_operations(h, parts) +
                           2 * parts.head.elements};
    for (std::size_t at = 0; at < tokens; at += micro_batch_tokens) {
        auto const rows = std::min(micro_batch_tokens, tokens - at);
        out.bytes += layer_bytes(h, parts, rows) + seen_bytes(h, at + rows - 1);
    }
    return out;
}

Work decode_work(Model const& model, DecodePlan const& plan) {
    auto const& h = model.hparams();
    auto const parts = parts_of(model);
    auto const steps = static_cast<double>(plan.steps);
    auto const sequences = static_cast<double>(plan.sequences);
    Work out{
        .bytes = steps * (layer_bytes(h, parts, plan.sequences) + parts.head.bytes),
        .operations = steps * sequences * (layer_operations(h, parts) + 2 * parts.head.elements)};
    for (std::size_t step = 0; step < plan.steps; ++step)
        out.bytes += sequences * seen_bytes(h, plan.positions + step);
    return out;
}

}  // namespace kith::infer
