// infer/packed/kernels_attention.h: attention of some queries over one head's keys and values,
// written once over vector operations V (16 lanes).
//
// Softmax is computed in one pass: blocks of attention_block positions, which begin at multiples of
// it, each with its highest score; what was summed before is scaled down when a higher one comes
// (Milakov and Gimelshein 2018, arXiv 1805.02867). A block's boundaries depend on positions alone,
// and a query's numbers on nothing but itself: dots add element after element, sums of values
// position after position, the weights of a block lane by lane and then as reduce() does. So the
// bits do not depend on how many queries are computed together.
#pragma once

#include "infer/packed/kernels_softmax.h"

#ifndef KITH_UNROLL
#define KITH_UNROLL _Pragma("GCC unroll 16")
#endif

namespace kith::infer {

template <class V>
struct Attention {
    using F = typename V::F;
    static constexpr std::size_t width = kv_lanes;
    static constexpr std::size_t vectors = Softmax<V>::vectors;

    // Scores of `queries` queries with `count` vectors of 16 positions.
    template <std::size_t queries, std::size_t count>
    KITH_INLINE void score_tile(AttendCall const& call, std::size_t query, std::size_t position,
                                float* out) {
        F sums[queries][count];
        float const* in[queries];
        KITH_UNROLL
        for (std::size_t i = 0; i < queries; ++i) {
            in[i] = call.queries[query + i];
            KITH_UNROLL
            for (std::size_t v = 0; v < count; ++v) sums[i][v] = V::zero();
        }
        auto const* const keys =
            reinterpret_cast<std::uint8_t const*>(call.keys) + 2 * position * call.head_size;
        for (std::size_t d = 0; d < call.head_size; ++d) {
            F key[count];
            KITH_UNROLL
            for (std::size_t v = 0; v < count; ++v)
                key[v] = V::load_f16(keys + 2 * width * (v * call.head_size + d));
            KITH_UNROLL
            for (std::size_t i = 0; i < queries; ++i) {
                F const wide = V::set(in[i][d]);
                KITH_UNROLL
                for (std::size_t v = 0; v < count; ++v)
                    sums[i][v] = V::fma(wide, key[v], sums[i][v]);
            }
        }
        F const scale = V::set(call.scale);
        KITH_UNROLL
        for (std::size_t i = 0; i < queries; ++i) {
            KITH_UNROLL
            for (std::size_t v = 0; v < count; ++v)
                V::store(out + i * attention_block + v * width, V::mul(sums[i][v], scale));
        }
    }

    template <std::size_t queries>
    KITH_INLINE void scores(AttendCall const& call, std::size_t query, std::size_t position,
                            float* out) {
        constexpr std::size_t count = queries >= V::attend_queries ? 1 : vectors;
        for (std::size_t v = 0; v < vectors; v += count)
            score_tile<queries, count>(call, query, position + v * width, out + v * width);
    }

    // out[i][d] += weights[i][j] * values[j][d] for 16 * `count` elements, j ascending.
    template <std::size_t queries, std::size_t count>
    KITH_INLINE void value_tile(AttendCall const& call, std::size_t query, std::size_t position,
                                std::size_t positions, float const* weights, std::size_t d) {
        F sums[queries][count];
        KITH_UNROLL
        for (std::size_t i = 0; i < queries; ++i) {
            KITH_UNROLL
            for (std::size_t v = 0; v < count; ++v)
                sums[i][v] = V::load(call.out[query + i] + d + v * width);
        }
        auto const* from =
            reinterpret_cast<std::uint8_t const*>(call.values + position * call.head_size + d);
        for (std::size_t j = 0; j < positions; ++j, from += 2 * call.head_size) {
            F value[count];
            KITH_UNROLL
            for (std::size_t v = 0; v < count; ++v) value[v] = V::load_f16(from + 2 * v * width);
            KITH_UNROLL
            for (std::size_t i = 0; i < queries; ++i) {
                F const wide = V::set(weights[i * attention_block + j]);
                KITH_UNROLL
                for (std::size_t v = 0; v < count; ++v)
                    sums[i][v] = V::fma(wide, value[v], sums[i][v]);
            }
        }
        KITH_UNROLL
        for (std::size_t i = 0; i < queries; ++i) {
            KITH_UNROLL
            for (std::size_t v = 0; v < count; ++v)
                V::store(call.out[query + i] + d + v * width, sums[i][v]);
        }
    }

