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

    KITH_INLINE F zero() { return {}; }
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

    KITH_INLINE void store_rounded(float const* in, float inverse, std::byte* out) {
        for (std::size_t i = 0; i < 32; ++i)
            out[i] =
                static_cast<std::byte>(static_cast<std::uint32_t>(round_to_int(in[i] * inverse)));
    }
};

}  // namespace

constexpr KernelTable portable_kernels = make_table<Portable>("portable", portable_packed);

}  // namespace kith::infer
