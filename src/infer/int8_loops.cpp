#include "infer/int8_loops.h"

#include <cstddef>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kith::infer {

namespace {

// Sums that do not wait for each other: more than an addition takes cycles times those started in
// one.
constexpr std::size_t sums_count = 12;

// The compiler may use whatever the build allows: as the portable kernels are.
std::int32_t portable_dots(std::uint64_t rounds) {
    constexpr std::size_t bytes = 32;
    std::int8_t left[bytes];
    std::int8_t right[bytes];
    for (std::size_t i = 0; i < bytes; ++i) {
        left[i] = static_cast<std::int8_t>(i);
        right[i] = static_cast<std::int8_t>(3 * i);
    }
    std::int32_t sum = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        asm volatile("" : : "r"(&left), "r"(&right) : "memory");
        std::int32_t part = 0;
        for (std::size_t i = 0; i < bytes; ++i) part += left[i] * right[i];
        sum ^= part;
    }
    return sum;
}

#if defined(__x86_64__)

// `"+x"(left)`: it may have changed, so that no product is computed once for all rounds.
__attribute__((target("avx2"))) std::int32_t avx2_dots(std::uint64_t rounds) {
    auto left = _mm256_set1_epi8(3);
    auto const right = _mm256_set1_epi8(5);
    auto const ones = _mm256_set1_epi16(1);
    __m256i sums[sums_count];
    for (auto& sum : sums) sum = _mm256_setzero_si256();
    for (std::uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (std::size_t i = 0; i < sums_count; ++i) {
            asm volatile("" : "+x"(left));
            auto const pairs = _mm256_maddubs_epi16(left, right);
            sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs, ones));
        }
    }
    auto total = sums[0];
    for (std::size_t i = 1; i < sums_count; ++i) total = _mm256_xor_si256(total, sums[i]);
    return _mm256_extract_epi32(total, 0);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) std::int32_t avx512_dots(
    std::uint64_t rounds) {
    auto left = _mm512_set1_epi8(3);
    auto const right = _mm512_set1_epi8(5);
    __m512i sums[sums_count];
    for (auto& sum : sums) sum = _mm512_setzero_si512();
    for (std::uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (std::size_t i = 0; i < sums_count; ++i) {
            asm volatile("" : "+v"(left));
            sums[i] = _mm512_dpbusd_epi32(sums[i], left, right);
        }
    }
    auto total = sums[0];
    for (std::size_t i = 1; i < sums_count; ++i) total = _mm512_xor_si512(total, sums[i]);
    std::int32_t lanes[16];
    _mm512_storeu_si512(lanes, total);
    return lanes[0];
}

#endif

}  // namespace

Int8Loop find_int8_loop(std::string_view kernels) {
#if defined(__x86_64__)
    constexpr std::size_t operations_of_a_byte = 2;
    if (kernels == "avx512") return {avx512_dots, sums_count * 64 * operations_of_a_byte};
    if (kernels == "avx2") return {avx2_dots, sums_count * 32 * operations_of_a_byte};
#endif
    (void)kernels;
    return {portable_dots, std::size_t{32} * 2};
}

}  // namespace kith::infer
