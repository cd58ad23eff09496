// infer/half.h: float16 (IEEE 754 binary16) and bfloat16 to and from float, in plain integer
// arithmetic.
//
// Always inlined: translation units built for newer instruction sets include this, and no copy of
// theirs may be what the linker gives to the others.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace kith::infer {

[[gnu::always_inline]] inline float half_to_float(std::uint16_t half) {
    std::uint32_t const sign = (half & 0x8000U) << 16U;
    std::uint32_t const exponent = (half >> 10U) & 0x1fU;
    std::uint32_t const mantissa = half & 0x3ffU;
    if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact
        float const magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    // Infinity and NaN keep their mantissa; a signalling NaN becomes quiet, as the F16C
    // instructions do.
    if (exponent == 31)
        return __builtin_bit_cast(
            float, sign | 0x7f800000U | (mantissa << 13U) | (mantissa != 0 ? 0x400000U : 0U));
    return __builtin_bit_cast(float, sign | ((exponent + 112U) << 23U) | (mantissa << 13U));
}

// Nearest, ties to even; too large becomes infinity.
[[gnu::always_inline]] inline std::uint16_t float_to_half(float value) {
    auto const bits = __builtin_bit_cast(std::uint32_t, value);
    std::uint32_t const sign = (bits >> 16U) & 0x8000U;
    std::uint32_t const magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U)
        return static_cast<std::uint16_t>(sign | 0x7e00U | ((magnitude >> 13U) & 0x3ffU));
    if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // >= 65520
    if (magnitude < 0x38800000U) {  // below 2^-14: subnormal; adding 0.5 puts the rounding in place
        float const shifted = __builtin_bit_cast(float, magnitude) + 0.5F;
        return static_cast<std::uint16_t>(
            sign | (__builtin_bit_cast(std::uint32_t, shifted) - 0x3f000000U));
    }
    std::uint32_t const rounded = magnitude + 0xfffU + ((magnitude >> 13U) & 1U);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13U));
}

[[gnu::always_inline]] inline float load_half(std::uint8_t const* bytes) {
    return half_to_float(static_cast<std::uint16_t>(bytes[0] | (bytes[1] << 8U)));
}

// Nearest, ties to even.
[[gnu::always_inline]] inline std::uint16_t float_to_bfloat(float value) {
    auto const bits = __builtin_bit_cast(std::uint32_t, value);
    if ((bits & 0x7fffffffU) > 0x7f800000U)  // NaN stays NaN
        return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
    return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

[[gnu::always_inline]] inline float bfloat_to_float(std::uint16_t value) {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(value) << 16U);
}

}  // namespace kith::infer
