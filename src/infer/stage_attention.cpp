// The first half of a layer: rotary positions and attention.
#include <algorithm>
#include <cmath>

#include "infer/stage_state.h"

namespace kith::infer {

namespace {

// Queries that share a head's keys and values in one task of attention, about.
constexpr std::size_t task_queries = 64;

}  // namespace

void Stage::State::prepare_rope() {
    auto const& h = model->hparams_;
    prepare_rotations(rotations[0], false);
    if (h.window != 0) prepare_rotations(rotations[1], true);
}

void Stage::State::prepare_rotations(Rotations& out, bool windowed) {
    auto const& h = model->hparams_;
    auto const half = h.rope_size / 2;
    for (std::size_t token = 0; token < places.size(); ++token) {
        auto const& [cache, position] = places[token];
        auto const& table = model->ropes_.table(h, windowed, cache->positions_max());
        for (std::size_t i = 0; i < half; ++i) {
            auto const angle = static_cast<double>(position) * table.frequencies[i];
            out.cosines[token * half + i] = static_cast<float>(table.magnitude * std::cos(angle));
            out.sines[token * half + i] = static_cast<float>(table.magnitude * std::sin(angle));
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

void Stage::State::rotate(float* row, std::size_t heads, std::size_t token,
                          Rotations const& by) const {
    auto const& h = model->hparams_;
    auto const half = h.rope_size / 2;
    bool const interleaved = h.rope_style == RopeStyle::interleaved;
    for (std::size_t head = 0; head < heads; ++head) {
        float* const x = row + head * h.head_size;
        for (std::size_t i = 0; i < half; ++i) {
            float& a = x[interleaved ? 2 * i : i];
            float& b = x[interleaved ? 2 * i + 1 : i + half];
            float const cosine = by.cosines[token * half + i];
            float const sine = by.sines[token * half + i];
            float const rotated = a * cosine - b * sine;
            b = a * sine + b * cosine;
            a = rotated;
        }
    }
}

// Biases, norms and rotation of one token's q, k and v; k and v go into the cache.
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
    if (!layer.query_norm.empty()) {
        normalise({q, h.query_size()}, layer.query_norm, q);
        normalise({k, h.kv_size()}, layer.key_norm, k);
    }
    auto const& by = rotations[h.has_window(index) ? 1 : 0];
    rotate(q, h.heads_count, token, by);
    rotate(k, h.kv_heads_count, token, by);
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

// The query heads that share one key-value head, for the tokens of a run, each over the
// positions up to its own that the layer's window shows.
void Stage::State::attend(std::size_t layer, TokenRun run, std::size_t kv_head,
                          AttentionScratch& to) {
    auto const& h = model->hparams_;
    auto const group = queries_per_head();
    auto const window = h.has_window(layer) ? h.window : context_length_max;
    auto& cache = *places[run.first].cache;
    std::size_t count = 0;
    for (auto token = run.first; token < run.first + run.count; ++token)
        for (std::size_t i = 0; i < group; ++i, ++count) {
            auto const at = token * h.query_size() + (kv_head * group + i) * h.head_size;
            to.queries[count] = &query[at];
            to.out[count] = &mixed[at];
            auto const end = places[token].position + 1;
            to.ends[count] = end;
            to.begins[count] = end > window ? end - window : 0;
        }
    kernels->packed->attend({.keys = cache.keys(layer, kv_head),
                             .values = cache.values(layer, kv_head),
                             .head_size = h.head_size,
                             .queries_count = count,
                             .queries = to.queries.data(),
                             .ends = to.ends.data(),
                             .begins = to.begins.data(),
                             .scale = h.attention_scale,
                             .cap = h.attention_cap,
                             .states = to.states.data(),
                             .out = to.out.data()});
}

void Stage::State::run_attention(LayerWeights const& layer, std::size_t index,
                                 std::span<float const> hidden) {
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
}

}  // namespace kith::infer
