// crypto/blake3/kernels.h: the inner loops of BLAKE3, one portable, the others for eight and
// sixteen inputs at once. Private to crypto.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace kith::crypto::blake3_detail {

using Words = std::array<std::uint32_t, 8>;
using Block = std::array<std::uint32_t, 16>;

// BLAKE3 paper, table 1 (the SHA-256 initial values) and table 3 (domain flags).
inline constexpr Words initial_value = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
inline constexpr std::uint32_t flag_chunk_start = 1;
inline constexpr std::uint32_t flag_chunk_end = 2;
inline constexpr std::uint32_t flag_parent = 4;
inline constexpr std::uint32_t flag_root = 8;
inline constexpr std::uint32_t flag_keyed = 16;
inline constexpr std::uint32_t flag_derive_context = 32;
inline constexpr std::uint32_t flag_derive_material = 64;

// The message word used at each place of each round: the permutation of table 2 applied 0..6 times.
inline constexpr std::size_t rounds = 7;
consteval std::array<std::array<std::uint8_t, 16>, rounds> make_schedule() {
    constexpr std::array<std::uint8_t, 16> permutation = {2, 6,  3,  10, 7, 0,  4,  13,
                                                          1, 11, 12, 5,  9, 14, 15, 8};
    std::array<std::array<std::uint8_t, 16>, rounds> out{};
    for (std::uint8_t i = 0; i < 16; ++i) out[0][i] = i;
    for (std::size_t round = 1; round < rounds; ++round)
        for (std::size_t i = 0; i < 16; ++i) out[round][i] = out[round - 1][permutation[i]];
    return out;
}
inline constexpr auto schedule = make_schedule();

// The quarter rounds of one round: columns, then diagonals; each takes two message words in order.
struct Quarter {
    std::uint8_t a, b, c, d;
};
inline constexpr std::array<Quarter, 8> quarters = {{{0, 4, 8, 12},
                                                     {1, 5, 9, 13},
                                                     {2, 6, 10, 14},
                                                     {3, 7, 11, 15},
                                                     {0, 5, 10, 15},
                                                     {1, 6, 11, 12},
                                                     {2, 7, 8, 13},
                                                     {3, 4, 9, 14}}};

struct BlockInfo {
    std::uint64_t counter = 0;
    std::uint32_t size = 64;
    std::uint32_t flags = 0;
};

// The compression function with its full 64-byte output; the first eight words are the chaining
// value.
Block compress(Words const& value, Block const& block, BlockInfo info);

// Inputs side by side, of `blocks` whole 64-byte blocks each, input i starting at in + i * stride.
// Input i uses counter + i * counter_step; flags_first and flags_last are added to its first and
// last block. Writes the chaining values.
struct LaneInputs {
    std::uint8_t const* in;
    std::size_t stride;
    std::size_t blocks;
    std::uint64_t counter;
    std::uint64_t counter_step;
    std::uint32_t flags;
    std::uint32_t flags_first;
    std::uint32_t flags_last;
};
void hash_eight_avx2(LaneInputs const& inputs, Words const& key, Words* out);
void hash_eight_portable(LaneInputs const& inputs, Words const& key, Words* out);

void hash_sixteen_avx512(LaneInputs const& inputs, Words const& key, Words* out);

bool has_avx2();
bool has_avx512();

}  // namespace kith::crypto::blake3_detail
