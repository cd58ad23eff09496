// Blocks of 256 elements, whose parts have scales of their own (ggml-quants.h).
#include <algorithm>
#include <array>
#include <cmath>

#include "infer/block_formats.h"
#include "infer/quantise_blocks.h"

namespace kith::infer {
namespace {

constexpr std::size_t block256 = 256;

// Scale and min number i of the 12 packed bytes.
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

// Q4_K: {d, dmin, scales and mins[12], nibbles[128]}; Q5_K has the fifth bits[32] before the
// nibbles.
void read_with_mins(std::uint8_t const* in, std::uint8_t const* fifth, std::uint8_t const* nibbles,
                    float* out) {
    float const d = load_half(in);
    float const dmin = load_half(in + 2);
    for (std::size_t s = 0; s < 8; ++s) {
        auto const [scale, min] = scale_and_min(in + 4, s);
        for (std::size_t i = 0; i < 32; ++i) {
            int value = nibbles[32 * (s / 2) + i] >> (4 * (s % 2)) & 15;
            if (fifth != nullptr) value |= (fifth[i] >> s & 1) << 4;
            out[32 * s + i] = d * static_cast<float>(scale) * static_cast<float>(value) -
                              dmin * static_cast<float>(min);
        }
    }
}

void write_with_mins(float const* in, int largest, std::uint8_t* out, std::uint8_t* fifth,
                     std::uint8_t* nibbles) {
    std::array<float, 8> scales{};
    std::array<float, 8> mins{};
    for (std::size_t s = 0; s < 8; ++s) {
        auto const [low, high] = std::minmax_element(in + 32 * s, in + 32 * s + 32);
        mins[s] = -std::min(*low, 0.0F);
        scales[s] = (std::max(*high, 0.0F) + mins[s]) / static_cast<float>(largest);
    }
    store_half(out, *std::ranges::max_element(scales) / 63);
    store_half(out + 2, *std::ranges::max_element(mins) / 63);
    float const d = load_half(out);
    float const dmin = load_half(out + 2);
    for (std::size_t s = 0; s < 8; ++s) {
        int const scale = nearest(scales[s], d, 0, 63);
        int const min = nearest(mins[s], dmin, 0, 63);
        pack_scale_and_min(out + 4, s, static_cast<unsigned>(scale), static_cast<unsigned>(min));
        for (std::size_t i = 0; i < 32; ++i) {
            float const shifted = in[32 * s + i] + dmin * static_cast<float>(min);
            int const value = nearest(shifted, d * static_cast<float>(scale), 0, largest);
            auto& low = nibbles[32 * (s / 2) + i];
            low = static_cast<std::uint8_t>(low | (value & 15) << (4 * (s % 2)));
            if (fifth != nullptr) fifth[i] = static_cast<std::uint8_t>(fifth[i] | value >> 4 << s);
        }
    }
}

}  // namespace

// Nearest whole number of value / step within [low, high]; 0 when step is 0 or the quotient is no
// number.
int nearest(float value, float step, int low, int high) {
    if (step == 0) return std::clamp(0, low, high);
    float const quotient = value / step;
    if (!(std::fabs(quotient) < 1e6F)) return std::clamp(0, low, high);
    return std::clamp(static_cast<int>(std::lround(quotient)), low, high);
}

void read_q4_k(std::uint8_t const* in, float* out) {
    read_with_mins(in, nullptr, in + 16, out);
}

void read_q5_k(std::uint8_t const* in, float* out) {
    read_with_mins(in, in + 16, in + 48, out);
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

// Q2_K: {scale and, above it, min[16], pairs of bits[64], d, dmin}
void read_q2_k(std::uint8_t const* in, float* out) {
    float const d = load_half(in + 80);
    float const dmin = load_half(in + 82);
    for (std::size_t e = 0; e < block256; ++e) {
        int const value = in[16 + 32 * (e / 128) + e % 32] >> (2 * (e / 32 % 4)) & 3;
        auto const scale = static_cast<float>(in[e / 16] & 15);
        auto const min = static_cast<float>(in[e / 16] >> 4);
        out[e] = d * scale * static_cast<float>(value) - dmin * min;
    }
}

void write_q4_k(float const* in, std::uint8_t* out) {
    std::fill_n(out, 144, std::uint8_t{0});
    write_with_mins(in, 15, out, nullptr, out + 16);
}

void write_q5_k(float const* in, std::uint8_t* out) {
    std::fill_n(out, 176, std::uint8_t{0});
    write_with_mins(in, 31, out, out + 16, out + 48);
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

void write_q2_k(float const* in, std::uint8_t* out) {
    std::fill_n(out, 84, std::uint8_t{0});
    std::array<float, 16> scales{};
    std::array<float, 16> mins{};
    for (std::size_t s = 0; s < 16; ++s) {
        auto const [low, high] = std::minmax_element(in + 16 * s, in + 16 * s + 16);
        mins[s] = -std::min(*low, 0.0F);
        scales[s] = (std::max(*high, 0.0F) + mins[s]) / 3;
    }
    store_half(out + 80, *std::ranges::max_element(scales) / 15);
    store_half(out + 82, *std::ranges::max_element(mins) / 15);
    float const d = load_half(out + 80);
    float const dmin = load_half(out + 82);
    for (std::size_t s = 0; s < 16; ++s)
        out[s] = static_cast<std::uint8_t>(nearest(scales[s], d, 0, 15) |
                                           nearest(mins[s], dmin, 0, 15) << 4);
    for (std::size_t e = 0; e < block256; ++e) {
        float const shifted = in[e] + dmin * static_cast<float>(out[e / 16] >> 4);
        int const value = nearest(shifted, d * static_cast<float>(out[e / 16] & 15), 0, 3);
        auto& pairs = out[16 + 32 * (e / 128) + e % 32];
        pairs = static_cast<std::uint8_t>(pairs | value << (2 * (e / 32 % 4)));
    }
}

}  // namespace kith::infer