    template <std::size_t queries>
    KITH_INLINE void add_values(AttendCall const& call, std::size_t query, std::size_t position,
                                std::size_t positions, float const* weights) {
        constexpr auto many = V::value_vectors;
        std::size_t d = 0;
        for (; d + many * width <= call.head_size; d += many * width)
            value_tile<queries, many>(call, query, position, positions, weights, d);
        for (; d + width <= call.head_size; d += width)
            value_tile<queries, 1>(call, query, position, positions, weights, d);
        for (; d < call.head_size; ++d)
            for (std::size_t i = 0; i < queries; ++i) {
                float sum = call.out[query + i][d];
                for (std::size_t j = 0; j < positions; ++j)
                    sum = __builtin_fmaf(
                        weights[i * attention_block + j],
                        half_to_float(call.values[(position + j) * call.head_size + d]), sum);
                call.out[query + i][d] = sum;
            }
    }

    // Positions [first, last) of the block at `position`, for `queries` queries that all see them.
    template <std::size_t queries>
    KITH_INLINE void block(AttendCall const& call, std::size_t query, std::size_t position,
                           std::size_t first, std::size_t last) {
        alignas(64) float weights[queries * attention_block];
        scores<queries>(call, query, position, weights);
        if (call.cap != 0)
            for (std::size_t i = 0; i < queries * attention_block; i += width)
                V::store(weights + i, RowKernels<V>::capped(V::load(weights + i), call.cap));
        for (std::size_t i = 0; i < queries; ++i)
            Softmax<V>::weigh(call.states[query + i], weights + i * attention_block, first, last,
                              call.out[query + i], call.head_size);
        constexpr auto together = queries >= V::value_queries ? V::value_queries : 1;
        for (std::size_t i = 0; i < queries; i += together)
            add_values<together>(call, query + i, position + first, last - first,
                                 weights + i * attention_block + first);
    }

    KITH_INLINE std::size_t begin_of(AttendCall const& call, std::size_t query) {
        return call.begins == nullptr ? 0 : call.begins[query];
    }

    static void attend(AttendCall const& call) {
        std::size_t most = 0;
        for (std::size_t i = 0; i < call.queries_count; ++i) {
            most = call.ends[i] > most ? call.ends[i] : most;
            call.states[i] = {.highest = lowest_score, .total = 0};
            for (std::size_t d = 0; d < call.head_size; ++d) call.out[i][d] = 0;
        }
        std::size_t position = 0;
        if (call.queries_count != 0)
            position = begin_of(call, 0) / attention_block * attention_block;
        for (; position < most; position += attention_block) all_queries(call, position);
        for (std::size_t i = 0; i < call.queries_count; ++i) {
            float const scale = 1.0F / call.states[i].total;
            for (std::size_t d = 0; d < call.head_size; ++d) call.out[i][d] *= scale;
        }
    }

    // Tiles of queries that see the whole block; the others one by one, those that see nothing of
    // it not at all. `ends` and `begins` ascend.
    KITH_INLINE void all_queries(AttendCall const& call, std::size_t position) {
        constexpr auto tile = V::attend_queries;
        std::size_t i = 0;
        while (i < call.queries_count && call.ends[i] <= position) ++i;
        while (i < call.queries_count) {
            auto const begin = begin_of(call, i);
            if (begin >= position + attention_block) break;
            auto const seen = call.ends[i] - position;
            if (seen >= attention_block && i + tile <= call.queries_count &&
                begin_of(call, i + tile - 1) <= position) {
                block<tile>(call, i, position, 0, attention_block);
                i += tile;
            } else {
                block<1>(call, i, position, begin > position ? begin - position : 0,
                         seen < attention_block ? seen : attention_block);
                ++i;
            }
        }
    }
};

}  // namespace kith::infer
