// The packed kernels without any special instruction: the reference that the others are compared
// with, and the fallback.
#define KITH_UNROLL
#include "infer/packed/kernels_forms.h"

namespace kith::infer {
namespace {

struct Portable {
    static constexpr std::size_t tile_groups = 1;
    static constexpr std::size_t tile_tokens = 2;
    static constexpr std::size_t attend_queries = 2;
    static constexpr std::size_t value_queries = 2;
    static constexpr std::size_t value_vectors = 2;
    static constexpr bool signed_starts_low = false;

    struct F {
        float at[packed_rows];
    };
    struct I {
        std::int32_t at[packed_rows];
    };
    struct W {
        std::int16_t at[4 * packed_rows];
    };
    using Signed = W;
    struct Quad {
        std::int16_t at[4];
    };
    struct Pairs {
        std::int16_t at[2 * packed_rows];
    };

    KITH_INLINE void prefetch(std::uint8_t const*) {}
    KITH_INLINE F zero() { return {}; }
    KITH_INLINE I zero_int() { return {}; }
    KITH_INLINE F set(float value) {
        F out;
        for (auto& lane : out.at) lane = value;
        return out;
    }
    KITH_INLINE void store(float* out, F const& value) {
        __builtin_memcpy(out, value.at, sizeof value.at);
    }
    KITH_INLINE F load_f16(std::uint8_t const* at) {
        F out;
        for (std::size_t i = 0; i < packed_rows; ++i) out.at[i] = load_half(at + 2 * i);
        return out;
    }
    KITH_INLINE F load_u8(std::uint8_t const* at) {
        F out;
        for (std::size_t i = 0; i < packed_rows; ++i) out.at[i] = static_cast<float>(at[i]);
        return out;
    }
    KITH_INLINE F load_i8(std::uint8_t const* at) {
        F out;
        for (std::size_t i = 0; i < packed_rows; ++i)
            out.at[i] = static_cast<float>(static_cast<std::int8_t>(at[i]));
        return out;
    }
    template <class Operation>
    KITH_INLINE F each(F const& a, F const& b, Operation operation) {
        F out;
        for (std::size_t i = 0; i < packed_rows; ++i) out.at[i] = operation(a.at[i], b.at[i]);
        return out;
    }
    KITH_INLINE F load(float const* at) {
        F out;
        __builtin_memcpy(out.at, at, sizeof out.at);
        return out;
    }
    KITH_INLINE F add(F const& a, F const& b) {
        return each(a, b, [](float x, float y) { return x + y; });
    }
    // As the x86 instructions: the second operand when either is NaN.
    KITH_INLINE F max(F const& a, F const& b) {
        return each(a, b, [](float x, float y) { return x > y ? x : y; });
    }
    KITH_INLINE F min(F const& a, F const& b) {
        return each(a, b, [](float x, float y) { return x < y ? x : y; });
    }
    // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even; |value| <= 2^22.
    static constexpr float rounder = 12582912.0F;
    KITH_INLINE F round(F const& a) {
        return each(a, a, [](float x, float) { return (x + rounder) - rounder; });
    }
    // n is a whole number from -126 to 127.
    KITH_INLINE F times_power_of_2(F const& a, F const& n) {
        return each(a, n, [](float x, float power) {
            auto const exponent =
                static_cast<std::uint32_t>(static_cast<std::int32_t>(power) + 127);
            return x * __builtin_bit_cast(float, exponent << 23U);
        });
    }
    KITH_INLINE F div(F const& a, F const& b) {
        return each(a, b, [](float x, float y) { return x / y; });
    }
    KITH_INLINE F mul(F const& a, F const& b) {
        F out;
        for (std::size_t i = 0; i < packed_rows; ++i) out.at[i] = a.at[i] * b.at[i];
        return out;
    }
    KITH_INLINE F fma(F const& a, F const& b, F const& c) {
        F out;
        for (std::size_t i = 0; i < packed_rows; ++i)
            out.at[i] = __builtin_fmaf(a.at[i], b.at[i], c.at[i]);
        return out;
    }
    KITH_INLINE F to_float(I const& a) {
        F out;
        for (std::size_t i = 0; i < packed_rows; ++i) out.at[i] = static_cast<float>(a.at[i]);
        return out;
    }

    // The int32 at `at` in every lane.
    KITH_INLINE I load_broadcast(std::uint8_t const* at) {
        std::int32_t value = 0;
        __builtin_memcpy(&value, at, sizeof value);
        I out;
        for (auto& lane : out.at) lane = value;
        return out;
    }
    KITH_INLINE Quad load_quad(std::uint8_t const* at) {
        Quad out;
        for (std::size_t i = 0; i < 4; ++i) out.at[i] = static_cast<std::int8_t>(at[i]);
        return out;
    }
    // Each of the next four: 64 values in the order of packed/layout.h.
    KITH_INLINE Signed load_signed(std::uint8_t const* at) {
        W out;
        for (std::size_t i = 0; i < 64; ++i) out.at[i] = static_cast<std::int16_t>(at[i] - 128);
        return out;
    }
    KITH_INLINE W low_nibbles(std::uint8_t const* at) {
        W out;
        for (std::size_t i = 0; i < 64; ++i) out.at[i] = static_cast<std::int16_t>(at[i] & 15);
        return out;
    }
    KITH_INLINE W high_nibbles(std::uint8_t const* at) {
        W out;
        for (std::size_t i = 0; i < 64; ++i) out.at[i] = static_cast<std::int16_t>(at[i] >> 4);
        return out;
    }
    // The low (h = 0) or high nibbles, with field j of the pairs of bits above them.
    KITH_INLINE W six_bits(std::uint8_t const* low, std::uint8_t const* high, std::size_t h,
                           std::size_t j) {
        W out;
        for (std::size_t i = 0; i < 64; ++i)
            out.at[i] = static_cast<std::int16_t>(((low[i] >> (4 * h)) & 15) |
                                                  (((high[i] >> (2 * j)) & 3) << 4));
        return out;
    }
    // Field j of the pairs of bits.
    KITH_INLINE W two_bits(std::uint8_t const* fields, std::size_t j) {
        W out;
        for (std::size_t i = 0; i < 64; ++i)
            out.at[i] = static_cast<std::int16_t>((fields[i] >> (2 * j)) & 3);
        return out;
    }

    // Lane r: acc + the products of the row's four weights with the quad.
    KITH_INLINE I dot(I const& acc, W const& weights, Quad const& quad) {
        I out = acc;
        for (std::size_t r = 0; r < packed_rows; ++r)
            for (std::size_t i = 0; i < 4; ++i) out.at[r] += weights.at[4 * r + i] * quad.at[i];
        return out;
    }
    KITH_INLINE Pairs load_pairs(std::uint8_t const* at) {
        Pairs out;
        for (std::size_t i = 0; i < 2 * packed_rows; ++i) out.at[i] = at[i];
        return out;
    }
    // Lane r: acc + the products of the row's two values with the two int16 in every lane of `in`.
    KITH_INLINE I dot_pairs(I const& acc, Pairs const& values, I const& in) {
        std::int16_t two[2];
        __builtin_memcpy(two, in.at, sizeof two);
        I out = acc;
        for (std::size_t r = 0; r < packed_rows; ++r)
            out.at[r] += values.at[2 * r] * two[0] + values.at[2 * r + 1] * two[1];
        return out;
    }
};

}  // namespace

constexpr PackedTable portable_packed = PackedForms<Portable>::table();

}  // namespace kith::infer
