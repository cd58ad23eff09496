// infer/packed/kernels_blocks256.h: tiles of blocks of 256 elements whose parts have scales of
// their own: Q4_K, Q6_K.
#pragma once

#include "infer/packed/kernels_tile.h"

namespace kith::infer {

template <class V>
struct Blocks256 {
    using F = typename V::F;
    using I = typename V::I;
    using Tile = PackedTile<V>;
    template <std::size_t groups, std::size_t tokens>
    using Inputs = typename Tile::template Inputs<groups, tokens>;
    template <std::size_t groups, std::size_t tokens>
    using Sums = typename Tile::template Sums<groups, tokens>;
    template <std::size_t groups, std::size_t tokens>
    using Floats = typename Tile::template Floats<groups, tokens>;

    struct Q4K {
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void tile(PackedCall const& call, std::size_t group, std::size_t token) {
            auto const x = Tile::template inputs<groups, tokens>(call, group, token);
            Q8KRow const row{call.columns};
            Floats<groups, tokens> totals;
            Tile::clear(totals);
            for (std::size_t b = 0; b < call.columns / 256; ++b) {
                Floats<groups, tokens> part;
                Tile::clear(part);
                for (std::size_t k = 0; k < 8; ++k) {
                    Sums<groups, tokens> sums;
                    Tile::start(sums, x.in, Tile::at_zero);
                    Tile::add_nibbles(sums, x, 2048 * b + 256 * k, 256 * b + 32 * k);
                    F scale[groups];
                    KITH_UNROLL
                    for (std::size_t g = 0; g < groups; ++g)
                        scale[g] = V::load_u8(x.scales[g] + 320 * b + 64 + 16 * k);
                    Tile::add_part(part, sums, scale);
                }
                F d[groups];
                float scale[tokens];
                Tile::load_halves(d, x, 320 * b);
                Tile::load_scales(scale, x, row.scales() + 4 * b);
                Tile::add_scaled(totals, d, scale,
                                 [&](std::size_t g, std::size_t t) { return part.at[g][t]; });
                add_mins(totals, x, row, scale, b);
            }
            Tile::finish(call, group, token, totals);
        }

        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void add_mins(Floats<groups, tokens>& totals, Inputs<groups, tokens> const& x,
                                  Q8KRow row, float (&scale)[tokens], std::size_t b) {
            Sums<groups, tokens> sums;
            Tile::start(sums, x.in, Tile::at_zero);
            KITH_UNROLL
            for (std::size_t pair = 0; pair < 4; ++pair) {
                typename V::Pairs mins[groups];
                KITH_UNROLL
                for (std::size_t g = 0; g < groups; ++g)
                    mins[g] = V::load_pairs(x.scales[g] + 320 * b + 192 + 32 * pair);
                KITH_UNROLL
                for (std::size_t t = 0; t < tokens; ++t) {
                    I const in = V::load_broadcast(x.in[t] + row.sums_of_32() + 16 * b + 4 * pair);
                    KITH_UNROLL
                    for (std::size_t g = 0; g < groups; ++g)
                        sums.at[g][t] = V::dot_pairs(sums.at[g][t], mins[g], in);
                }
            }
            F dmin[groups];
            Tile::load_halves(dmin, x, 320 * b + 32);
            KITH_UNROLL
            for (std::size_t t = 0; t < tokens; ++t) scale[t] = -scale[t];
            Tile::add_scaled(totals, dmin, scale, [&](std::size_t g, std::size_t t) {
                return V::to_float(sums.at[g][t]);
            });
        }
    };

    struct Q6K {
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void tile(PackedCall const& call, std::size_t group, std::size_t token) {
            auto const x = Tile::template inputs<groups, tokens>(call, group, token);
            Q8KRow const row{call.columns};
            Floats<groups, tokens> totals;
            Tile::clear(totals);
            for (std::size_t b = 0; b < call.columns / 256; ++b) {
                Floats<groups, tokens> part;
                Tile::clear(part);
                for (std::size_t k = 0; k < 8; ++k) add_32<groups, tokens>(part, x, row, b, k);
                F d[groups];
                float scale[tokens];
                Tile::load_halves(d, x, 288 * b);
                Tile::load_scales(scale, x, row.scales() + 4 * b);
                Tile::add_scaled(totals, d, scale,
                                 [&](std::size_t g, std::size_t t) { return part.at[g][t]; });
            }
            Tile::finish(call, group, token, totals);
        }

        // Two parts of 16 elements.
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void add_32(Floats<groups, tokens>& part, Inputs<groups, tokens> const& x,
                                Q8KRow row, std::size_t b, std::size_t k) {
            KITH_UNROLL
            for (std::size_t h = 0; h < 2; ++h) {
                auto const s = 16 * b + 2 * k + h;
                Sums<groups, tokens> sums;
                Tile::start(sums, x.in, row.minus_32_sums() + 4 * s);
                KITH_UNROLL
                for (std::size_t j = 0; j < 4; ++j) {
                    typename V::W weights[groups];
                    KITH_UNROLL
                    for (std::size_t g = 0; g < groups; ++g) {
                        auto const* const low = x.quants[g] + 3072 * b + 384 * k + 64 * j;
                        auto const* const high = x.quants[g] + 3072 * b + 384 * k + 256 + 64 * h;
                        if (h == 0) Tile::template prefetch<tokens>(low);
                        if (j == 0) Tile::template prefetch<tokens>(high);
                        weights[g] = V::six_bits(low, high, h, j);
                    }
                    Tile::add_quad(sums, weights, x.in, 16 * s + 4 * j);
                }
                F scale[groups];
                KITH_UNROLL
                for (std::size_t g = 0; g < groups; ++g)
                    scale[g] = V::load_i8(x.scales[g] + 288 * b + 32 + 16 * (2 * k + h));
                Tile::add_part(part, sums, scale);
            }
        }
    };
};

}  // namespace kith::infer
