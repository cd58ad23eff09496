// The packed kernels for AVX2, FMA and F16C: 16 lanes in two registers.
#include <immintrin.h>

#include "infer/packed/kernels_forms.h"

namespace kith::infer {
namespace {

struct Avx2 {
    static constexpr std::size_t tile_groups = 1;
    static constexpr std::size_t tile_tokens = 2;
    static constexpr std::size_t attend_queries = 4;
    static constexpr std::size_t value_queries = 2;
    static constexpr std::size_t value_vectors = 2;
    static constexpr bool signed_starts_low = false;

    struct F {
        __m256 low, high;
    };
    struct I {
        __m256i low, high;
    };
    using W = I;
    using Pairs = I;
    using Quad = __m256i;
    // maddubs wants one side unsigned: the sign moves from the weight to the activation.
    struct Signed {
        I magnitude, sign;
    };

    KITH_INLINE __m256i load32(std::uint8_t const* at) {
        return _mm256_loadu_si256(reinterpret_cast<__m256i const*>(at));
    }
    KITH_INLINE __m128i load16(std::uint8_t const* at) {
        return _mm_loadu_si128(reinterpret_cast<__m128i const*>(at));
    }
    KITH_INLINE __m128i load8(std::uint8_t const* at) {
        return _mm_loadl_epi64(reinterpret_cast<__m128i const*>(at));
    }
    KITH_INLINE I load64(std::uint8_t const* at) { return {load32(at), load32(at + 32)}; }

    KITH_INLINE void prefetch(std::uint8_t const* at) { _mm_prefetch(at, _MM_HINT_NTA); }
    KITH_INLINE F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
    KITH_INLINE I zero_int() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
    KITH_INLINE F set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
    KITH_INLINE void store(float* out, F value) {
        _mm256_storeu_ps(out, value.low);
        _mm256_storeu_ps(out + 8, value.high);
    }
    KITH_INLINE F load_f16(std::uint8_t const* at) {
        return {_mm256_cvtph_ps(load16(at)), _mm256_cvtph_ps(load16(at + 16))};
    }
    KITH_INLINE F load_u8(std::uint8_t const* at) {
        return to_float({_mm256_cvtepu8_epi32(load8(at)), _mm256_cvtepu8_epi32(load8(at + 8))});
    }
    KITH_INLINE F load_i8(std::uint8_t const* at) {
        return to_float({_mm256_cvtepi8_epi32(load8(at)), _mm256_cvtepi8_epi32(load8(at + 8))});
    }
    KITH_INLINE F load(float const* at) { return {_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)}; }
    KITH_INLINE F add(F a, F b) {
        return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
    }
    KITH_INLINE F max(F a, F b) {
        return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
    }
    KITH_INLINE F min(F a, F b) {
        return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
    }
    KITH_INLINE __m256 round(__m256 a) {
        return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    KITH_INLINE F round(F a) { return {round(a.low), round(a.high)}; }
    KITH_INLINE __m256 times_power_of_2(__m256 a, __m256 n) {
        auto const exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    }
    KITH_INLINE F times_power_of_2(F a, F n) {
        return {times_power_of_2(a.low, n.low), times_power_of_2(a.high, n.high)};
    }
    KITH_INLINE F div(F a, F b) {
        return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
    }
    KITH_INLINE F mul(F a, F b) {
        return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
    }
    KITH_INLINE F fma(F a, F b, F c) {
        return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
    }
    KITH_INLINE F to_float(I a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }

    KITH_INLINE __m256i broadcast(std::uint8_t const* at) {
        std::int32_t value = 0;
        __builtin_memcpy(&value, at, sizeof value);
        return _mm256_set1_epi32(value);
    }
    KITH_INLINE I load_broadcast(std::uint8_t const* at) {
        auto const all = broadcast(at);
        return {all, all};
    }
    KITH_INLINE Quad load_quad(std::uint8_t const* at) { return broadcast(at); }

    KITH_INLINE Signed load_signed(std::uint8_t const* at) {
        auto const flip = _mm256_set1_epi8(static_cast<char>(0x80));
        auto const low = _mm256_xor_si256(load32(at), flip);
        auto const high = _mm256_xor_si256(load32(at + 32), flip);
        return {{_mm256_abs_epi8(low), _mm256_abs_epi8(high)}, {low, high}};
    }
    KITH_INLINE __m256i low_four(__m256i bytes) {
        return _mm256_and_si256(bytes, _mm256_set1_epi8(15));
    }
    KITH_INLINE W low_nibbles(std::uint8_t const* at) {
        return {low_four(load32(at)), low_four(load32(at + 32))};
    }
    KITH_INLINE W high_nibbles(std::uint8_t const* at) {
        return {low_four(_mm256_srli_epi16(load32(at), 4)),
                low_four(_mm256_srli_epi16(load32(at + 32), 4))};
    }
    KITH_INLINE __m256i two_high_bits(__m256i fields, std::size_t j) {
        auto placed = fields;
        if (j == 0) placed = _mm256_slli_epi16(fields, 4);
        if (j == 1) placed = _mm256_slli_epi16(fields, 2);
        if (j == 3) placed = _mm256_srli_epi16(fields, 2);
        return _mm256_and_si256(placed, _mm256_set1_epi8(0x30));
    }
    KITH_INLINE W six_bits(std::uint8_t const* low, std::uint8_t const* high, std::size_t h,
                           std::size_t j) {
        auto const nibbles = h == 0 ? low_nibbles(low) : high_nibbles(low);
        auto const fields = load64(high);
        return {_mm256_or_si256(nibbles.low, two_high_bits(fields.low, j)),
                _mm256_or_si256(nibbles.high, two_high_bits(fields.high, j))};
    }
    KITH_INLINE __m256i two_low_bits(__m256i fields, std::size_t j) {
        return _mm256_and_si256(_mm256_srli_epi16(fields, static_cast<int>(2 * j)),
                                _mm256_set1_epi8(3));
    }
    KITH_INLINE W two_bits(std::uint8_t const* fields, std::size_t j) {
        auto const all = load64(fields);
        return {two_low_bits(all.low, j), two_low_bits(all.high, j)};
    }

    // Saturates nowhere: an unsigned weight is at most 63, a magnitude at most 128, an activation
    // at most 127, so pairs are at most 32512.
    KITH_INLINE __m256i dot_half(__m256i acc, __m256i weights, __m256i activations) {
        auto const pairs = _mm256_maddubs_epi16(weights, activations);
        return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    KITH_INLINE I dot(I acc, W weights, Quad quad) {
        return {dot_half(acc.low, weights.low, quad), dot_half(acc.high, weights.high, quad)};
    }
    KITH_INLINE I dot(I acc, Signed weights, Quad quad) {
        auto const& [magnitude, sign] = weights;
        return {dot_half(acc.low, magnitude.low, _mm256_sign_epi8(quad, sign.low)),
                dot_half(acc.high, magnitude.high, _mm256_sign_epi8(quad, sign.high))};
    }
    KITH_INLINE Pairs load_pairs(std::uint8_t const* at) {
        return {_mm256_cvtepu8_epi16(load16(at)), _mm256_cvtepu8_epi16(load16(at + 16))};
    }
    KITH_INLINE I dot_pairs(I acc, Pairs values, I in) {
        return {_mm256_add_epi32(acc.low, _mm256_madd_epi16(values.low, in.low)),
                _mm256_add_epi32(acc.high, _mm256_madd_epi16(values.high, in.high))};
    }
};

}  // namespace

constexpr PackedTable avx2_packed = PackedForms<Avx2>::table();

}  // namespace kith::infer
