// infer/kernels_dot_floats.h: dot products of F32, F16 and BF16 weights: 16 partial sums.
#pragma once

#include "infer/kernels_order.h"

namespace kith::infer {

template <class V>
struct FloatDots {
    using F = typename V::F;

    template <class W, std::size_t tile>
    KITH_INLINE void float_tile(DotCall const& call, std::size_t first) {
        F even[tile];
        F odd[tile];
        float const* in[tile];
        for (std::size_t t = 0; t < tile; ++t) {
            even[t] = odd[t] = V::zero();
            in[t] = reinterpret_cast<float const*>(Ordered<V>::row(call, first + t));
        }
        std::size_t c = 0;
        for (; c + 2 * lanes <= call.columns; c += 2 * lanes) {
            F const w0 = W::load(call.weights + c * W::bytes);
            F const w1 = W::load(call.weights + (c + lanes) * W::bytes);
            for (std::size_t t = 0; t < tile; ++t) {
                even[t] = V::fma(w0, V::load(in[t] + c), even[t]);
                odd[t] = V::fma(w1, V::load(in[t] + c + lanes), odd[t]);
            }
        }
        for (std::size_t t = 0; t < tile; ++t) {
            float sum = Ordered<V>::reduce(V::add(even[t], odd[t]));
            for (std::size_t k = c; k < call.columns; ++k)
                sum = __builtin_fmaf(W::load_one(call.weights + k * W::bytes), in[t][k], sum);
            call.out[(first + t) * call.out_stride] = sum;
        }
    }

    struct WeightF32 {
        static constexpr std::size_t bytes = 4;
        KITH_INLINE F load(std::uint8_t const* at) {
            return V::load(reinterpret_cast<float const*>(at));
        }
        KITH_INLINE float load_one(std::uint8_t const* at) {
            float value = 0;
            __builtin_memcpy(&value, at, sizeof value);
            return value;
        }
    };
    struct WeightF16 {
        static constexpr std::size_t bytes = 2;
        KITH_INLINE F load(std::uint8_t const* at) { return V::load_f16(at); }
        KITH_INLINE float load_one(std::uint8_t const* at) { return load_half(at); }
    };
    struct WeightBf16 {
        static constexpr std::size_t bytes = 2;
        KITH_INLINE F load(std::uint8_t const* at) { return V::load_bf16(at); }
        KITH_INLINE float load_one(std::uint8_t const* at) {
            return bfloat_to_float(static_cast<std::uint16_t>(at[0] | (at[1] << 8U)));
        }
    };
    template <std::size_t tile>
    struct TileF32 {
        KITH_INLINE void run(DotCall const& call, std::size_t i) {
            float_tile<WeightF32, tile>(call, i);
        }
    };
    template <std::size_t tile>
    struct TileF16 {
        KITH_INLINE void run(DotCall const& call, std::size_t i) {
            float_tile<WeightF16, tile>(call, i);
        }
    };
    template <std::size_t tile>
    struct TileBf16 {
        KITH_INLINE void run(DotCall const& call, std::size_t i) {
            float_tile<WeightBf16, tile>(call, i);
        }
    };

    static void dot_f32(DotCall const& call) { Ordered<V>::template for_tiles<TileF32>(call); }
    static void dot_f16(DotCall const& call) { Ordered<V>::template for_tiles<TileF16>(call); }
    static void dot_bf16(DotCall const& call) { Ordered<V>::template for_tiles<TileBf16>(call); }
};

}  // namespace kith::infer
