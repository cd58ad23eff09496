// infer/packed/kernels_tile.h: products of packed weights with int8 activations, written once over
// vector operations V (16 lanes; see kernels_order.h for how such a V is used).
//
// The order of operations, the same for every V and every tile: lane r, a row, has one float sum.
// Blocks are added in ascending order:
//
//   Q8_0, Q4_0   sum = fma(d * scale, float(products of 32), sum)
//   Q5_1, Q4_1   the same, then sum = fma(m * (-scale / 8), float(-8 * sum of 32), sum)
//   Q4_K, Q5_K   part = fma(float(products of 32), float(scale), part) over 8 parts, then
//                sum = fma(d * scale, part, sum); sum = fma(dmin * -scale, float(mins), sum)
//   Q6_K, Q2_K   the same over 16 parts of 16, Q6_K without mins
//
// where `scale` is the activations' and integers are exact. A tile is `groups` groups of rows times
// `tokens` activation rows: a loaded weight serves several tokens and sums stay in registers.
#pragma once

#include "infer/kernels_order.h"
#include "infer/packed/activations.h"

// Loops over a tile: without it, sums live in memory. Not for V whose registers are arrays anyway.
#ifndef KITH_UNROLL
#define KITH_UNROLL _Pragma("GCC unroll 16")
#endif

namespace kith::infer {

template <class V>
struct PackedTile {
    using F = typename V::F;
    using I = typename V::I;
    using Bytes = std::uint8_t const*;

    // What a tile reads.
    template <std::size_t groups, std::size_t tokens>
    struct Inputs {
        Bytes quants[groups];
        Bytes scales[groups];
        Bytes in[tokens];
    };

    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE Inputs<groups, tokens> inputs(PackedCall const& call, std::size_t group,
                                              std::size_t token) {
        Inputs<groups, tokens> out;
        KITH_UNROLL
        for (std::size_t g = 0; g < groups; ++g) {
            out.scales[g] = reinterpret_cast<Bytes>(call.groups + (group + g) * call.group_stride);
            out.quants[g] = out.scales[g] + call.quants_offset;
        }
        KITH_UNROLL
        for (std::size_t t = 0; t < tokens; ++t)
            out.in[t] =
                reinterpret_cast<Bytes>(call.activations + (token + t) * call.activation_stride);
        return out;
    }

    KITH_INLINE float load_float(Bytes at) {
        float value = 0;
        __builtin_memcpy(&value, at, sizeof value);
        return value;
    }

    // One token asks for every weight once: fetched ahead, and past the caches.
    template <std::size_t tokens>
    KITH_INLINE void prefetch(Bytes at) {
        if constexpr (tokens == 1) V::prefetch(at + 4096);
    }

    // ---- integer products of one part -----------------------------------------------------------

    template <std::size_t groups, std::size_t tokens>
    struct Sums {
        I at[groups][tokens];
    };

    // Every sum starts at the int32 at `offset` of its token (a multiple of the sum of its
    // activations: what the weights are too high by), or at 0.
    static constexpr std::size_t at_zero = ~std::size_t{0};
    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void start(Sums<groups, tokens>& sums, Bytes const (&in)[tokens],
                           std::size_t offset) {
        KITH_UNROLL
        for (std::size_t t = 0; t < tokens; ++t) {
            I const first = offset == at_zero ? V::zero_int() : V::load_broadcast(in[t] + offset);
            KITH_UNROLL
            for (std::size_t g = 0; g < groups; ++g) sums.at[g][t] = first;
        }
    }

    template <std::size_t groups, std::size_t tokens, class W>
    KITH_INLINE void add_quad(Sums<groups, tokens>& sums, W const (&weights)[groups],
                              Bytes const (&in)[tokens], std::size_t element) {
        KITH_UNROLL
        for (std::size_t t = 0; t < tokens; ++t) {
            auto const quad = V::load_quad(in[t] + element);
            KITH_UNROLL
            for (std::size_t g = 0; g < groups; ++g)
                sums.at[g][t] = V::dot(sums.at[g][t], weights[g], quad);
        }
    }

