#include <algorithm>
#include <cmath>

#include "infer/stage_state.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Status;

namespace {

// Queries that share a head's keys and values in one task of attention, about.
constexpr std::size_t task_queries = 64;

}  // namespace

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

void Stage::State::prepare_rope() {
    auto const& h = model->hparams_;
    auto const half = h.rope_size / 2;
    for (std::size_t i = 0; i < half; ++i) {
        auto const exponent = 2.0 * static_cast<double>(i) / static_cast<double>(h.rope_size);
        auto frequency = std::pow(h.rope_base, -exponent) / h.rope_scale;
        if (!model->rope_divisors_.empty())
            frequency /= static_cast<double>(model->rope_divisors_[i]);
        for (std::size_t token = 0; token < places.size(); ++token) {
            auto const angle = static_cast<double>(places[token].position) * frequency;
            cosines[token * half + i] = static_cast<float>(std::cos(angle));
            sines[token * half + i] = static_cast<float>(std::sin(angle));
        }
    }
}

void Stage::State::prepare_runs() {
    auto const longest = attention_tokens();
    runs.clear();
    for (std::size_t token = 0; token < places.size(); ++token) {
        bool const continues = !runs.empty() && runs.back().count < longest &&
                               places[token].cache == places[token - 1].cache;
        if (!continues) runs.push_back({.first = token, .count = 0});
        ++runs.back().count;
    }
}

void Stage::State::rotate(float* row, std::size_t heads, std::size_t token) const {
    auto const& h = model->hparams_;
    auto const half = h.rope_size / 2;
    bool const interleaved = h.rope_style == RopeStyle::interleaved;
    for (std::size_t head = 0; head < heads; ++head) {
        float* const x = row + head * h.head_size;
        for (std::size_t i = 0; i < half; ++i) {
            float& a = x[interleaved ? 2 * i : i];
            float& b = x[interleaved ? 2 * i + 1 : i + half];
            float const cosine = cosines[token * half + i];
            float const sine = sines[token * half + i];
            float const rotated = a * cosine - b * sine;
            b = a * sine + b * cosine;
            a = rotated;
        }
    }
}

// Biases and rotation of one token's q, k and v; k and v go into the cache.
void Stage::State::place_in_sequence(LayerWeights const& layer, std::size_t index,
                                     std::size_t token) {
    auto const& h = model->hparams_;
    auto const add_bias = [](float* row, std::span<float const> bias) {
        for (std::size_t i = 0; i < bias.size(); ++i) row[i] += bias[i];
    };
    float* const q = &query[token * h.query_size()];
    float* const k = &key[token * h.kv_size()];
    float* const v = &value[token * h.kv_size()];
    add_bias(q, layer.query_bias);
    add_bias(k, layer.key_bias);
    add_bias(v, layer.value_bias);
    rotate(q, h.heads_count, token);
    rotate(k, h.kv_heads_count, token);
    // Keys are float16, so queries are rounded to it too, as every product with float16 is.
    kernels->round_f16(q, q, h.query_size());
    auto const& place = places[token];
    store_keys(k, index, place);
    for (std::size_t head = 0; head < h.kv_heads_count; ++head)
        kernels->to_f16(v + head * h.head_size,
                        place.cache->values(index, head) + place.position * h.head_size,
                        h.head_size);
}

void Stage::State::store_keys(float const* row, std::size_t layer, TokenPlace const& place) const {
    auto const& h = model->hparams_;
    std::array<std::uint16_t, head_size_max> halves;
    for (std::size_t head = 0; head < h.kv_heads_count; ++head) {
        kernels->to_f16(row + head * h.head_size, halves.data(), h.head_size);
        auto* const out = place.cache->keys(layer, head) + key_offset(place.position, h.head_size);
        for (std::size_t d = 0; d < h.head_size; ++d) out[d * kv_lanes] = halves[d];
    }
}

std::size_t Stage::State::queries_per_head() const {
    return model->hparams_.heads_count / model->hparams_.kv_heads_count;
}

