// The kernels for AVX2, FMA and F16C; the only file built with those flags.
#include <immintrin.h>

#include "infer/kernels_generic.h"

namespace kith::infer {
namespace {

struct Avx2 {
    using F = __m256;
    using I = __m256i;
    using B = __m256i;

    KITH_INLINE F zero() { return _mm256_setzero_ps(); }
    KITH_INLINE I zero_int() { return _mm256_setzero_si256(); }
    KITH_INLINE F set(float value) { return _mm256_set1_ps(value); }
    KITH_INLINE F load(float const* in) { return _mm256_loadu_ps(in); }
    KITH_INLINE void store(float* out, F value) { _mm256_storeu_ps(out, value); }
    KITH_INLINE float half(std::uint8_t const* at) {
        std::uint16_t bits = 0;
        __builtin_memcpy(&bits, at, sizeof bits);
        return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
    }
    KITH_INLINE __m128i load16(void const* in) {
        return _mm_loadu_si128(static_cast<__m128i const*>(in));
    }
    KITH_INLINE __m256i load32(void const* in) {
        return _mm256_loadu_si256(static_cast<__m256i const*>(in));
    }
    KITH_INLINE F load_f16(std::uint8_t const* in) { return _mm256_cvtph_ps(load16(in)); }
    KITH_INLINE void store_f16(std::uint16_t* out, F value) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                         _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    }
    KITH_INLINE F round_f16(F value) {
        return _mm256_cvtph_ps(_mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    }
    KITH_INLINE F load_bf16(std::uint8_t const* in) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(in)), 16));
    }

    KITH_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
    KITH_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
    KITH_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
    KITH_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
    KITH_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
    KITH_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
    KITH_INLINE F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
    KITH_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    KITH_INLINE F round(F a) {
        return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    KITH_INLINE F times_power_of_2(F a, F n) {
        auto const exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
    }
    KITH_INLINE F to_float(I a) { return _mm256_cvtepi32_ps(a); }

    KITH_INLINE B load_bytes(std::byte const* in) { return load32(in); }
    KITH_INLINE B load_nibbles_minus_8(std::uint8_t const* in) {
        auto const packed = load16(in);
        auto const both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
        return _mm256_sub_epi8(_mm256_and_si256(both, _mm256_set1_epi8(15)), _mm256_set1_epi8(8));
    }
    KITH_INLINE B low_nibbles(std::uint8_t const* in) {
        return _mm256_and_si256(load32(in), _mm256_set1_epi8(15));
    }
    KITH_INLINE B high_nibbles(std::uint8_t const* in) {
        return _mm256_and_si256(_mm256_srli_epi16(load32(in), 4), _mm256_set1_epi8(15));
    }
    KITH_INLINE B load_q6(std::uint8_t const* low, std::uint8_t const* high, std::size_t v) {
        auto const half_index = v / 4;
        auto const part = v % 4;
        auto const* const nibbles_at = low + 64 * half_index + 32 * (part % 2);
        auto const nibbles = part / 2 == 0 ? low_nibbles(nibbles_at) : high_nibbles(nibbles_at);
        auto const count = _mm_cvtsi32_si128(static_cast<int>(2 * part));
        auto const pairs = _mm256_srl_epi16(load32(high + 32 * half_index), count);
        auto const two_bits = _mm256_and_si256(pairs, _mm256_set1_epi8(3));
        return _mm256_or_si256(nibbles, _mm256_slli_epi16(two_bits, 4));
    }

    // maddubs wants one side unsigned: the sign moves from the weight to the activation. No
    // saturation: |weight| <= 128 and |activation| <= 127 make pairs of at most 32512.
    KITH_INLINE I quads(B weights, B activations) {
        auto const magnitude = _mm256_sign_epi8(weights, weights);
        auto const signed_by = _mm256_sign_epi8(activations, weights);
        return _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, signed_by), _mm256_set1_epi16(1));
    }
    KITH_INLINE __m256i set_scale(std::uint8_t scale) { return _mm256_set1_epi16(scale); }
    KITH_INLINE __m256i set_scale_pair(std::uint8_t const* scales) {
        return _mm256_set_m128i(_mm_set1_epi16(static_cast<std::int8_t>(scales[1])),
                                _mm_set1_epi16(static_cast<std::int8_t>(scales[0])));
    }
    // Weights are at most 63, so pairs stay below 16002 and lanes far from 2^31.
    KITH_INLINE I add_scaled(I sum, B weights, B activations, __m256i scale) {
        auto const pairs = _mm256_maddubs_epi16(weights, activations);
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, scale));
    }
    KITH_INLINE I mins(std::byte const* sums, std::uint8_t const* mins_of_block) {
        auto const bytes = _mm_loadl_epi64(reinterpret_cast<__m128i const*>(mins_of_block));
        auto const wide = _mm256_cvtepu8_epi32(bytes);
        auto const twice = _mm256_or_si256(wide, _mm256_slli_epi32(wide, 16));
        return _mm256_madd_epi16(load32(sums), twice);
    }
    KITH_INLINE I minus_32_times(I a, std::byte const* sums, std::uint8_t const* scales) {
        auto const wide = _mm256_cvtepi8_epi16(load16(scales));
        auto const products = _mm256_madd_epi16(load32(sums), wide);
        return _mm256_sub_epi32(a, _mm256_slli_epi32(products, 5));
    }
    KITH_INLINE void store_rounded(float const* in, float inverse, std::byte* out) {
        F const scale = set(inverse);
        I part[4];
        for (std::size_t i = 0; i < 4; ++i)
            part[i] = _mm256_cvtps_epi32(round(mul(load(in + i * lanes), scale)));
        auto const words01 = _mm256_packs_epi32(part[0], part[1]);
        auto const words23 = _mm256_packs_epi32(part[2], part[3]);
        // The packs work within 128-bit halves; this brings the quads back into order.
        auto const order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        auto const bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words01, words23), order);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    }
};

}  // namespace

constexpr KernelTable avx2_kernels = make_table<Avx2>("avx2");

}  // namespace kith::infer