    // 32 elements in 4 vectors of nibbles at quants[g] + at.
    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void add_nibbles(Sums<groups, tokens>& sums, Inputs<groups, tokens> const& x,
                                 std::size_t at, std::size_t element) {
        KITH_UNROLL
        for (std::size_t j = 0; j < 4; ++j) {
            typename V::W low[groups];
            typename V::W high[groups];
            KITH_UNROLL
            for (std::size_t g = 0; g < groups; ++g) {
                auto const* const from = x.quants[g] + at + 64 * j;
                prefetch<tokens>(from);
                low[g] = V::low_nibbles(from);
                high[g] = V::high_nibbles(from);
            }
            add_quad(sums, low, x.in, element + 4 * j);
            add_quad(sums, high, x.in, element + 16 + 4 * j);
        }
    }

    // The halves at scales[g] + at, one for each row.
    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void load_halves(F (&out)[groups], Inputs<groups, tokens> const& x,
                                 std::size_t at) {
        KITH_UNROLL
        for (std::size_t g = 0; g < groups; ++g) out[g] = V::load_f16(x.scales[g] + at);
    }

    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void load_scales(float (&out)[tokens], Inputs<groups, tokens> const& x,
                                 std::size_t at) {
        KITH_UNROLL
        for (std::size_t t = 0; t < tokens; ++t) out[t] = load_float(x.in[t] + at);
    }

    // ---- the end of a block and of a tile -------------------------------------------------------

    template <std::size_t groups, std::size_t tokens>
    struct Floats {
        F at[groups][tokens];
    };

    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void clear(Floats<groups, tokens>& floats) {
        KITH_UNROLL
        for (std::size_t t = 0; t < tokens; ++t) {
            KITH_UNROLL
            for (std::size_t g = 0; g < groups; ++g) floats.at[g][t] = V::zero();
        }
    }

    // floats = fma(float(sums), scale of the group's rows, floats)
    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void add_part(Floats<groups, tokens>& floats, Sums<groups, tokens> const& sums,
                              F const (&scale)[groups]) {
        KITH_UNROLL
        for (std::size_t g = 0; g < groups; ++g) {
            KITH_UNROLL
            for (std::size_t t = 0; t < tokens; ++t)
                floats.at[g][t] = V::fma(V::to_float(sums.at[g][t]), scale[g], floats.at[g][t]);
        }
    }

    // totals = fma(d * scale of the token, values, totals)
    template <std::size_t groups, std::size_t tokens, class Value>
    KITH_INLINE void add_scaled(Floats<groups, tokens>& totals, F const (&d)[groups],
                                float const (&scale)[tokens], Value const& value) {
        KITH_UNROLL
        for (std::size_t t = 0; t < tokens; ++t) {
            F const wide = V::set(scale[t]);
            KITH_UNROLL
            for (std::size_t g = 0; g < groups; ++g)
                totals.at[g][t] = V::fma(V::mul(d[g], wide), value(g, t), totals.at[g][t]);
        }
    }

    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void finish(PackedCall const& call, std::size_t group, std::size_t token,
                            Floats<groups, tokens> const& totals) {
        KITH_UNROLL
        for (std::size_t g = 0; g < groups; ++g) {
            auto const row = (group + g) * packed_rows;
            auto const rows = call.rows_count - row;
            KITH_UNROLL
            for (std::size_t t = 0; t < tokens; ++t) {
                float* const out = call.out + (token + t) * call.out_stride + row;
                if (rows >= packed_rows) {
                    V::store(out, totals.at[g][t]);
                } else {
                    float all[packed_rows];
                    V::store(all, totals.at[g][t]);
                    __builtin_memcpy(out, all, rows * sizeof(float));
                }
            }
        }
    }
};

}  // namespace kith::infer
