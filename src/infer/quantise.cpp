// Rows of the GGUF block formats to floats and back (ggml-quants.h describes the blocks).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "infer/block_formats.h"
#include "infer/kernels.h"
#include "infer/quantise_blocks.h"

namespace kith::infer {
namespace {

constexpr std::size_t block32 = 32;

void read_q8_0(std::uint8_t const* in, float* out) {
    float const scale = load_half(in);
    for (std::size_t i = 0; i < block32; ++i)
        out[i] = scale * static_cast<float>(static_cast<std::int8_t>(in[2 + i]));
}

void read_q4_0(std::uint8_t const* in, float* out) {
    float const scale = load_half(in);
    for (std::size_t i = 0; i < 16; ++i) {
        out[i] = scale * static_cast<float>((in[2 + i] & 15) - 8);
        out[i + 16] = scale * static_cast<float>((in[2 + i] >> 4) - 8);
    }
}

// Bits 4 of the 32 values are in bytes 2 to 5.
void read_q5_0(std::uint8_t const* in, float* out) {
    float const scale = load_half(in);
    for (std::size_t i = 0; i < block32; ++i) {
        int const low = in[6 + i % 16] >> (4 * (i / 16)) & 15;
        int const high = in[2 + i / 8] >> (i % 8) & 1;
        out[i] = scale * static_cast<float>((low | high << 4) - 16);
    }
}

// {d, m, nibbles[16]}; m is added to all.
void read_q4_1(std::uint8_t const* in, float* out) {
    float const scale = load_half(in);
    float const min = load_half(in + 2);
    for (std::size_t i = 0; i < block32; ++i)
        out[i] = scale * static_cast<float>(in[4 + i % 16] >> (4 * (i / 16)) & 15) + min;
}

// {d, m, bits 4[4], nibbles[16]}
void read_q5_1(std::uint8_t const* in, float* out) {
    float const scale = load_half(in);
    float const min = load_half(in + 2);
    for (std::size_t i = 0; i < block32; ++i) {
        int const low = in[8 + i % 16] >> (4 * (i / 16)) & 15;
        int const high = in[4 + i / 8] >> (i % 8) & 1;
        out[i] = scale * static_cast<float>(low | high << 4) + min;
    }
}

void read_iq4_nl(std::uint8_t const* in, float* out) {
    float const scale = load_half(in);
    for (std::size_t i = 0; i < block32; ++i) {
        int const nibble = in[2 + i % 16] >> (4 * (i / 16)) & 15;
        out[i] = scale * static_cast<float>(iq4_nl_values[nibble]);
    }
}

void write_q8_0(float const* in, std::uint8_t* out) {
    float amax = 0;
    for (std::size_t i = 0; i < block32; ++i) amax = std::max(amax, std::fabs(in[i]));
    store_half(out, amax / 127);
    float const scale = load_half(out);
    for (std::size_t i = 0; i < block32; ++i)
        out[2 + i] = static_cast<std::uint8_t>(nearest(in[i], scale, -127, 127));
}

void write_q4_0(float const* in, std::uint8_t* out) {
    // The value of largest magnitude becomes -8, the only end of the range that is exact.
    float const* const peak = std::max_element(
        in, in + block32, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    store_half(out, *peak / -8);
    float const scale = load_half(out);
    for (std::size_t i = 0; i < 16; ++i) {
        int const low = nearest(in[i], scale, -8, 7) + 8;
        int const high = nearest(in[i + 16], scale, -8, 7) + 8;
        out[2 + i] = static_cast<std::uint8_t>(low | high << 4);
    }
}

void write_q5_0(float const* in, std::uint8_t* out) {
    std::fill_n(out, 22, std::uint8_t{0});
    float const* const peak = std::max_element(
        in, in + block32, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    store_half(out, *peak / -16);
    float const scale = load_half(out);
    for (std::size_t i = 0; i < block32; ++i) {
        int const value = nearest(in[i], scale, -16, 15) + 16;
        auto& low = out[6 + i % 16];
        auto& high = out[2 + i / 8];
        low = static_cast<std::uint8_t>(low | (value & 15) << (4 * (i / 16)));
        high = static_cast<std::uint8_t>(high | (value >> 4) << (i % 8));
    }
}

// The smallest value is exact, so is about the largest.
void write_d_and_m(float const* in, int largest, std::uint8_t* out) {
    auto const [low, high] = std::minmax_element(in, in + block32);
    store_half(out, (*high - *low) / static_cast<float>(largest));
    store_half(out + 2, *low);
}

void write_q4_1(float const* in, std::uint8_t* out) {
    std::fill_n(out, 20, std::uint8_t{0});
    write_d_and_m(in, 15, out);
    for (std::size_t i = 0; i < block32; ++i) {
        int const value = nearest(in[i] - load_half(out + 2), load_half(out), 0, 15);
        auto& byte = out[4 + i % 16];
        byte = static_cast<std::uint8_t>(byte | value << (4 * (i / 16)));
    }
}

void write_q5_1(float const* in, std::uint8_t* out) {
    std::fill_n(out, 24, std::uint8_t{0});
    write_d_and_m(in, 31, out);
    for (std::size_t i = 0; i < block32; ++i) {
        int const value = nearest(in[i] - load_half(out + 2), load_half(out), 0, 31);
        auto& low = out[8 + i % 16];
        auto& high = out[4 + i / 8];
        low = static_cast<std::uint8_t>(low | (value & 15) << (4 * (i / 16)));
        high = static_cast<std::uint8_t>(high | (value >> 4) << (i % 8));
    }
}

void write_iq4_nl(float const* in, std::uint8_t* out) {
    std::fill_n(out, 18, std::uint8_t{0});
    float const* const peak = std::max_element(
        in, in + block32, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    store_half(out, *peak / -127);
    float const scale = load_half(out);
    for (std::size_t i = 0; i < block32; ++i) {
        int const value = nearest(in[i], scale, -127, 127);
        auto const distance = [value](std::int8_t a) { return std::abs(a - value); };
        auto const* const best = std::ranges::min_element(iq4_nl_values, {}, distance);
        auto& byte = out[2 + i % 16];
        byte = static_cast<std::uint8_t>(byte | (best - iq4_nl_values) << (4 * (i / 16)));
    }
}

using ReadBlock = void (*)(std::uint8_t const*, float*);
using WriteBlock = void (*)(float const*, std::uint8_t*);

ReadBlock read_block(TensorType type) {
    if (type == TensorType::q8_0) return read_q8_0;
    if (type == TensorType::q4_0) return read_q4_0;
    if (type == TensorType::q4_k) return read_q4_k;
    if (type == TensorType::q6_k) return read_q6_k;
    if (type == TensorType::q5_0) return read_q5_0;
    if (type == TensorType::iq4_nl) return read_iq4_nl;
    if (type == TensorType::q3_k) return read_q3_k;
    if (type == TensorType::q4_1) return read_q4_1;
    if (type == TensorType::q5_1) return read_q5_1;
    if (type == TensorType::q5_k) return read_q5_k;
    if (type == TensorType::q2_k) return read_q2_k;
    return nullptr;
}

WriteBlock write_block(TensorType type) {
    if (type == TensorType::q8_0) return write_q8_0;
    if (type == TensorType::q4_0) return write_q4_0;
    if (type == TensorType::q4_k) return write_q4_k;
    if (type == TensorType::q6_k) return write_q6_k;
    if (type == TensorType::q5_0) return write_q5_0;
    if (type == TensorType::iq4_nl) return write_iq4_nl;
    if (type == TensorType::q3_k) return write_q3_k;
    if (type == TensorType::q4_1) return write_q4_1;
    if (type == TensorType::q5_1) return write_q5_1;
    if (type == TensorType::q5_k) return write_q5_k;
    if (type == TensorType::q2_k) return write_q2_k;
    return nullptr;
}

}  // namespace

void dequantise_row(TensorType type, std::uint8_t const* row, std::span<float> out) {
    auto const& traits = type_traits(type);
    KITH_ASSERT(traits.has_kernels && out.size() % traits.block_elements == 0);
    if (auto const read = read_block(type); read != nullptr) {
        for (std::size_t b = 0; b < out.size() / traits.block_elements; ++b)
            read(row + b * traits.block_bytes, &out[b * traits.block_elements]);
        return;
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (type == TensorType::f32) {
            std::memcpy(&out[i], row + 4 * i, sizeof(float));
        } else {
            auto const bits = base::load_le<std::uint16_t>(base::ByteView(row + 2 * i, 2));
            out[i] = type == TensorType::f16 ? half_to_float(bits) : bfloat_to_float(bits);
        }
    }
}

void quantise_row(TensorType type, std::span<float const> row, std::uint8_t* out) {
    auto const& traits = type_traits(type);
    KITH_ASSERT(traits.has_kernels && row.size() % traits.block_elements == 0);
    if (auto const write = write_block(type); write != nullptr) {
        for (std::size_t b = 0; b < row.size() / traits.block_elements; ++b)
            write(&row[b * traits.block_elements], out + b * traits.block_bytes);
        return;
    }
    for (std::size_t i = 0; i < row.size(); ++i) {
        if (type == TensorType::f32) {
            std::memcpy(out + 4 * i, &row[i], sizeof(float));
        } else {
            auto const bits =
                type == TensorType::f16 ? float_to_half(row[i]) : float_to_bfloat(row[i]);
            base::store_le(base::MutableByteView(out + 2 * i, 2), bits);
        }
    }
}

}  // namespace kith::infer
