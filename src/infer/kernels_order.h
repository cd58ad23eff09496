// infer/kernels_order.h: the order of summation that all kernels keep, and how activation rows
// share a pass.
//
// Included by one translation unit per instruction set, which defines V: types F (8 floats), I (8
// int32), B (32 bytes) and the operations used in kernels_*.h. V decides how, these files decide in
// which order, so all sets agree to the bit (built with -ffp-contract=off). Everything is always
// inlined or has V in its name: a translation unit built with -mavx2 must not leave the linker
// copies of functions that others use; hence also no std:: functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/half.h"
#include "infer/kernels.h"

#define KITH_INLINE [[gnu::always_inline]] static inline

namespace kith::infer {

inline constexpr std::size_t lanes = 8;
inline constexpr std::size_t tokens_per_tile =
    4;  // activation rows that share one pass over a weight row

template <class V>
struct Ordered {
    using F = typename V::F;

    // Pairs 4 apart, then 2, then 1: the order of an AVX horizontal sum.
    KITH_INLINE float reduce(F sums) {
        float s[lanes];
        V::store(s, sums);
        return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }

    KITH_INLINE float load_float(std::byte const* at) {
        float value = 0;
        __builtin_memcpy(&value, at, sizeof value);
        return value;
    }

    // Runs Tile<tokens_per_tile> over as many activation rows as fit, Tile<1> over the rest.
    template <template <std::size_t> class Tile>
    KITH_INLINE void for_tiles(DotCall const& call) {
        std::size_t i = 0;
        for (; i + tokens_per_tile <= call.rows_count; i += tokens_per_tile)
            Tile<tokens_per_tile>::run(call, i);
        for (; i < call.rows_count; ++i) Tile<1>::run(call, i);
    }

    KITH_INLINE std::byte const* row(DotCall const& call, std::size_t i) {
        return call.activations + i * call.activation_stride;
    }
};

}  // namespace kith::infer
