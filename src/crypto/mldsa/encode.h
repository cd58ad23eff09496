// crypto/mldsa/encode.h: bytes to polynomials and back (FIPS 204 7.1, 7.2), and the samplers (7.3),
// for ML-DSA-65. Private to crypto. Sizes are those of the parameter set, as static extents:
// nothing is checked at run time but what an encoding itself can get wrong.
#pragma once

#include <span>

#include "base/bytes.h"
#include "crypto/mldsa/poly.h"

namespace kith::crypto::mldsa {

// FIPS 204 table 1, column ML-DSA-65.
inline constexpr std::size_t rows = 6;     // k
inline constexpr std::size_t columns = 5;  // l
inline constexpr std::int32_t eta = 4;
inline constexpr std::int32_t gamma1 = 1 << 19;
inline constexpr std::size_t tau = 49;
inline constexpr std::int32_t beta = tau * eta;
inline constexpr std::size_t omega = 55;
inline constexpr std::size_t challenge_bytes = 48;  // lambda / 4

inline constexpr std::size_t t1_bytes = 320;   // 10 bits
inline constexpr std::size_t t0_bytes = 416;   // 13 bits
inline constexpr std::size_t eta_bytes = 128;  // 4 bits
inline constexpr std::size_t z_bytes = 640;    // 20 bits
inline constexpr std::size_t w1_bytes = 128;   // 4 bits
inline constexpr std::size_t hint_bytes = omega + rows;

template <std::size_t Count>
using Vector = std::array<Poly, Count>;
using Matrix = std::array<Vector<columns>, rows>;
template <std::size_t N>
using In = std::span<std::uint8_t const, N>;
template <std::size_t N>
using Out = std::span<std::uint8_t, N>;

void encode_t1(Poly const& a, Out<t1_bytes> out);
Poly decode_t1(In<t1_bytes> in);
void encode_t0(Poly const& a, Out<t0_bytes> out);  // -2^12 < c <= 2^12
Poly decode_t0(In<t0_bytes> in);
void encode_eta(Poly const& a, Out<eta_bytes> out);  // |c| <= eta
// False when a coefficient is outside: only a damaged or forged key has that, so the answer may be
// public.
[[nodiscard]] bool decode_eta(Poly& a, In<eta_bytes> in);
void encode_z(Poly const& a, Out<z_bytes> out);  // -gamma1 < c <= gamma1
Poly decode_z(In<z_bytes> in);
void encode_w1(Poly const& a, Out<w1_bytes> out);  // 0..15

// Hints: the positions of ones, at most omega in total (asserted).
void encode_hint(Vector<rows> const& hint, Out<hint_bytes> out);
// False unless the encoding is the canonical one: positions rising within a row, counts not
// falling, zero padding.
[[nodiscard]] bool decode_hint(Vector<rows>& hint, In<hint_bytes> in);

// FIPS 204 algorithms 29 to 34. The matrix and the challenge are public; secrets and masks are not,
// their samplers take a time that depends only on rejected values, which are independent of the
// accepted ones.
Poly sample_in_ball(In<challenge_bytes> seed);
void expand_matrix(Matrix& matrix, In<32> rho);
Poly sample_eta(In<64> rho_prime, std::uint16_t nonce);
Poly sample_mask(In<64> rho_second, std::uint16_t nonce);

}  // namespace kith::crypto::mldsa
