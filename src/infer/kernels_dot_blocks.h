// infer/kernels_dot_blocks.h: dot products of quantised weights with int8 activations: 8 partial
// sums.
#pragma once

#include "infer/kernels_order.h"

namespace kith::infer {

template <class V>
struct BlockDots {
    using F = typename V::F;
    using I = typename V::I;

    // ---- blocks of 32 with one scale: Q8_0 {half, int8[32]} and Q4_0 {half, nibbles[16]} --------

    template <class W, std::size_t tile>
    KITH_INLINE void block32_tile(DotCall const& call, std::size_t first) {
        F sums[tile];
        std::byte const* in[tile];
        for (std::size_t t = 0; t < tile; ++t) {
            sums[t] = V::zero();
            in[t] = Ordered<V>::row(call, first + t);
        }
        auto const blocks = call.columns / 32;
        for (std::size_t b = 0; b < blocks; ++b) {
            auto const* const block = call.weights + b * W::bytes;
            float const scale = V::half(block);
            auto const weights = W::load(block + 2);
            for (std::size_t t = 0; t < tile; ++t) {
                float const in_scale =
                    Ordered<V>::load_float(in[t] + call.columns + b * sizeof(float));
                I const products = V::quads(weights, V::load_bytes(in[t] + b * 32));
                sums[t] = V::fma(V::set(scale * in_scale), V::to_float(products), sums[t]);
            }
        }
        for (std::size_t t = 0; t < tile; ++t)
            call.out[(first + t) * call.out_stride] = Ordered<V>::reduce(sums[t]);
    }

    struct WeightQ8_0 {
        static constexpr std::size_t bytes = 34;
        KITH_INLINE auto load(std::uint8_t const* at) {
            return V::load_bytes(reinterpret_cast<std::byte const*>(at));
        }
    };
    struct WeightQ4_0 {
        static constexpr std::size_t bytes = 18;
        KITH_INLINE auto load(std::uint8_t const* at) { return V::load_nibbles_minus_8(at); }
    };
    template <std::size_t tile>
    struct TileQ8_0 {
        KITH_INLINE void run(DotCall const& call, std::size_t i) {
            block32_tile<WeightQ8_0, tile>(call, i);
        }
    };
    template <std::size_t tile>
    struct TileQ4_0 {
        KITH_INLINE void run(DotCall const& call, std::size_t i) {
            block32_tile<WeightQ4_0, tile>(call, i);
        }
    };

    // ---- Q4_K: {half d, half dmin, 6-bit scales[12], nibbles[128]} ------------------------------

    struct ScalesQ4K {
        std::uint8_t scale[8];
        std::uint8_t min[8];
    };

    // Eight 6-bit scales and eight 6-bit mins in 12 bytes: the first four of each are the low bits
    // of bytes 0 to 7; the last four have their low nibbles in bytes 8 to 11 and their high bits on
    // top of bytes 0 to 7.
    KITH_INLINE ScalesQ4K unpack_scales(std::uint8_t const* in) {
        ScalesQ4K out;
        for (std::size_t i = 0; i < 4; ++i) {
            out.scale[i] = in[i] & 63U;
            out.min[i] = in[i + 4] & 63U;
            out.scale[i + 4] =
                static_cast<std::uint8_t>((in[i + 8] & 15U) | ((in[i] & 0xc0U) >> 2U));
            out.min[i + 4] = static_cast<std::uint8_t>((unsigned{in[i + 8]} >> 4U) |
                                                       ((in[i + 4] & 0xc0U) >> 2U));
        }
        return out;
    }

