// Eight BLAKE3 inputs side by side: lane i of every 256-bit register belongs to input i. The
// functions carry the target attribute instead of a compiler flag on the file, so that nothing else
// is compiled for AVX2 by accident. Loops over registers are unrolled by name: at -O2 they would go
// through memory, at two thirds of the speed.
#include "crypto/blake3/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KITH_AVX2 [[gnu::target("avx2")]]
#define KITH_AVX2_INLINE [[gnu::target("avx2"), gnu::always_inline]] static inline

namespace kith::crypto::blake3_detail {

bool has_avx2() {
    return __builtin_cpu_supports("avx2");
}

KITH_AVX2_INLINE __m256i broadcast(std::uint32_t word) {
    return _mm256_set1_epi32(static_cast<int>(word));
}

KITH_AVX2_INLINE __m256i load(std::uint8_t const* in) {
    return _mm256_loadu_si256(static_cast<__m256i const*>(static_cast<void const*>(in)));
}

KITH_AVX2_INLINE __m256i add(__m256i a, __m256i b) {
    return _mm256_add_epi32(a, b);
}

// Keeps GCC from adding in another order, and from reading back what it has just spilled.
KITH_AVX2_INLINE __m256i in_register(__m256i x) {
    asm("" : "+x"(x));
    return x;
}

template <int Bits>
KITH_AVX2_INLINE __m256i rotate_right(__m256i x) {
    return _mm256_or_si256(_mm256_srli_epi32(x, Bits), _mm256_slli_epi32(x, 32 - Bits));
}

// Rotations by whole bytes are one shuffle.
KITH_AVX2_INLINE __m256i rotate_right_16(__m256i x) {
    return _mm256_shuffle_epi8(
        x, _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13, 12, 15, 14, 9,
                           8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
}
KITH_AVX2_INLINE __m256i rotate_right_8(__m256i x) {
    return _mm256_shuffle_epi8(
        x, _mm256_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1, 12, 15, 14, 13, 8,
                           11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
}

// Rows to columns: afterwards r[i] holds word i of all eight rows.
KITH_AVX2_INLINE void transpose(__m256i (&r)[8]) {
    __m256i pairs[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        pairs[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    __m256i fours[8];  // fours[j] = words j and j + 4 of rows 0-3, fours[j + 4] of rows 4-7
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
        __m256i const* const p = pairs + 4 * half;
        fours[4 * half + 0] = _mm256_unpacklo_epi64(p[0], p[2]);
        fours[4 * half + 1] = _mm256_unpackhi_epi64(p[0], p[2]);
        fours[4 * half + 2] = _mm256_unpacklo_epi64(p[1], p[3]);
        fours[4 * half + 3] = _mm256_unpackhi_epi64(p[1], p[3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
        r[i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
    }
}

KITH_AVX2_INLINE void load_block(LaneInputs const& inputs, std::size_t block, __m256i (&m)[16]) {
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
        __m256i rows[8];
#pragma GCC unroll 8
        for (std::size_t lane = 0; lane < 8; ++lane)
            rows[lane] = load(inputs.in + lane * inputs.stride + 64 * block + 32 * half);
        transpose(rows);
#pragma GCC unroll 8
        for (std::size_t i = 0; i < 8; ++i) m[8 * half + i] = rows[i];
    }
}

KITH_AVX2_INLINE void all_rounds(__m256i (&v)[16], __m256i const (&m)[16]) {
#pragma GCC unroll 7
    for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
        for (std::size_t i = 0; i < quarters.size(); ++i) {
            auto const q = quarters[i];
            v[q.a] = add(in_register(add(v[q.a], m[schedule[round][2 * i]])), v[q.b]);
            v[q.d] = rotate_right_16(_mm256_xor_si256(v[q.d], v[q.a]));
            v[q.c] = in_register(add(v[q.c], v[q.d]));
            v[q.b] = rotate_right<12>(_mm256_xor_si256(v[q.b], v[q.c]));
            v[q.a] = add(in_register(add(v[q.a], m[schedule[round][2 * i + 1]])), v[q.b]);
            v[q.d] = rotate_right_8(_mm256_xor_si256(v[q.d], v[q.a]));
            v[q.c] = in_register(add(v[q.c], v[q.d]));
            v[q.b] = rotate_right<7>(_mm256_xor_si256(v[q.b], v[q.c]));
        }
    }
}

KITH_AVX2 void hash_eight_avx2(LaneInputs const& inputs, Words const& key, Words* out) {
    __m256i h[8];
    for (std::size_t i = 0; i < 8; ++i) h[i] = broadcast(key[i]);
    alignas(32) std::uint32_t low[8];
    alignas(32) std::uint32_t high[8];
    for (std::uint64_t lane = 0; lane < 8; ++lane) {
        auto const counter = inputs.counter + lane * inputs.counter_step;
        low[lane] = static_cast<std::uint32_t>(counter);
        high[lane] = static_cast<std::uint32_t>(counter >> 32);
    }
    __m256i const counter_low = _mm256_load_si256(static_cast<__m256i*>(static_cast<void*>(low)));
    __m256i const counter_high = _mm256_load_si256(static_cast<__m256i*>(static_cast<void*>(high)));

    for (std::size_t block = 0; block < inputs.blocks; ++block) {
        __m256i m[16];
        load_block(inputs, block, m);
        auto const flags = inputs.flags | (block == 0 ? inputs.flags_first : 0) |
                           (block + 1 == inputs.blocks ? inputs.flags_last : 0);
        __m256i v[16];
#pragma GCC unroll 8
        for (std::size_t i = 0; i < 8; ++i) v[i] = h[i];
#pragma GCC unroll 4
        for (std::size_t i = 0; i < 4; ++i) v[8 + i] = broadcast(initial_value[i]);
        v[12] = counter_low;
        v[13] = counter_high;
        v[14] = broadcast(64);
        v[15] = broadcast(flags);
        all_rounds(v, m);
#pragma GCC unroll 8
        for (std::size_t i = 0; i < 8; ++i) h[i] = _mm256_xor_si256(v[i], v[i + 8]);
    }
    transpose(h);
    for (std::size_t lane = 0; lane < 8; ++lane)
        _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(out[lane].data())), h[lane]);
}

}  // namespace kith::crypto::blake3_detail

#else

namespace kith::crypto::blake3_detail {

bool has_avx2() {
    return false;
}

void hash_eight_avx2(LaneInputs const& inputs, Words const& key, Words* out) {
    hash_eight_portable(inputs, key, out);
}

}  // namespace kith::crypto::blake3_detail
#endif
