// infer/packed/kernels_blocks256.h: tiles of blocks of 256 elements whose parts have scales of
// their own: Q4_K, Q5_K, Q6_K; Q2_K is in kernels_q2_k.h.
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

    // 32 elements from eight parts; nibbles.
    struct Nibbles {
        static constexpr std::size_t bytes = 2048;
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void add(Sums<groups, tokens>& sums, Inputs<groups, tokens> const& x,
                             std::size_t b, std::size_t k) {
            Tile::add_nibbles(sums, x, bytes * b + 256 * k, 256 * b + 32 * k);
        }
    };

    // The same; nibbles and two bits above them.
    struct SixBits {
        static constexpr std::size_t bytes = 3072;
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void add(Sums<groups, tokens>& sums, Inputs<groups, tokens> const& x,
                             std::size_t b, std::size_t k) {
            KITH_UNROLL
            for (std::size_t h = 0; h < 2; ++h) add_half(sums, x, b, k, h);
        }

        // 16 of the 32.
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void add_half(Sums<groups, tokens>& sums, Inputs<groups, tokens> const& x,
                                  std::size_t b, std::size_t k, std::size_t h) {
            KITH_UNROLL
            for (std::size_t j = 0; j < 4; ++j) {
                typename V::W weights[groups];
                KITH_UNROLL
                for (std::size_t g = 0; g < groups; ++g) {
                    auto const* const low = x.quants[g] + bytes * b + 384 * k + 64 * j;
                    auto const* const high = x.quants[g] + bytes * b + 384 * k + 256 + 64 * h;
                    if (h == 0) Tile::template prefetch<tokens>(low);
                    if (j == 0) Tile::template prefetch<tokens>(high);
                    weights[g] = V::six_bits(low, high, h, j);
                }
                Tile::add_quad(sums, weights, x.in, 256 * b + 32 * k + 16 * h + 4 * j);
            }
        }
    };

    // totals += d * part, with the scale of the activations.
    template <std::size_t groups, std::size_t tokens>
    KITH_INLINE void add_block(Floats<groups, tokens>& totals, Inputs<groups, tokens> const& x,
                               Floats<groups, tokens> const& part, float const (&scale)[tokens],
                               std::size_t d_at) {
        F d[groups];
        Tile::load_halves(d, x, d_at);
        Tile::add_scaled(totals, d, scale,
                         [&](std::size_t g, std::size_t t) { return part.at[g][t]; });
    }

    // Q4_K and Q5_K: eight parts, each with a scale and a minimum.
    template <class Quants>
    struct WithMins {
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
                    Quants::add(sums, x, b, k);
                    F scale[groups];
                    KITH_UNROLL
                    for (std::size_t g = 0; g < groups; ++g)
                        scale[g] = V::load_u8(x.scales[g] + 320 * b + 64 + 16 * k);
                    Tile::add_part(part, sums, scale);
                }
                float scale[tokens];
                Tile::load_scales(scale, x, row.scales() + 4 * b);
                add_block(totals, x, part, scale, 320 * b);
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

    // Q6_K: 16 parts, each with a scale.
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
                float scale[tokens];
                Tile::load_scales(scale, x, row.scales() + 4 * b);
                add_block(totals, x, part, scale, 288 * b);
            }
            Tile::finish(call, group, token, totals);
        }

        // Two parts of 16 elements.
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void add_32(Floats<groups, tokens>& part, Inputs<groups, tokens> const& x,
                                Q8KRow row, std::size_t b, std::size_t k) {
            KITH_UNROLL
            for (std::size_t h = 0; h < 2; ++h) {
                Sums<groups, tokens> sums;
                Tile::start(sums, x.in, row.minus_32_sums() + 4 * (16 * b + 2 * k + h));
                SixBits::add_half(sums, x, b, k, h);
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