    template <std::size_t tile>
    struct TileQ4K {
        KITH_INLINE void run(DotCall const& call, std::size_t first) {
            F sums[tile];
            for (std::size_t t = 0; t < tile; ++t) sums[t] = V::zero();
            auto const blocks = call.columns / 256;
            for (std::size_t b = 0; b < blocks; ++b) {
                auto const* const block = call.weights + b * 144;
                float const d = V::half(block);
                float const minus_dmin = -V::half(block + 2);
                ScalesQ4K const scales = unpack_scales(block + 4);
                I products[tile];
                for (std::size_t t = 0; t < tile; ++t) products[t] = V::zero_int();
                for (std::size_t j = 0; j < 4; ++j) {
                    auto const low = V::low_nibbles(block + 16 + 32 * j);
                    auto const high = V::high_nibbles(block + 16 + 32 * j);
                    auto const low_scale = V::set_scale(scales.scale[2 * j]);
                    auto const high_scale = V::set_scale(scales.scale[2 * j + 1]);
                    for (std::size_t t = 0; t < tile; ++t) {
                        auto const* const in = Ordered<V>::row(call, first + t) + b * 256 + j * 64;
                        products[t] = V::add_scaled(products[t], low, V::load_bytes(in), low_scale);
                        products[t] =
                            V::add_scaled(products[t], high, V::load_bytes(in + 32), high_scale);
                    }
                }
                for (std::size_t t = 0; t < tile; ++t) {
                    auto const* const in = Ordered<V>::row(call, first + t) + call.columns;
                    float const in_scale =
                        Ordered<V>::load_float(in + call.columns / 8 + b * sizeof(float));
                    I const mins = V::mins(in + b * 32, scales.min);
                    sums[t] = V::fma(V::set(d * in_scale), V::to_float(products[t]), sums[t]);
                    sums[t] = V::fma(V::set(minus_dmin * in_scale), V::to_float(mins), sums[t]);
                }
            }
            for (std::size_t t = 0; t < tile; ++t)
                call.out[(first + t) * call.out_stride] = Ordered<V>::reduce(sums[t]);
        }
    };

    // ---- Q6_K: {low nibbles[128], high pairs[64], int8 scale[16], half d}; values are minus 32 --

    template <std::size_t tile>
    struct TileQ6K {
        KITH_INLINE void run(DotCall const& call, std::size_t first) {
            F sums[tile];
            for (std::size_t t = 0; t < tile; ++t) sums[t] = V::zero();
            auto const blocks = call.columns / 256;
            for (std::size_t b = 0; b < blocks; ++b) {
                auto const* const block = call.weights + b * 210;
                auto const* const scales = block + 192;
                float const d = V::half(block + 208);
                I products[tile];
                for (std::size_t t = 0; t < tile; ++t) products[t] = V::zero_int();
                for (std::size_t v = 0; v < 8; ++v) {
                    auto const weights = V::load_q6(block, block + 128, v);
                    auto const scale = V::set_scale_pair(scales + 2 * v);
                    for (std::size_t t = 0; t < tile; ++t) {
                        auto const* const in = Ordered<V>::row(call, first + t) + b * 256 + v * 32;
                        products[t] = V::add_scaled(products[t], weights, V::load_bytes(in), scale);
                    }
                }
                for (std::size_t t = 0; t < tile; ++t) {
                    auto const* const in = Ordered<V>::row(call, first + t) + call.columns;
                    float const in_scale =
                        Ordered<V>::load_float(in + call.columns / 8 + b * sizeof(float));
                    I const exact = V::minus_32_times(products[t], in + b * 32, scales);
                    sums[t] = V::fma(V::set(d * in_scale), V::to_float(exact), sums[t]);
                }
            }
            for (std::size_t t = 0; t < tile; ++t)
                call.out[(first + t) * call.out_stride] = Ordered<V>::reduce(sums[t]);
        }
    };

    static void dot_q8_0(DotCall const& call) { Ordered<V>::template for_tiles<TileQ8_0>(call); }
    static void dot_q4_0(DotCall const& call) { Ordered<V>::template for_tiles<TileQ4_0>(call); }
    static void dot_q4_k(DotCall const& call) { Ordered<V>::template for_tiles<TileQ4K>(call); }
    static void dot_q6_k(DotCall const& call) { Ordered<V>::template for_tiles<TileQ6K>(call); }
};

}  // namespace kith::infer
