// The kernels without any special instruction: the reference that the others are compared with, and
// the fallback.
#include <cmath>

#include "infer/kernels_generic.h"

namespace kith::infer {
namespace {

struct Portable {
    struct F {
        float at[lanes];
    };
    struct I {
        std::int32_t at[lanes];
    };
    struct B {
        std::int16_t at[32];  // wide enough for int8 and for 6-bit unsigned
    };
    struct Scale {
        std::int32_t low, high;  // for lanes 0 to 3 and 4 to 7
    };

    KITH_INLINE F zero() { return {}; }
    KITH_INLINE I zero_int() { return {}; }
    KITH_INLINE F set(float value) {
        F out;
        for (auto& lane : out.at) lane = value;
        return out;
    }
    KITH_INLINE F load(float const* in) {
        F out;
        __builtin_memcpy(out.at, in, sizeof out.at);
        return out;
    }
    KITH_INLINE void store(float* out, F value) {
        __builtin_memcpy(out, value.at, sizeof value.at);
    }
    KITH_INLINE float half(std::uint8_t const* at) { return load_half(at); }
    KITH_INLINE F load_f16(std::uint8_t const* in) {
        F out;
        for (std::size_t i = 0; i < lanes; ++i) out.at[i] = load_half(in + 2 * i);
        return out;
    }
    KITH_INLINE void store_f16(std::uint16_t* out, F value) {
        for (std::size_t i = 0; i < lanes; ++i) out[i] = float_to_half(value.at[i]);
    }
    KITH_INLINE F round_f16(F value) {
        for (auto& lane : value.at) lane = half_to_float(float_to_half(lane));
        return value;
    }
    KITH_INLINE F load_bf16(std::uint8_t const* in) {
        F out;
        for (std::size_t i = 0; i < lanes; ++i)
            out.at[i] =
                bfloat_to_float(static_cast<std::uint16_t>(in[2 * i] | (in[2 * i + 1] << 8U)));
        return out;
    }

    template <class Operation>
    KITH_INLINE F each(F a, F b, Operation operation) {
        F out;
        for (std::size_t i = 0; i < lanes; ++i) out.at[i] = operation(a.at[i], b.at[i]);
        return out;
    }
    KITH_INLINE F add(F a, F b) {
        return each(a, b, [](float x, float y) { return x + y; });
    }
    KITH_INLINE F sub(F a, F b) {
        return each(a, b, [](float x, float y) { return x - y; });
    }
    KITH_INLINE F mul(F a, F b) {
        return each(a, b, [](float x, float y) { return x * y; });
    }
    KITH_INLINE F div(F a, F b) {
        return each(a, b, [](float x, float y) { return x / y; });
    }
    // As the x86 instructions: the second operand when either is NaN.
    KITH_INLINE F max(F a, F b) {
        return each(a, b, [](float x, float y) { return x > y ? x : y; });
    }
    KITH_INLINE F min(F a, F b) {
        return each(a, b, [](float x, float y) { return x < y ? x : y; });
    }
    KITH_INLINE F abs(F a) {
        return each(a, a, [](float x, float) { return __builtin_fabsf(x); });
    }
    KITH_INLINE F fma(F a, F b, F c) {
        F out;
        for (std::size_t i = 0; i < lanes; ++i)
            out.at[i] = __builtin_fmaf(a.at[i], b.at[i], c.at[i]);
        return out;
    }

    // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even; |value| <= 2^22 (128 * 1.45 at
    // most here).
    static constexpr float rounder = 12582912.0F;
    KITH_INLINE float round_one(float value) { return (value + rounder) - rounder; }
    KITH_INLINE std::int32_t round_to_int(float value) {
        return __builtin_bit_cast(std::int32_t, value + rounder) -
               __builtin_bit_cast(std::int32_t, rounder);
    }
    KITH_INLINE F round(F a) {
        return each(a, a, [](float x, float) { return round_one(x); });
    }
    // n is a whole number from -126 to 127.
    KITH_INLINE F times_power_of_2(F a, F n) {
        return each(a, n, [](float x, float power) {
            auto const exponent = static_cast<std::uint32_t>(round_to_int(power) + 127);
            return x * __builtin_bit_cast(float, exponent << 23U);
        });
    }

