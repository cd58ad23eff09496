#include <algorithm>
#include <cmath>

#include "infer/stage_state.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Status;

ArchitectureTraits const& Stage::State::traits() const {
    return architecture_traits(model->hparams_.architecture);
}

// RMS norm: x * weight / sqrt(mean(x^2) + epsilon).
void Stage::State::normalise(std::span<float const> rows, std::span<float const> weight,
                             float* out) const {
    auto const columns = weight.size();
    auto const epsilon = model->hparams_.norm_epsilon;
    for (std::size_t at = 0; at < rows.size(); at += columns) {
        auto const mean = kernels->sum_of_squares(&rows[at], columns) / static_cast<float>(columns);
        float const scale = 1.0F / std::sqrt(mean + epsilon);
        for (std::size_t i = 0; i < columns; ++i) out[at + i] = rows[at + i] * scale * weight[i];
    }
}

void Stage::State::add_to(std::span<float> hidden) const {
    for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] += sum[i];
}

void Stage::State::run_layer(LayerWeights const& layer, std::size_t index,
                             std::span<float> hidden) {
    auto const normalise_sum = [this, size = hidden.size()](std::span<float const> weight) {
        if (!weight.empty()) normalise(std::span(sum).first(size), weight, sum.data());
    };
    run_attention(layer, index, hidden);
    normalise_sum(layer.attention_post_norm);
    add_to(hidden);
    run_feed_forward(layer, hidden);
    normalise_sum(layer.feed_forward_post_norm);
    add_to(hidden);
}

void Stage::State::reserve(std::size_t tokens) {
    auto const& h = model->hparams_;
    auto const grow = [](std::vector<float>& buffer, std::size_t size) {
        if (buffer.size() < size) buffer.resize(size);
    };
    auto const inner = h.experts_count == 0 ? h.feed_forward_size : h.expert_size;
    grow(normed, tokens * h.hidden_size);
    grow(query, tokens * h.query_size());
    grow(key, tokens * h.kv_size());
    grow(value, tokens * h.kv_size());
    grow(mixed, tokens * h.query_size());
    grow(gate, tokens * inner);
    grow(up, tokens * inner);
    grow(sum, tokens * h.hidden_size);
    for (auto& [cosines, sines] : rotations) {
        grow(cosines, tokens * h.rope_size / 2);
        grow(sines, tokens * h.rope_size / 2);
    }
    if (h.experts_count != 0) {
        grow(scores, tokens * h.experts_count);
        grow(chosen, tokens * h.hidden_size);
        grow(answers, tokens * h.experts_used * h.hidden_size);
        choices.reserve(tokens * h.experts_used);
    }
    for (auto& one : attention) one.grow(queries_per_head() * attention_tokens());
}

Status Stage::State::forward_batch(std::span<float> hidden, LayerRange range,
                                   std::atomic<bool> const* cancel) {
    reserve(places.size());
    prepare_rope();
    prepare_runs();
    for (auto layer = range.begin; layer < range.end; ++layer) {
        if (cancel != nullptr && cancel->load(std::memory_order_relaxed))
            return fail(Code::cancelled, "cancelled between layers");
        run_layer(*model->layers_[layer], layer, hidden);
        for (auto const& [cache, position] : places)
            cache->lengths_[layer - cache->layers_.begin] = position + 1;
    }
    return {};
}

}  // namespace kith::infer
