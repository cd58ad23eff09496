// infer/block_formats.h: facts about GGUF's block formats (ggml-quants.h, ggml-common.h) that
// reading and packing share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kith::infer {

// What the nibbles of IQ4_NL stand for, times the scale.
inline constexpr std::int8_t iq4_nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                  1,    13,   25,  38,  53,  69,  89,  113};

// Scale s (0 to 15) of a block of Q3_K, -32 to 31: low nibbles in bytes 0 to 7, first eight below,
// the two high bits in bytes 8 to 11.
constexpr int q3_k_scale(std::uint8_t const* packed, std::size_t s) {
    auto const low = (unsigned{packed[s % 8]} >> (4 * (s / 8))) & 15U;
    auto const high = (unsigned{packed[8 + s % 4]} >> (2 * (s / 4))) & 3U;
    return static_cast<int>(low | high << 4U) - 32;
}

}  // namespace kith::infer
