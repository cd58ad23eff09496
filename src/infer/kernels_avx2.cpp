// The kernels for AVX2, FMA and F16C; the only file built with those flags.
#include <immintrin.h>

#include "infer/kernels_generic.h"

namespace kith::infer {
namespace {

struct Avx2 {
    using F = __m256;

    KITH_INLINE F zero() { return _mm256_setzero_ps(); }
    KITH_INLINE F set(float value) { return _mm256_set1_ps(value); }
    KITH_INLINE F load(float const* in) { return _mm256_loadu_ps(in); }
    KITH_INLINE void store(float* out, F value) { _mm256_storeu_ps(out, value); }
    KITH_INLINE __m128i load16(void const* in) {
        return _mm_loadu_si128(static_cast<__m128i const*>(in));
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
    KITH_INLINE void store_rounded(float const* in, float inverse, std::byte* out) {
        F const scale = set(inverse);
        __m256i part[4];
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

constexpr KernelTable avx2_kernels = make_table<Avx2>("avx2", avx2_packed);

}  // namespace kith::infer
