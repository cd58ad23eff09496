// infer/packed/kernels_blocks32.h: tiles of blocks of 32 elements with one scale: Q8_0, Q4_0; and
// with a number that is added to all of them: Q5_1, Q4_1.
#pragma once

#include "infer/packed/kernels_tile.h"

namespace kith::infer {

template <class V>
struct Blocks32 {
    using F = typename V::F;
    using I = typename V::I;
    using Tile = PackedTile<V>;
    template <std::size_t groups, std::size_t tokens>
    using Inputs = typename Tile::template Inputs<groups, tokens>;
    template <std::size_t groups, std::size_t tokens>
    using Sums = typename Tile::template Sums<groups, tokens>;
    template <std::size_t groups, std::size_t tokens>
    using Floats = typename Tile::template Floats<groups, tokens>;

    struct Q8_0 {
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void products(Sums<groups, tokens>& sums, Inputs<groups, tokens> const& x,
                                  std::size_t columns, std::size_t b) {
            Tile::start(
                sums, x.in,
                V::signed_starts_low ? Q8Row{columns}.minus_128_sums() + 4 * b : Tile::at_zero);
            KITH_UNROLL
            for (std::size_t q = 0; q < 8; ++q) {
                typename V::Signed weights[groups];
                KITH_UNROLL
                for (std::size_t g = 0; g < groups; ++g) {
                    auto const* const from = x.quants[g] + 512 * b + 64 * q;
                    Tile::template prefetch<tokens>(from);
                    weights[g] = V::load_signed(from);
                }
                Tile::add_quad(sums, weights, x.in, 32 * b + 4 * q);
            }
        }
    };
    struct Q4_0 {
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void products(Sums<groups, tokens>& sums, Inputs<groups, tokens> const& x,
                                  std::size_t columns, std::size_t b) {
            Tile::start(sums, x.in, Q8Row{columns}.minus_8_sums() + 4 * b);
            Tile::add_nibbles(sums, x, 256 * b, 32 * b);
        }
    };

    // Without the 8 that Q4_0 takes away.
    struct Q4_1 {
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void products(Sums<groups, tokens>& sums, Inputs<groups, tokens> const& x,
                                  std::size_t, std::size_t b) {
            Tile::start(sums, x.in, Tile::at_zero);
            Tile::add_nibbles(sums, x, 256 * b, 32 * b);
        }
    };

    enum class Mins { none, one };

    template <class Weights, Mins mins>
    struct Form {
        static constexpr std::size_t scale_bytes = mins == Mins::one ? 64 : 32;

        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void tile(PackedCall const& call, std::size_t group, std::size_t token) {
            auto const x = Tile::template inputs<groups, tokens>(call, group, token);
            Floats<groups, tokens> totals;
            Tile::clear(totals);
            for (std::size_t b = 0; b < call.columns / 32; ++b) {
                Sums<groups, tokens> sums;
                Weights::products(sums, x, call.columns, b);
                F d[groups];
                float scale[tokens];
                Tile::load_halves(d, x, scale_bytes * b);
                Tile::load_scales(scale, x, Q8Row{call.columns}.scales() + 4 * b);
                Tile::add_scaled(totals, d, scale, [&](std::size_t g, std::size_t t) {
                    return V::to_float(sums.at[g][t]);
                });
                if constexpr (mins == Mins::one) add_mins(totals, x, call.columns, scale, b);
            }
            Tile::finish(call, group, token, totals);
        }

        // The sum of activations is there as -8 times itself.
        template <std::size_t groups, std::size_t tokens>
        KITH_INLINE void add_mins(Floats<groups, tokens>& totals, Inputs<groups, tokens> const& x,
                                  std::size_t columns, float (&scale)[tokens], std::size_t b) {
            F m[groups];
            F sums[tokens];
            Tile::load_halves(m, x, scale_bytes * b + 32);
            KITH_UNROLL
            for (std::size_t t = 0; t < tokens; ++t) {
                scale[t] *= -0.125F;
                sums[t] =
                    V::to_float(V::load_broadcast(x.in[t] + Q8Row{columns}.minus_8_sums() + 4 * b));
            }
            Tile::add_scaled(totals, m, scale, [&](std::size_t, std::size_t t) { return sums[t]; });
        }
    };
};

}  // namespace kith::infer