    KITH_INLINE F to_float(I a) {
        F out;
        for (std::size_t i = 0; i < lanes; ++i) out.at[i] = static_cast<float>(a.at[i]);
        return out;
    }
    KITH_INLINE B load_bytes(std::byte const* in) {
        B out;
        for (std::size_t i = 0; i < 32; ++i)
            out.at[i] = static_cast<std::int8_t>(in[i]);  // NOLINT(bugprone-signed-char-misuse)
        return out;
    }
    KITH_INLINE B load_nibbles_minus_8(std::uint8_t const* in) {
        B out;
        for (std::size_t i = 0; i < 16; ++i) {
            out.at[i] = static_cast<std::int16_t>((in[i] & 15) - 8);
            out.at[i + 16] = static_cast<std::int16_t>((in[i] >> 4) - 8);
        }
        return out;
    }
    KITH_INLINE B low_nibbles(std::uint8_t const* in) {
        B out;
        for (std::size_t i = 0; i < 32; ++i) out.at[i] = static_cast<std::int16_t>(in[i] & 15);
        return out;
    }
    KITH_INLINE B high_nibbles(std::uint8_t const* in) {
        B out;
        for (std::size_t i = 0; i < 32; ++i) out.at[i] = static_cast<std::int16_t>(in[i] >> 4);
        return out;
    }
    // Vector v (0 to 7) of 32 values: within each half of 128, v selects the nibble and the pair of
    // bits.
    KITH_INLINE B load_q6(std::uint8_t const* low, std::uint8_t const* high, std::size_t v) {
        auto const half_index = v / 4;
        auto const part = v % 4;
        B out;
        for (std::size_t i = 0; i < 32; ++i) {
            auto const nibbles = low[64 * half_index + 32 * (part % 2) + i];
            auto const pairs = high[32 * half_index + i] >> (2 * part);
            out.at[i] = static_cast<std::int16_t>(((nibbles >> (4 * (part / 2))) & 15) |
                                                  ((pairs & 3) << 4));
        }
        return out;
    }

    // Lane i: the sum of the products 4i to 4i+3.
    KITH_INLINE I quads(B a, B b) {
        I out;
        for (std::size_t i = 0; i < lanes; ++i) {
            std::int32_t sum = 0;
            for (std::size_t k = 4 * i; k < 4 * i + 4; ++k) sum += a.at[k] * b.at[k];
            out.at[i] = sum;
        }
        return out;
    }
    KITH_INLINE Scale set_scale(std::uint8_t scale) { return {scale, scale}; }
    KITH_INLINE Scale set_scale_pair(std::uint8_t const* scales) {
        return {static_cast<std::int8_t>(scales[0]), static_cast<std::int8_t>(scales[1])};
    }
    KITH_INLINE I add_scaled(I sum, B a, B b, Scale scale) {
        I const products = quads(a, b);
        for (std::size_t i = 0; i < lanes; ++i)
            sum.at[i] += products.at[i] * (i < 4 ? scale.low : scale.high);
        return sum;
    }
    KITH_INLINE std::int16_t sum16(std::byte const* sums, std::size_t i) {
        std::int16_t value = 0;
        __builtin_memcpy(&value, sums + 2 * i, sizeof value);
        return value;
    }
    // Lane i: mins[i] * (sum of the 32 values of sub-block i).
    KITH_INLINE I mins(std::byte const* sums, std::uint8_t const* mins_of_block) {
        I out;
        for (std::size_t i = 0; i < lanes; ++i)
            out.at[i] = mins_of_block[i] * (sum16(sums, 2 * i) + sum16(sums, 2 * i + 1));
        return out;
    }
    KITH_INLINE I minus_32_times(I a, std::byte const* sums, std::uint8_t const* scales) {
        for (std::size_t i = 0; i < lanes; ++i) {
            auto const first = static_cast<std::int8_t>(scales[2 * i]) * sum16(sums, 2 * i);
            auto const second =
                static_cast<std::int8_t>(scales[2 * i + 1]) * sum16(sums, 2 * i + 1);
            a.at[i] -= 32 * (first + second);
        }
        return a;
    }
    KITH_INLINE void store_rounded(float const* in, float inverse, std::byte* out) {
        for (std::size_t i = 0; i < 32; ++i)
            out[i] =
                static_cast<std::byte>(static_cast<std::uint32_t>(round_to_int(in[i] * inverse)));
    }
};

}  // namespace

constexpr KernelTable portable_kernels = make_table<Portable>("portable");

}  // namespace kith::infer
