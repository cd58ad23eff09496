// infer/packed/kernels_softmax.h: one step of the softmax of kernels_attention.h: the scores of a
// block of positions become weights, and what was summed before is scaled to the highest score so
// far.
#pragma once

#include "infer/kernels_order.h"
#include "infer/kernels_rows.h"

namespace kith::infer {

template <class V>
struct Softmax {
    using F = typename V::F;
    static constexpr std::size_t width = kv_lanes;
    static constexpr std::size_t vectors = attention_block / width;
    static_assert(vectors == 4);

    KITH_INLINE float highest(F (&values)[vectors]) {
        float lane[width];
        V::store(lane, V::max(V::max(values[0], values[1]), V::max(values[2], values[3])));
        float out = lane[0];
        for (std::size_t i = 1; i < width; ++i) out = lane[i] > out ? lane[i] : out;
        return out;
    }
    KITH_INLINE float total(F (&values)[vectors]) {
        float lane[width];
        V::store(lane, V::add(V::add(values[0], values[1]), V::add(values[2], values[3])));
        for (std::size_t half = width / 2; half > 0; half /= 2)
            for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
        return lane[0];
    }
    KITH_INLINE float exp_of(float x) {
        float lane[width];
        V::store(lane, RowKernels<V>::exp(V::set(x)));
        return lane[0];
    }

    KITH_INLINE void fill_outside(float* scores, std::size_t first, std::size_t last, float value) {
        for (std::size_t i = 0; i < first; ++i) scores[i] = value;
        for (std::size_t i = last; i < attention_block; ++i) scores[i] = value;
    }

    // Scores to weights; only positions [first, last) get one.
    KITH_INLINE void weigh(AttendState& state, float* scores, std::size_t first, std::size_t last,
                           float* out, std::size_t head_size) {
        fill_outside(scores, first, last, lowest_score);
        F values[vectors];
        for (std::size_t v = 0; v < vectors; ++v) values[v] = V::load(scores + v * width);
        float const peak = highest(values);
        if (peak > state.highest) {
            float const shrink = exp_of(state.highest - peak);
            state.highest = peak;
            state.total *= shrink;
            for (std::size_t d = 0; d < head_size; ++d) out[d] *= shrink;
        }
        F const minus = V::set(-state.highest);
        for (std::size_t v = 0; v < vectors; ++v)
            V::store(scores + v * width, RowKernels<V>::exp(V::add(values[v], minus)));
        fill_outside(scores, first, last, 0);
        for (std::size_t v = 0; v < vectors; ++v) values[v] = V::load(scores + v * width);
        state.total += total(values);
    }
};

}  // namespace kith::infer
