// infer/quantise_blocks.h: one block of each format of 256 elements to floats and back, and what
// all formats share. For quantise*.cpp only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "infer/half.h"

namespace kith::infer {

inline void store_half(std::uint8_t* out, float value) {
    base::store_le(base::MutableByteView(out, 2), float_to_half(value));
}
// Nearest whole number of value / step within [low, high]; 0 when step is 0 or the quotient is no
// number.
int nearest(float value, float step, int low, int high);

void read_q2_k(std::uint8_t const* in, float* out);
void read_q3_k(std::uint8_t const* in, float* out);
void read_q4_k(std::uint8_t const* in, float* out);
void read_q5_k(std::uint8_t const* in, float* out);
void read_q6_k(std::uint8_t const* in, float* out);
void write_q2_k(float const* in, std::uint8_t* out);
void write_q3_k(float const* in, std::uint8_t* out);
void write_q4_k(float const* in, std::uint8_t* out);
void write_q5_k(float const* in, std::uint8_t* out);
void write_q6_k(float const* in, std::uint8_t* out);

}  // namespace kith::infer
