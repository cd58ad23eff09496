// Rows of the GGUF block formats to floats and back (ggml-quants.h describes the blocks).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "infer/block_formats.h"
#include "infer/half.h"
#include "infer/kernels.h"

namespace kith::infer {
namespace {

constexpr std::size_t block32 = 32;
constexpr std::size_t block256 = 256;

void store_half(std::uint8_t* out, float value) {
    base::store_le(base::MutableByteView(out, 2), float_to_half(value));
}

// Nearest whole number of value / step within [low, high]; 0 when step is 0 or the quotient is no
// number.
int nearest(float value, float step, int low, int high) {
    if (step == 0) return std::clamp(0, low, high);
    float const quotient = value / step;
    if (!(std::fabs(quotient) < 1e6F)) return std::clamp(0, low, high);
    return std::clamp(static_cast<int>(std::lround(quotient)), low, high);
}

// Q4_K: scale and min number i of the 12 packed bytes; see kernels_dot_blocks.h.
std::array<std::uint8_t, 2> scale_and_min(std::uint8_t const* packed, std::size_t i) {
    if (i < 4)
        return {static_cast<std::uint8_t>(packed[i] & 63),
                static_cast<std::uint8_t>(packed[i + 4] & 63)};
    return {static_cast<std::uint8_t>((packed[i + 4] & 15) | ((packed[i - 4] >> 6) << 4)),
            static_cast<std::uint8_t>((packed[i + 4] >> 4) | ((packed[i] >> 6) << 4))};
}

void pack_scale_and_min(std::uint8_t* packed, std::size_t i, unsigned scale, unsigned min) {
    if (i < 4) {
        packed[i] = static_cast<std::uint8_t>(packed[i] | scale);
        packed[i + 4] = static_cast<std::uint8_t>(packed[i + 4] | min);
        return;
    }
    packed[i + 4] = static_cast<std::uint8_t>((scale & 15U) | ((min & 15U) << 4U));
    packed[i - 4] = static_cast<std::uint8_t>(packed[i - 4] | ((scale >> 4U) << 6U));
    packed[i] = static_cast<std::uint8_t>(packed[i] | ((min >> 4U) << 6U));
}

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

void read_q4_k(std::uint8_t const* in, float* out) {
    float const d = load_half(in);
    float const dmin = load_half(in + 2);
    for (std::size_t s = 0; s < 8; ++s) {
        auto const [scale, min] = scale_and_min(in + 4, s);
        auto const* const packed = in + 16 + 32 * (s / 2);
        for (std::size_t i = 0; i < 32; ++i) {
            int const nibble = s % 2 == 0 ? packed[i] & 15 : packed[i] >> 4;
            out[32 * s + i] = d * static_cast<float>(scale) * static_cast<float>(nibble) -
                              dmin * static_cast<float>(min);
        }
    }
}

void read_q6_k(std::uint8_t const* in, float* out) {
    float const d = load_half(in + 208);
    for (std::size_t e = 0; e < block256; ++e) {
        auto const half_index = e / 128;
        auto const part = e / 32 % 4;
        auto const i = e % 32;
        int const low = in[64 * half_index + 32 * (part % 2) + i] >> (4 * (part / 2)) & 15;
        int const high = in[128 + 32 * half_index + i] >> (2 * part) & 3;
        auto const scale = static_cast<float>(static_cast<std::int8_t>(in[192 + e / 16]));
        out[e] = d * scale * static_cast<float>((low | high << 4) - 32);
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

void read_iq4_nl(std::uint8_t const* in, float* out) {
    float const scale = load_half(in);
    for (std::size_t i = 0; i < block32; ++i) {
        int const nibble = in[2 + i % 16] >> (4 * (i / 16)) & 15;
        out[i] = scale * static_cast<float>(iq4_nl_values[nibble]);
    }
}

// Q3_K: {high bits[32], low pairs[64], scales[12], half d}; a high bit that is not set is minus 4.
void read_q3_k(std::uint8_t const* in, float* out) {
    float const d = load_half(in + 108);
    for (std::size_t e = 0; e < block256; ++e) {
        int const low = in[32 + 32 * (e / 128) + e % 32] >> (2 * (e / 32 % 4)) & 3;
        int const high = in[e % 32] >> (e / 32) & 1;
        auto const scale = static_cast<float>(q3_k_scale(in + 96, e / 16));
        out[e] = d * scale * static_cast<float>((low | high << 2) - 4);
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

void write_q4_k(float const* in, std::uint8_t* out) {
    std::fill_n(out, 144, std::uint8_t{0});
    std::array<float, 8> scales{};
    std::array<float, 8> mins{};
    for (std::size_t s = 0; s < 8; ++s) {
        auto const [low, high] = std::minmax_element(in + 32 * s, in + 32 * s + 32);
        mins[s] = -std::min(*low, 0.0F);
        scales[s] = (std::max(*high, 0.0F) + mins[s]) / 15;
    }
    store_half(out, *std::ranges::max_element(scales) / 63);
    store_half(out + 2, *std::ranges::max_element(mins) / 63);
    float const d = load_half(out);
    float const dmin = load_half(out + 2);
    for (std::size_t s = 0; s < 8; ++s) {
        int const scale = nearest(scales[s], d, 0, 63);
        int const min = nearest(mins[s], dmin, 0, 63);
        pack_scale_and_min(out + 4, s, static_cast<unsigned>(scale), static_cast<unsigned>(min));
        auto* const packed = out + 16 + 32 * (s / 2);
        for (std::size_t i = 0; i < 32; ++i) {
            float const shifted = in[32 * s + i] + dmin * static_cast<float>(min);
            int const nibble = nearest(shifted, d * static_cast<float>(scale), 0, 15);
            packed[i] = static_cast<std::uint8_t>(packed[i] | (s % 2 == 0 ? nibble : nibble << 4));
        }
    }
}

void write_q6_k(float const* in, std::uint8_t* out) {
    std::fill_n(out, 210, std::uint8_t{0});
    std::array<float, 16> scales{};
    for (std::size_t s = 0; s < 16; ++s)
        for (std::size_t i = 0; i < 16; ++i)
            scales[s] = std::max(scales[s], std::fabs(in[16 * s + i]) / 31);
    store_half(out + 208, *std::ranges::max_element(scales) / 127);
    float const d = load_half(out + 208);
    for (std::size_t e = 0; e < block256; ++e) {
        int const scale = nearest(scales[e / 16], d, 0, 127);
        out[192 + e / 16] = static_cast<std::uint8_t>(scale);
        int const value = nearest(in[e], d * static_cast<float>(scale), -32, 31) + 32;
        auto const half_index = e / 128;
        auto const part = e / 32 % 4;
        auto& low = out[64 * half_index + 32 * (part % 2) + e % 32];
        auto& high = out[128 + 32 * half_index + e % 32];
        low = static_cast<std::uint8_t>(low | (value & 15) << (4 * (part / 2)));
        high = static_cast<std::uint8_t>(high | (value >> 4) << (2 * part));
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

void write_q3_k(float const* in, std::uint8_t* out) {
    std::fill_n(out, 110, std::uint8_t{0});
    std::array<float, 16> scales{};
    for (std::size_t s = 0; s < 16; ++s)
        for (std::size_t i = 0; i < 16; ++i)
            scales[s] = std::max(scales[s], std::fabs(in[16 * s + i]) / 4);
    store_half(out + 108, *std::ranges::max_element(scales) / 31);
    float const d = load_half(out + 108);
    for (std::size_t s = 0; s < 16; ++s) {
        int const packed = nearest(scales[s], d, 0, 31) + 32;
        auto& low = out[96 + s % 8];
        auto& high = out[104 + s % 4];
        low = static_cast<std::uint8_t>(low | (packed & 15) << (4 * (s / 8)));
        high = static_cast<std::uint8_t>(high | (packed >> 4) << (2 * (s / 4)));
    }
    for (std::size_t e = 0; e < block256; ++e) {
        float const step = d * static_cast<float>(q3_k_scale(out + 96, e / 16));
        int const value = nearest(in[e], step, -4, 3) + 4;
        auto& low = out[32 + 32 * (e / 128) + e % 32];
        auto& high = out[e % 32];
        low = static_cast<std::uint8_t>(low | (value & 3) << (2 * (e / 32 % 4)));
        high = static_cast<std::uint8_t>(high | (value >> 2) << (e / 32));
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
