#include "infer/packed/layout.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "infer/block_formats.h"

namespace kith::infer {
namespace {

using Row = std::uint8_t const*;

// The nibbles of 32 elements, quad j with quad j+4: element i in the low nibble of byte i, element
// i+16 in the high one.
struct Nibbles {
    std::array<std::uint8_t, 16> bytes;
};

// 16 bytes of row `r` become lane r of 4 vectors; 32 bytes of 8.
template <std::size_t vectors>
void spread(std::uint8_t const* bytes, std::size_t r, std::uint8_t* out) {
    for (std::size_t v = 0; v < vectors; ++v)
        std::memcpy(out + v * packed_alignment + 4 * r, bytes + 4 * v, 4);
}

void pack_q8_0(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    std::array<std::uint8_t, 32> shifted{};
    for (std::size_t i = 0; i < shifted.size(); ++i) shifted[i] = block[2 + i] ^ 0x80U;
    spread<8>(shifted.data(), r, quants);
    std::memcpy(scales + 2 * r, block, 2);
}

void pack_q4_0(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    spread<4>(block + 2, r, quants);
    std::memcpy(scales + 2 * r, block, 2);
}

// 32 bytes hold 64 elements, the first 32 in the low nibbles: apart, each half in the order of
// Nibbles.
std::array<Nibbles, 2> split_q4_k(Row in) {
    std::array<Nibbles, 2> out{};
    for (std::size_t i = 0; i < 16; ++i) {
        out[0].bytes[i] =
            static_cast<std::uint8_t>((in[i] & 15U) | static_cast<unsigned>(in[i + 16] << 4U));
        out[1].bytes[i] = static_cast<std::uint8_t>((unsigned{in[i]} >> 4U) | (in[i + 16] & 0xf0U));
    }
    return out;
}

// Of Q4_K and Q5_K: d, dmin, and in 12 bytes the scales and mins of eight parts.
void pack_scales_and_mins(Row block, std::size_t r, std::uint8_t* scales) {
    std::memcpy(scales + 2 * r, block, 2);
    std::memcpy(scales + 32 + 2 * r, block + 2, 2);
    // Eight 6-bit scales and eight 6-bit mins in 12 bytes: the first four of each are the low bits
    // of bytes 0 to 7; the last four have their low nibbles in bytes 8 to 11 and their high bits on
    // top of bytes 0 to 7.
    auto const* const in = block + 4;
    for (std::size_t i = 0; i < 8; ++i) {
        unsigned scale = in[i % 4] & 63U;
        unsigned min = in[i % 4 + 4] & 63U;
        if (i >= 4) {
            scale = (in[i + 4] & 15U) | (unsigned{in[i - 4]} >> 6U << 4U);
            min = (unsigned{in[i + 4]} >> 4U) | (unsigned{in[i]} >> 6U << 4U);
        }
        scales[64 + 16 * i + r] = static_cast<std::uint8_t>(scale);
        scales[192 + 32 * (i / 2) + 2 * r + i % 2] = static_cast<std::uint8_t>(min);
    }
}

void pack_q4_k(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    for (std::size_t pair = 0; pair < 4; ++pair) {
        auto const halves = split_q4_k(block + 16 + 32 * pair);
        spread<4>(halves[0].bytes.data(), r, quants + 512 * pair);
        spread<4>(halves[1].bytes.data(), r, quants + 512 * pair + 256);
    }
    pack_scales_and_mins(block, r, scales);
}

// Elements 32k to 32k+31 of a block of Q6_K, 0 to 63.
std::array<std::uint8_t, 32> unpack_q6_k(Row block, std::size_t k) {
    std::array<std::uint8_t, 32> out{};
    auto const half_index = k / 4;
    auto const part = k % 4;
    auto const* const low = block + 64 * half_index + 32 * (part % 2);
    auto const* const high = block + 128 + 32 * half_index;
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::uint8_t>(((unsigned{low[i]} >> (4 * (part / 2))) & 15U) |
                                           (((unsigned{high[i]} >> (2 * part)) & 3U) << 4U));
    return out;
}

// 32 values of five bits, less `zero`: {fifth bits[4], nibbles[16]}.
void pack_five_bits(Row from, unsigned zero, std::size_t r, std::uint8_t* quants) {
    std::array<std::uint8_t, 32> shifted{};
    for (std::size_t i = 0; i < shifted.size(); ++i) {
        auto const nibble = (unsigned{from[4 + i % 16]} >> (4 * (i / 16))) & 15U;
        auto const high = (unsigned{from[i / 8]} >> (i % 8)) & 1U;
        shifted[i] = static_cast<std::uint8_t>((nibble | high << 4U) + 128 - zero);
    }
    spread<8>(shifted.data(), r, quants);
}

void pack_q5_0(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    pack_five_bits(block + 2, 16, r, quants);
    std::memcpy(scales + 2 * r, block, 2);
}

void pack_q4_1(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    spread<4>(block + 4, r, quants);
    std::memcpy(scales + 2 * r, block, 2);
    std::memcpy(scales + 32 + 2 * r, block + 2, 2);
}

void pack_q5_1(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    pack_five_bits(block + 4, 0, r, quants);
    std::memcpy(scales + 2 * r, block, 2);
    std::memcpy(scales + 32 + 2 * r, block + 2, 2);
}

void pack_iq4_nl(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    std::array<std::uint8_t, 32> shifted{};
    for (std::size_t i = 0; i < shifted.size(); ++i) {
        auto const nibble = (unsigned{block[2 + i % 16]} >> (4 * (i / 16))) & 15U;
        shifted[i] = static_cast<std::uint8_t>(iq4_nl_values[nibble] + 128);
    }
    spread<8>(shifted.data(), r, quants);
    std::memcpy(scales + 2 * r, block, 2);
}

// The two bits from `shift` on of 32 values.
void pack_two_bits(std::array<std::uint8_t, 32> const& values, unsigned shift, std::size_t r,
                   std::uint8_t* quants) {
    std::array<std::uint8_t, 8> out{};
    for (std::size_t i = 0; i < 32; ++i) {
        auto& byte = out[4 * (i / 16) + i % 4];
        auto const two = (unsigned{values[i]} >> shift) & 3U;
        byte = static_cast<std::uint8_t>(byte | (two << (2 * (i / 4 % 4))));
    }
    spread<2>(out.data(), r, quants);
}

// 32 values of six bits: nibbles and the two bits above them.
void pack_six_bits(std::array<std::uint8_t, 32> const& values, std::size_t r,
                   std::uint8_t* quants) {
    Nibbles low{};
    for (std::size_t i = 0; i < 16; ++i)
        low.bytes[i] = static_cast<std::uint8_t>((values[i] & 15U) |
                                                 static_cast<unsigned>(values[i + 16] << 4U));
    spread<4>(low.bytes.data(), r, quants);
    pack_two_bits(values, 4, r, quants + 256);
}

void pack_q6_k(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    for (std::size_t k = 0; k < 8; ++k) pack_six_bits(unpack_q6_k(block, k), r, quants + 384 * k);
    std::memcpy(scales + 2 * r, block + 208, 2);
    for (std::size_t s = 0; s < 16; ++s) scales[32 + 16 * s + r] = block[192 + s];
}

// Q3_K: {high bits[32], low pairs[64], 6-bit scales[12], half d}; values are minus 4, here 32 too
// high.
void pack_q3_k(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    for (std::size_t k = 0; k < 8; ++k) {
        std::array<std::uint8_t, 32> values{};
        for (std::size_t i = 0; i < values.size(); ++i) {
            auto const low = (unsigned{block[32 + 32 * (k / 4) + i]} >> (2 * (k % 4))) & 3U;
            auto const high = (unsigned{block[i]} >> k) & 1U;
            values[i] = static_cast<std::uint8_t>((low | high << 2U) + 32 - 4);
        }
        pack_six_bits(values, r, quants + 384 * k);
    }
    std::memcpy(scales + 2 * r, block + 108, 2);
    for (std::size_t s = 0; s < 16; ++s)
        scales[32 + 16 * s + r] = static_cast<std::uint8_t>(q3_k_scale(block + 96, s));
}

// Q5_K: {d, dmin, scales and mins[12], fifth bits[32], nibbles[128]}
void pack_q5_k(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    for (std::size_t k = 0; k < 8; ++k) {
        std::array<std::uint8_t, 32> values{};
        for (std::size_t i = 0; i < values.size(); ++i) {
            auto const low = (unsigned{block[48 + 32 * (k / 2) + i]} >> (4 * (k % 2))) & 15U;
            auto const high = (unsigned{block[16 + i]} >> k) & 1U;
            values[i] = static_cast<std::uint8_t>(low | high << 4U);
        }
        pack_six_bits(values, r, quants + 384 * k);
    }
    pack_scales_and_mins(block, r, scales);
}

// Q2_K: {min and scale[16], pairs of bits[64], d, dmin}
void pack_q2_k(Row block, std::size_t r, std::uint8_t* quants, std::uint8_t* scales) {
    for (std::size_t k = 0; k < 8; ++k) {
        std::array<std::uint8_t, 32> values{};
        std::memcpy(values.data(), block + 16 + 32 * (k / 4), values.size());
        pack_two_bits(values, 2 * (k % 4), r, quants + 128 * k);
    }
    std::memcpy(scales + 2 * r, block + 80, 2);
    std::memcpy(scales + 32 + 2 * r, block + 82, 2);
    for (std::size_t s = 0; s < 16; ++s) {
        scales[64 + 16 * s + r] = block[s] & 15U;
        scales[320 + 16 * s + r] = static_cast<std::uint8_t>(block[s] >> 4U);
    }
}

using PackBlock = void (*)(Row, std::size_t, std::uint8_t*, std::uint8_t*);

PackBlock pack_block(TensorType type) {
    if (type == TensorType::q8_0) return pack_q8_0;
    if (type == TensorType::q4_0) return pack_q4_0;
    if (type == TensorType::q4_k) return pack_q4_k;
    if (type == TensorType::q5_0) return pack_q5_0;
    if (type == TensorType::iq4_nl) return pack_iq4_nl;
    if (type == TensorType::q3_k) return pack_q3_k;
    if (type == TensorType::q4_1) return pack_q4_1;
    if (type == TensorType::q5_1) return pack_q5_1;
    if (type == TensorType::q5_k) return pack_q5_k;
    if (type == TensorType::q2_k) return pack_q2_k;
    KITH_ASSERT(type == TensorType::q6_k);
    return pack_q6_k;
}

constexpr std::size_t round_up(std::size_t size) {
    return (size + packed_alignment - 1) / packed_alignment * packed_alignment;
}

}  // namespace

bool can_pack(TensorType type) {
    auto const& traits = type_traits(type);
    return traits.has_kernels && traits.block_elements > 1;
}

PackedBlock packed_block(TensorType type) {
    switch (packed_form(type)) {
        case PackedForm::bytes32:
            return {.elements = 32, .quant_bytes = 512, .scale_bytes = 32};
        case PackedForm::nibbles32:
            return {.elements = 32, .quant_bytes = 256, .scale_bytes = 32};
        case PackedForm::bytes32_min:
            return {.elements = 32, .quant_bytes = 512, .scale_bytes = 64};
        case PackedForm::nibbles32_min:
            return {.elements = 32, .quant_bytes = 256, .scale_bytes = 64};
        case PackedForm::six_bits256_min:
            return {.elements = 256, .quant_bytes = 3072, .scale_bytes = 320};
        case PackedForm::two_bits256:
            return {.elements = 256, .quant_bytes = 1024, .scale_bytes = 576};
        case PackedForm::nibbles256:
            return {.elements = 256, .quant_bytes = 2048, .scale_bytes = 320};
        case PackedForm::six_bits256:
            break;
    }
    return {.elements = 256, .quant_bytes = 3072, .scale_bytes = 288};
}

PackedForm packed_form(TensorType type) {
    KITH_ASSERT(can_pack(type));
    if (type == TensorType::q4_0) return PackedForm::nibbles32;
    if (type == TensorType::q4_k) return PackedForm::nibbles256;
    if (type == TensorType::q6_k || type == TensorType::q3_k) return PackedForm::six_bits256;
    if (type == TensorType::q4_1) return PackedForm::nibbles32_min;
    if (type == TensorType::q5_1) return PackedForm::bytes32_min;
    if (type == TensorType::q5_k) return PackedForm::six_bits256_min;
    if (type == TensorType::q2_k) return PackedForm::two_bits256;
    return PackedForm::bytes32;
}

std::size_t packed_quants_offset(TensorType type, std::size_t columns) {
    auto const block = packed_block(type);
    return round_up(columns / block.elements * block.scale_bytes);
}

std::size_t packed_group_bytes(TensorType type, std::size_t columns) {
    auto const block = packed_block(type);
    return packed_quants_offset(type, columns) + columns / block.elements * block.quant_bytes;
}

void pack_group(PackCall const& call) {
    KITH_ASSERT(call.rows_count > 0 && call.rows_count <= packed_rows);
    auto const block = packed_block(call.type);
    auto const block_bytes = type_traits(call.type).block_bytes;
    auto const pack = pack_block(call.type);
    auto* const scales = reinterpret_cast<std::uint8_t*>(call.out);
    auto* const quants = scales + packed_quants_offset(call.type, call.columns);
    if (call.rows_count < packed_rows)
        std::memset(call.out, 0, packed_group_bytes(call.type, call.columns));
    for (std::size_t b = 0; b < call.columns / block.elements; ++b)
        for (std::size_t r = 0; r < call.rows_count; ++r)
            pack(call.rows + r * call.row_stride + b * block_bytes, r,
                 quants + b * block.quant_bytes, scales + b * block.scale_bytes);
}

}  // namespace kith::infer
