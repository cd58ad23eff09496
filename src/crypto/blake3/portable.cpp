#include <algorithm>
#include <bit>
#include <cstring>

#include "crypto/blake3/kernels.h"

namespace kith::crypto::blake3_detail {

static_assert(std::endian::native == std::endian::little, "blocks are read as little-endian words");

Block compress(Words const& value, Block const& block, BlockInfo info) {
    Block v;
    for (std::size_t i = 0; i < 8; ++i) v[i] = value[i];
    for (std::size_t i = 0; i < 4; ++i) v[8 + i] = initial_value[i];
    v[12] = static_cast<std::uint32_t>(info.counter);
    v[13] = static_cast<std::uint32_t>(info.counter >> 32);
    v[14] = info.size;
    v[15] = info.flags;
#pragma GCC unroll 7
    for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
        for (std::size_t i = 0; i < quarters.size(); ++i) {
            auto const q = quarters[i];
            v[q.a] += v[q.b] + block[schedule[round][2 * i]];
            v[q.d] = std::rotr(v[q.d] ^ v[q.a], 16);
            v[q.c] += v[q.d];
            v[q.b] = std::rotr(v[q.b] ^ v[q.c], 12);
            v[q.a] += v[q.b] + block[schedule[round][2 * i + 1]];
            v[q.d] = std::rotr(v[q.d] ^ v[q.a], 8);
            v[q.c] += v[q.d];
            v[q.b] = std::rotr(v[q.b] ^ v[q.c], 7);
        }
    }
    for (std::size_t i = 0; i < 8; ++i) {
        v[i] ^= v[i + 8];
        v[i + 8] ^= value[i];
    }
    return v;
}

void hash_eight_portable(LaneInputs const& inputs, Words const& key, Words* out) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
        Words value = key;
        for (std::size_t i = 0; i < inputs.blocks; ++i) {
            Block block;
            std::memcpy(block.data(), inputs.in + lane * inputs.stride + 64 * i, 64);
            auto const flags = inputs.flags | (i == 0 ? inputs.flags_first : 0) |
                               (i + 1 == inputs.blocks ? inputs.flags_last : 0);
            auto const full =
                compress(value, block,
                         {.counter = inputs.counter + lane * inputs.counter_step, .flags = flags});
            std::copy_n(full.begin(), 8, value.begin());
        }
        out[lane] = value;
    }
}

}  // namespace kith::crypto::blake3_detail
