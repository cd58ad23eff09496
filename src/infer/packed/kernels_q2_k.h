// infer/packed/kernels_q2_k.h: tiles of Q2_K, blocks of 256 elements of two bits.
#pragma once

#include "infer/packed/kernels_blocks256.h"

namespace kith::infer {

// Q2_K: 16 parts, each with a scale and a minimum.
template <class V>
struct Q2K {
    using F = typename V::F;
    using Tile = PackedTile<V>;
    template <std::size_t groups, std::size_t tokens>
    using Inputs = typename Tile::template Inputs<groups, tokens>;
    template <std::size_t groups, std::size_t tokens>
    using Sums = typename Tile::template Sums<groups, tokens>;
    template <std::size_t groups, std::size_t tokens>
    using Floats = typename Tile::template Floats<groups, tokens>;

    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void tile(PackedCall const& call, std::size_t group, std::size_t token) {
        auto const x = Tile::template inputs<groups, tokens>(call, group, token);
        Q8KRow const row{call.columns};
        Floats<groups, tokens> totals;
        Tile::clear(totals);
        for (std::size_t b = 0; b < call.columns / 256; ++b) {
            Floats<groups, tokens> part;
            Tile::clear(part);
            for (std::size_t s = 0; s < 16; ++s) add_16<groups, tokens>(part, x, b, s);
            float scale[tokens];
            Tile::load_scales(scale, x, row.scales() + 4 * b);
            Blocks256<V>::add_block(totals, x, part, scale, 576 * b);
            add_mins(totals, x, row, scale, b);
        }
        Tile::finish(call, group, token, totals);
    }

    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void add_16(Floats<groups, tokens>& part, Inputs<groups, tokens> const& x,
                            std::size_t b, std::size_t s) {
        Sums<groups, tokens> sums;
        Tile::start(sums, x.in, Tile::at_zero);
        KITH_UNROLL
        for (std::size_t j = 0; j < 4; ++j) {
            typename V::W weights[groups];
            KITH_UNROLL
            for (std::size_t g = 0; g < groups; ++g) {
                auto const* const fields = x.quants[g] + 1024 * b + 64 * s;
                if (j == 0) Tile::template prefetch<tokens>(fields);
                weights[g] = V::two_bits(fields, j);
            }
            Tile::add_quad(sums, weights, x.in, 256 * b + 16 * s + 4 * j);
        }
        F scale[groups];
        KITH_UNROLL
        for (std::size_t g = 0; g < groups; ++g)
            scale[g] = V::load_u8(x.scales[g] + 576 * b + 64 + 16 * s);
        Tile::add_part(part, sums, scale);
    }

    // The sums of 16 activations are there as -32 times themselves. A total of products is
    // below 15 * 32 * 127 * 256 < 2^24: floats are exact here.
    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void add_mins(Floats<groups, tokens>& totals, Inputs<groups, tokens> const& x,
                              Q8KRow row, float (&scale)[tokens], std::size_t b) {
        Floats<groups, tokens> mins;
        Tile::clear(mins);
        for (std::size_t s = 0; s < 16; ++s) {
            F in[tokens];
            KITH_UNROLL
            for (std::size_t t = 0; t < tokens; ++t)
                in[t] = V::to_float(
                    V::load_broadcast(x.in[t] + row.minus_32_sums() + 4 * (16 * b + s)));
            KITH_UNROLL
            for (std::size_t g = 0; g < groups; ++g) {
                F const min = V::load_u8(x.scales[g] + 576 * b + 320 + 16 * s);
                KITH_UNROLL
                for (std::size_t t = 0; t < tokens; ++t)
                    mins.at[g][t] = V::fma(min, in[t], mins.at[g][t]);
            }
        }
        KITH_UNROLL
        for (std::size_t t = 0; t < tokens; ++t) scale[t] *= 0.03125F;
        Blocks256<V>::add_block(totals, x, mins, scale, 576 * b + 32);
    }
};

}  // namespace kith::infer
