// infer/packed/layout.h: weights in the order in which the kernels read them: 16 rows side by side.
//
// A group is 16 rows of a matrix. One 64-byte vector holds 4 successive elements (a quad) of each
// of the 16 rows, row r in bytes 4r to 4r+3: a dot-product instruction multiplies it with the same
// 4 activations for all rows, and lane r of the result belongs to row r. A group is all scales,
// block after block, then all quants, block after block: who fetches some KiB ahead of the quants
// he reads has the next group's scales and first quants in time. Sizes in bytes, for 16 rows:
//
//   type   block  quants of a block                         scales of a block
//   Q8_0      32  8 quads, value + 128               (512)  f16 d[16]                          (32)
//   Q4_0      32  4 pairs of quads                   (256)  f16 d[16]                          (32)
//   Q5_1      32  8 quads, value + 128               (512)  f16 d[16], f16 m[16]               (64)
//   Q4_1      32  4 pairs of quads                   (256)  f16 d[16], f16 m[16]               (64)
//   Q4_K     256  8 x 4 pairs of quads              (2048)  f16 d[16], f16 dmin[16],          (320)
//                                                           u8 scale[8][16], u8 min[4][16][2]
//   Q6_K     256  8 x (4 pairs of quads, 2 x 4 quads (3072)  f16 d[16], i8 scale[16][16] (288)
//                 of two bits)
//   Q5_K     256  as Q6_K                           (3072)  as Q4_K                           (320)
//   Q2_K     256  16 x 4 quads of two bits          (1024)  f16 d[16], f16 dmin[16],          (576)
//                                                           u8 scale[16][16], u8 min[16][16]
//
// A pair of quads (j, j+4) of 32 elements: quad j in the low nibbles, quad j+4 in the high ones.
// Four quads of two bits: byte for byte quad 4h+f in bits 2f and 2f+1 of vector h.
// Rows that are missing in the last group are zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/tensor_type.h"

namespace kith::infer {

inline constexpr std::size_t packed_rows = 16;       // of a group
inline constexpr std::size_t packed_alignment = 64;  // of a group in memory

struct PackedBlock {
    std::size_t elements = 0;     // of one row
    std::size_t quant_bytes = 0;  // of 16 rows; a multiple of 64
    std::size_t scale_bytes = 0;  // of 16 rows
};

// Q5_0 and IQ4_NL are packed as Q8_0 is, Q3_K as Q6_K: the same values in more bytes.
enum class PackedForm {
    bytes32,
    nibbles32,
    bytes32_min,
    nibbles32_min,
    nibbles256,
    six_bits256,
    six_bits256_min,
    two_bits256,
};

bool can_pack(TensorType type);
PackedForm packed_form(TensorType type);    // can_pack(type)
PackedBlock packed_block(TensorType type);  // can_pack(type)

// Of one group: where the quants begin, and all of it (a multiple of packed_alignment).
std::size_t packed_quants_offset(TensorType type, std::size_t columns);
std::size_t packed_group_bytes(TensorType type, std::size_t columns);

struct PackCall {
    TensorType type = TensorType::q8_0;  // can_pack
    std::uint8_t const* rows = nullptr;
    std::size_t row_stride = 0;  // bytes
    std::size_t rows_count = 0;  // 1 to packed_rows
    std::size_t columns = 0;     // a multiple of the block
    std::byte* out = nullptr;    // packed_group_bytes()
};
void pack_group(PackCall const& call);

}  // namespace kith::infer
