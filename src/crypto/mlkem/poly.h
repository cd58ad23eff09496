// crypto/mlkem/poly.h: the ring of ML-KEM (FIPS 203 4.2, 4.3): Z_q[X]/(X^256+1), q = 3329. Private
// to crypto. Constant time: no branch, index or division depends on a coefficient, the samplers of
// public values excepted.
#pragma once

#include <array>
#include <span>

#include "base/bytes.h"

namespace kith::crypto::mlkem {

inline constexpr std::size_t n = 256;
inline constexpr std::int32_t q = 3329;
inline constexpr std::size_t rank = 3;  // k of ML-KEM-768

struct Poly {
    alignas(32) std::array<std::int16_t, n> c{};
};
using Vector = std::array<Poly, rank>;
using Matrix = std::array<Vector, rank>;
template <std::size_t N>
using In = std::span<std::uint8_t const, N>;
template <std::size_t N>
using Out = std::span<std::uint8_t, N>;

// a * 2^-16 mod q, |result| < q, for |a| < 2^15 q.
constexpr std::int16_t montgomery_reduce(std::int32_t a) {
    constexpr std::uint16_t q_inverse = 62209;  // q^-1 mod 2^16
    static_assert(static_cast<std::uint16_t>(q * q_inverse) == 1);
    auto const t = static_cast<std::int16_t>(static_cast<std::uint32_t>(a) * q_inverse);
    return static_cast<std::int16_t>((a - t * q) >> 16);
}

// The representative of least magnitude, |result| <= 1664, for any 16-bit a.
constexpr std::int16_t reduce(std::int16_t a) {
    constexpr std::int32_t reciprocal = ((1 << 26) + q / 2) / q;
    auto const t = (reciprocal * a + (1 << 25)) >> 26;
    return static_cast<std::int16_t>(a - t * q);
}

// 0 <= result < q for |a| < q.
constexpr std::uint16_t to_positive(std::int16_t a) {
    return static_cast<std::uint16_t>(a + ((a >> 15) & q));
}

// FIPS 203 4.2.1 in multiply-and-shift form (a division by q takes a time that depends on the
// secret: KyberSlash). round(2^bits / q * x) mod 2^bits for 0 <= x < q.
template <unsigned Bits>
constexpr std::uint16_t compress(std::uint16_t x) {
    constexpr std::uint64_t reciprocal = (std::uint64_t{1} << 36) / q + 1;
    auto const scaled = (std::uint64_t{x} << Bits) + q / 2;
    return static_cast<std::uint16_t>(((scaled * reciprocal) >> 36) & ((1U << Bits) - 1));
}
// round(q / 2^bits * y).
template <unsigned Bits>
constexpr std::int16_t decompress(std::uint16_t y) {
    return static_cast<std::int16_t>((y * q + (1 << (Bits - 1))) >> Bits);
}

void ntt(Poly& a);          // |c| < q in, |c| <= 1664 out
void inverse_ntt(Poly& a);  // and times 2^16, undoing the factor of multiply(); |c| < q in and out
// out = sum of a[i] * b[i] * 2^-16 in the NTT domain; one factor in 0..q-1, the other |c| <= 1664.
// |c| < q out.
void multiply(Poly& out, Vector const& a, Vector const& b);
void to_montgomery(Poly& a);  // times 2^16
void add(Poly& a, Poly const& b);
void reduce(Poly& a);

// Bits per coefficient, least significant first (FIPS 203 algorithms 5 and 6), with compression
// where Bits < 12. encode takes |c| < q; decode<12> takes values modulo q.
template <unsigned Bits>
void encode(Poly const& a, Out<32 * Bits> out);
template <unsigned Bits>
void decode(Poly& a, In<32 * Bits> in);

void sample_uniform(Poly& out, In<32> rho, std::uint8_t column, std::uint8_t row);
void sample_binomial(Poly& out, In<32> seed, std::uint8_t nonce);  // eta = 2

}  // namespace kith::crypto::mlkem