std::size_t Stage::State::attention_tokens() const {
    return std::max<std::size_t>(task_queries / queries_per_head(), 1);
}

// The query heads that share one key-value head, for the tokens of a run, each over all positions
// up to its own.
void Stage::State::attend(std::size_t layer, TokenRun run, std::size_t kv_head,
                          AttentionScratch& to) {
    auto const& h = model->hparams_;
    auto const group = queries_per_head();
    auto& cache = *places[run.first].cache;
    std::size_t count = 0;
    for (auto token = run.first; token < run.first + run.count; ++token)
        for (std::size_t i = 0; i < group; ++i, ++count) {
            auto const at = token * h.query_size() + (kv_head * group + i) * h.head_size;
            to.queries[count] = &query[at];
            to.out[count] = &mixed[at];
            to.ends[count] = places[token].position + 1;
        }
    kernels->packed->attend({.keys = cache.keys(layer, kv_head),
                             .values = cache.values(layer, kv_head),
                             .head_size = h.head_size,
                             .queries_count = count,
                             .queries = to.queries.data(),
                             .ends = to.ends.data(),
                             .scale = 1.0F / std::sqrt(static_cast<float>(h.head_size)),
                             .states = to.states.data(),
                             .out = to.out.data()});
}

void Stage::State::add_to(std::span<float> hidden) const {
    for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] += sum[i];
}

void Stage::State::run_layer(LayerWeights const& layer, std::size_t index,
                             std::span<float> hidden) {
    auto const& h = model->hparams_;
    auto const tokens = hidden.size() / h.hidden_size;

    normalise(hidden, layer.attention_norm, normed.data());
    set_input(std::span(normed).first(hidden.size()), h.hidden_size,
              {&layer.query, &layer.key, &layer.value});
    multiply({{&layer.query, query.data(), h.query_size()},
              {&layer.key, key.data(), h.kv_size()},
              {&layer.value, value.data(), h.kv_size()}});
    workers->run(tokens,
                 [&](std::size_t token, std::size_t) { place_in_sequence(layer, index, token); });
    workers->run(runs.size() * h.kv_heads_count, [&](std::size_t task, std::size_t worker) {
        attend(index, runs[task / h.kv_heads_count], task % h.kv_heads_count, attention[worker]);
    });
    set_input(std::span(mixed).first(tokens * h.query_size()), h.query_size(), {&layer.output});
    multiply({{&layer.output, sum.data(), h.hidden_size}});
    add_to(hidden);

    normalise(hidden, layer.feed_forward_norm, normed.data());
    set_input(std::span(normed).first(hidden.size()), h.hidden_size, {&layer.gate, &layer.up});
    multiply({{&layer.gate, gate.data(), h.feed_forward_size},
              {&layer.up, up.data(), h.feed_forward_size}});
    workers->run(tokens, [&](std::size_t token, std::size_t) {
        auto const at = token * h.feed_forward_size;
        kernels->swiglu(&gate[at], &up[at], h.feed_forward_size);
    });
    set_input(std::span(gate).first(tokens * h.feed_forward_size), h.feed_forward_size,
              {&layer.down});
    multiply({{&layer.down, sum.data(), h.hidden_size}});
    add_to(hidden);
}

void Stage::State::reserve(std::size_t tokens) {
    auto const& h = model->hparams_;
    auto const grow = [](std::vector<float>& buffer, std::size_t size) {
        if (buffer.size() < size) buffer.resize(size);
    };
    grow(normed, tokens * h.hidden_size);
    grow(query, tokens * h.query_size());
    grow(key, tokens * h.kv_size());
    grow(value, tokens * h.kv_size());
    grow(mixed, tokens * h.query_size());
    grow(gate, tokens * h.feed_forward_size);
    grow(up, tokens * h.feed_forward_size);
    grow(sum, tokens * h.hidden_size);
    grow(cosines, tokens * h.rope_size / 2);
    grow(sines, tokens * h.rope_size / 2);
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
