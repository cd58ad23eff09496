// The packed kernels for AVX-512 with VNNI.
#include <immintrin.h>

#include "infer/packed/kernels_forms.h"

namespace kith::infer {
namespace {

struct Avx512 {
    static constexpr std::size_t tile_groups = 2;
    static constexpr std::size_t tile_tokens = 4;
    static constexpr std::size_t attend_queries = 8;
    static constexpr std::size_t value_queries = 4;
    static constexpr std::size_t value_vectors = 4;
    // vpdpbusd takes the weights as they are stored, 128 too high.
    static constexpr bool signed_starts_low = true;

    using F = __m512;
    using I = __m512i;
    using W = __m512i;
    using Signed = __m512i;
    using Pairs = __m512i;
    using Quad = __m512i;

    KITH_INLINE __m512i load64(std::uint8_t const* at) { return _mm512_loadu_si512(at); }
    KITH_INLINE __m256i load32(std::uint8_t const* at) {
        return _mm256_loadu_si256(reinterpret_cast<__m256i const*>(at));
    }
    KITH_INLINE __m128i load16(std::uint8_t const* at) {
        return _mm_loadu_si128(reinterpret_cast<__m128i const*>(at));
    }

    KITH_INLINE void prefetch(std::uint8_t const* at) { _mm_prefetch(at, _MM_HINT_NTA); }
    KITH_INLINE F zero() { return _mm512_setzero_ps(); }
    KITH_INLINE I zero_int() { return _mm512_setzero_si512(); }
    KITH_INLINE F set(float value) { return _mm512_set1_ps(value); }
    KITH_INLINE void store(float* out, F value) { _mm512_storeu_ps(out, value); }
    KITH_INLINE F load_f16(std::uint8_t const* at) { return _mm512_cvtph_ps(load32(at)); }
    KITH_INLINE F load_u8(std::uint8_t const* at) {
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load16(at)));
    }
    KITH_INLINE F load_i8(std::uint8_t const* at) {
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(at)));
    }
    KITH_INLINE F load(float const* at) { return _mm512_loadu_ps(at); }
    KITH_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
    KITH_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
    KITH_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
    KITH_INLINE F round(F a) {
        return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    KITH_INLINE F times_power_of_2(F a, F n) {
        auto const exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
        return _mm512_mul_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
    }
    KITH_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
    KITH_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
    KITH_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
    KITH_INLINE F to_float(I a) { return _mm512_cvtepi32_ps(a); }

    KITH_INLINE I load_broadcast(std::uint8_t const* at) {
        std::int32_t value = 0;
        __builtin_memcpy(&value, at, sizeof value);
        return _mm512_set1_epi32(value);
    }
    KITH_INLINE Quad load_quad(std::uint8_t const* at) { return load_broadcast(at); }

    KITH_INLINE Signed load_signed(std::uint8_t const* at) { return load64(at); }
    KITH_INLINE W low_nibbles(std::uint8_t const* at) {
        return _mm512_and_si512(load64(at), _mm512_set1_epi8(15));
    }
    KITH_INLINE W high_nibbles(std::uint8_t const* at) {
        return _mm512_and_si512(_mm512_srli_epi16(load64(at), 4), _mm512_set1_epi8(15));
    }
    KITH_INLINE __m512i two_high_bits(__m512i fields, std::size_t j) {
        auto placed = fields;
        if (j == 0) placed = _mm512_slli_epi16(fields, 4);
        if (j == 1) placed = _mm512_slli_epi16(fields, 2);
        if (j == 3) placed = _mm512_srli_epi16(fields, 2);
        return _mm512_and_si512(placed, _mm512_set1_epi8(0x30));
    }
    KITH_INLINE W six_bits(std::uint8_t const* low, std::uint8_t const* high, std::size_t h,
                           std::size_t j) {
        auto const nibbles = h == 0 ? low_nibbles(low) : high_nibbles(low);
        return _mm512_or_si512(nibbles, two_high_bits(load64(high), j));
    }
    KITH_INLINE W two_bits(std::uint8_t const* fields, std::size_t j) {
        auto placed = load64(fields);
        if (j == 1) placed = _mm512_srli_epi16(placed, 2);
        if (j == 2) placed = _mm512_srli_epi16(placed, 4);
        if (j == 3) placed = _mm512_srli_epi16(placed, 6);
        return _mm512_and_si512(placed, _mm512_set1_epi8(3));
    }
    KITH_INLINE I dot(I acc, W weights, Quad quad) {
        return _mm512_dpbusd_epi32(acc, weights, quad);
    }
    KITH_INLINE Pairs load_pairs(std::uint8_t const* at) {
        return _mm512_cvtepu8_epi16(load32(at));
    }
    KITH_INLINE I dot_pairs(I acc, Pairs values, I in) {
        return _mm512_dpwssd_epi32(acc, values, in);
    }
};

}  // namespace

constexpr PackedTable avx512_packed = PackedForms<Avx512>::table();

}  // namespace kith::infer
