// Sixteen BLAKE3 inputs side by side: lane i of every 512-bit register belongs to input i. Like
// avx2.cpp; here all state and message words fit into registers, and a rotation is one instruction.
#include "crypto/blake3/kernels.h"

#if defined(__x86_64__)
// GCC 12 warns of its own header: its "undefined" operands are uninitialised on purpose (bug
// 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#define KITH_AVX512 [[gnu::target("avx512f")]]
#define KITH_AVX512_INLINE [[gnu::target("avx512f"), gnu::always_inline]] static inline

namespace kith::crypto::blake3_detail {

bool has_avx512() {
    return __builtin_cpu_supports("avx512f");
}

KITH_AVX512_INLINE __m512i broadcast(std::uint32_t word) {
    return _mm512_set1_epi32(static_cast<int>(word));
}

// Rows to columns: afterwards r[i] holds word i of all sixteen rows.
KITH_AVX512_INLINE void transpose(__m512i (&r)[16]) {
    __m512i pairs[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        pairs[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    __m512i fours[16];  // 128-bit part j of fours[4 g + k]: word 4 j + k of rows 4 g to 4 g + 3
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
        __m512i const* const p = pairs + 4 * g;
        fours[4 * g + 0] = _mm512_unpacklo_epi64(p[0], p[2]);
        fours[4 * g + 1] = _mm512_unpackhi_epi64(p[0], p[2]);
        fours[4 * g + 2] = _mm512_unpacklo_epi64(p[1], p[3]);
        fours[4 * g + 3] = _mm512_unpackhi_epi64(p[1], p[3]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
        __m512i const even_low = _mm512_shuffle_i32x4(fours[k], fours[4 + k], 0x88);
        __m512i const odd_low = _mm512_shuffle_i32x4(fours[k], fours[4 + k], 0xdd);
        __m512i const even_high = _mm512_shuffle_i32x4(fours[8 + k], fours[12 + k], 0x88);
        __m512i const odd_high = _mm512_shuffle_i32x4(fours[8 + k], fours[12 + k], 0xdd);
        r[k] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
        r[4 + k] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
        r[8 + k] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
        r[12 + k] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
    }
}

KITH_AVX512_INLINE void all_rounds(__m512i (&v)[16], __m512i const (&m)[16]) {
#pragma GCC unroll 7
    for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
        for (std::size_t i = 0; i < quarters.size(); ++i) {
            auto const q = quarters[i];
            auto const& word = schedule[round];
            v[q.a] = _mm512_add_epi32(_mm512_add_epi32(v[q.a], v[q.b]), m[word[2 * i]]);
            v[q.d] = _mm512_ror_epi32(_mm512_xor_si512(v[q.d], v[q.a]), 16);
            v[q.c] = _mm512_add_epi32(v[q.c], v[q.d]);
            v[q.b] = _mm512_ror_epi32(_mm512_xor_si512(v[q.b], v[q.c]), 12);
            v[q.a] = _mm512_add_epi32(_mm512_add_epi32(v[q.a], v[q.b]), m[word[2 * i + 1]]);
            v[q.d] = _mm512_ror_epi32(_mm512_xor_si512(v[q.d], v[q.a]), 8);
            v[q.c] = _mm512_add_epi32(v[q.c], v[q.d]);
            v[q.b] = _mm512_ror_epi32(_mm512_xor_si512(v[q.b], v[q.c]), 7);
        }
    }
}

KITH_AVX512 void hash_sixteen_avx512(LaneInputs const& inputs, Words const& key, Words* out) {
    __m512i h[8];
    for (std::size_t i = 0; i < 8; ++i) h[i] = broadcast(key[i]);
    alignas(64) std::uint32_t low[16];
    alignas(64) std::uint32_t high[16];
    for (std::uint64_t lane = 0; lane < 16; ++lane) {
        auto const counter = inputs.counter + lane * inputs.counter_step;
        low[lane] = static_cast<std::uint32_t>(counter);
        high[lane] = static_cast<std::uint32_t>(counter >> 32);
    }
    __m512i const counter_low = _mm512_load_si512(low);
    __m512i const counter_high = _mm512_load_si512(high);

    for (std::size_t block = 0; block < inputs.blocks; ++block) {
        __m512i m[16];
#pragma GCC unroll 16
        for (std::size_t lane = 0; lane < 16; ++lane)
            m[lane] = _mm512_loadu_si512(inputs.in + lane * inputs.stride + 64 * block);
        transpose(m);
        auto const flags = inputs.flags | (block == 0 ? inputs.flags_first : 0) |
                           (block + 1 == inputs.blocks ? inputs.flags_last : 0);
        __m512i v[16];
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
        for (std::size_t i = 0; i < 8; ++i) h[i] = _mm512_xor_si512(v[i], v[i + 8]);
    }
    __m512i rows[16] = {};
    for (std::size_t i = 0; i < 8; ++i) rows[i] = h[i];
    transpose(rows);
    for (std::size_t lane = 0; lane < 16; ++lane)
        _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(out[lane].data())),
                            _mm512_castsi512_si256(rows[lane]));
}

}  // namespace kith::crypto::blake3_detail

#else

namespace kith::crypto::blake3_detail {

bool has_avx512() {
    return false;
}

void hash_sixteen_avx512(LaneInputs const& inputs, Words const& key, Words* out) {
    hash_eight_portable(inputs, key, out);
    auto second = inputs;
    second.in += 8 * inputs.stride;
    second.counter += 8 * inputs.counter_step;
    hash_eight_portable(second, key, out + 8);
}

}  // namespace kith::crypto::blake3_detail
#endif
