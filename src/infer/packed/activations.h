// infer/packed/activations.h: a row of activations as the packed kernels read it.
//
//   q8     int8[columns], float scale[columns / 32], int32 -128 * sum[columns / 32],
//          int32 -8 * sum[columns / 32]: sums of the 32 int8, for weights that are stored 128 or 8
//          too high
//   q8_k   int8[columns], float scale[columns / 256], int32 -32 * sum[columns / 16], int16
//          sum[columns / 32]: sums of 16 and of 32 int8
#pragma once

#include <cstddef>

namespace kith::infer {

struct Q8Row {
    std::size_t columns = 0;
    [[nodiscard]] constexpr std::size_t scales() const { return columns; }
    [[nodiscard]] constexpr std::size_t minus_128_sums() const { return columns + columns / 8; }
    [[nodiscard]] constexpr std::size_t minus_8_sums() const { return columns + columns / 4; }
    [[nodiscard]] constexpr std::size_t bytes() const { return columns + columns / 8 * 3; }
};

struct Q8KRow {
    std::size_t columns = 0;
    [[nodiscard]] constexpr std::size_t scales() const { return columns; }
    [[nodiscard]] constexpr std::size_t minus_32_sums() const { return columns + columns / 64; }
    [[nodiscard]] constexpr std::size_t sums_of_32() const { return minus_32_sums() + columns / 4; }
    [[nodiscard]] constexpr std::size_t bytes() const { return sums_of_32() + columns / 16; }
};

}  // namespace kith::infer
