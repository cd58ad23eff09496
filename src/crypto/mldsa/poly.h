// crypto/mldsa/poly.h: the ring of ML-DSA (FIPS 204 2.4, 7.4, 7.5, 7.6): Z_q[X]/(X^256+1), q =
// 8380417. Private to crypto. Everything here is constant time: no branch, index or division
// depends on a coefficient.
//
// Ranges are part of each contract, because a missing reduction is a wrong signature once in a
// million:
//   "small": |c| < q.   "ntt": |c| < 9 q, the output of ntt() on small input.   "positive": 0 <= c
//   < q.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace kith::crypto::mldsa {

inline constexpr std::size_t n = 256;
inline constexpr std::int32_t q = 8380417;
inline constexpr int dropped_bits = 13;               // d of FIPS 204
inline constexpr std::int32_t gamma2 = (q - 1) / 32;  // of ML-DSA-65
inline constexpr std::int32_t high_bits_count = (q - 1) / (2 * gamma2);
static_assert(high_bits_count == 16);

struct Poly {
    alignas(32) std::array<std::int32_t, n> c{};
};

// a * 2^-32 mod q, |result| < q, for |a| < 2^31 q.
constexpr std::int32_t montgomery_reduce(std::int64_t a) {
    constexpr std::uint32_t q_inverse = 58728449;  // q^-1 mod 2^32
    static_assert(static_cast<std::uint32_t>(q) * q_inverse == 1);
    auto const t = static_cast<std::int32_t>(static_cast<std::uint32_t>(a) * q_inverse);
    return static_cast<std::int32_t>((a - static_cast<std::int64_t>(t) * q) >> 32);
}

// |result| <= 6283008 for any a <= 2^31 - 2^22: centred exactly when the centred value is below
// 2097409.
constexpr std::int32_t reduce(std::int32_t a) {
    return a - ((a + (1 << 22)) >> 23) * q;
}

// small -> positive.
constexpr std::int32_t to_positive(std::int32_t a) {
    return a + ((a >> 31) & q);
}

// In place, natural order to bit-reversed order; small -> ntt.
void ntt(Poly& a);
// Inverse, and times 2^32 (undoing the factor that multiply() leaves); small -> small.
void inverse_ntt(Poly& a);

// out = sum of a[i] * b[i] * 2^-32, coefficient by coefficient; a and b in ntt range, count <= 6;
// out small.
void multiply(Poly& out, Poly const* a, Poly const* b, std::size_t count);

void add(Poly& a, Poly const& b);
void subtract(Poly& a, Poly const& b);
void reduce(Poly& a);
void to_positive(Poly& a);

// True when every |c| < bound. Branches only on the answer. Coefficients must be centred or
// reduce()d.
bool norm_below(Poly const& a, std::int32_t bound);

// FIPS 204 algorithm 35: r = high * 2^13 + low, -2^12 < low <= 2^12. r positive.
struct Split {
    std::int32_t high;
    std::int32_t low;
};
constexpr Split power2_round(std::int32_t r) {
    auto const high = (r + (1 << (dropped_bits - 1)) - 1) >> dropped_bits;
    return {high, r - (high << dropped_bits)};
}

// FIPS 204 algorithm 36: r = high * 2 gamma2 + low with high in 0..15; the last sliver below q
// counts as high 0, low -1.. . r positive. Multiply and shift instead of a division, whose time
// would depend on r.
constexpr Split decompose(std::int32_t r) {
    auto high = (r + 127) >> 7;
    high = (high * 1025 + (1 << 21)) >> 22;
    high &= high_bits_count - 1;
    auto low = r - high * 2 * gamma2;
    low -= (((q - 1) / 2 - low) >> 31) & q;
    return {high, low};
}

// FIPS 204 algorithm 39 in the form that needs no second decompose: given low and high of w, and
// `low` already changed by z, would adding z change the high bits? 0 or 1. Valid for |low| < 2
// gamma2.
constexpr std::int32_t make_hint(std::int32_t low, std::int32_t high) {
    // 1 when low > gamma2, or low < -gamma2, or low == -gamma2 with high != 0.
    auto const above = static_cast<std::uint32_t>(gamma2 - low) >> 31;
    auto const below = static_cast<std::uint32_t>(low + gamma2) >> 31;
    auto const edge = static_cast<std::uint32_t>(low + gamma2);
    auto const is_edge = ((edge | (0U - edge)) >> 31) ^ 1U;
    auto const is_high = (0U - static_cast<std::uint32_t>(high)) >> 31;
    return static_cast<std::int32_t>(above | below | (is_edge & is_high));
}

// FIPS 204 algorithm 40.
constexpr std::int32_t use_hint(std::int32_t r, std::int32_t hint) {
    auto const split = decompose(r);
    auto const step = split.low > 0 ? hint : -hint;
    return (split.high + step) & (high_bits_count - 1);
}

}  // namespace kith::crypto::mldsa
