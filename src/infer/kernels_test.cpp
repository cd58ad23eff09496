#include "infer/kernels.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "infer/half.h"
#include "infer/packed/layout.h"
#include "infer/sampler.h"

namespace kith::infer {
namespace {

constexpr TensorType types[] = {
    TensorType::f32,  TensorType::f16,  TensorType::bf16, TensorType::q8_0,   TensorType::q4_0,
    TensorType::q4_k, TensorType::q6_k, TensorType::q5_0, TensorType::iq4_nl, TensorType::q3_k,
    TensorType::q4_1, TensorType::q5_1, TensorType::q5_k, TensorType::q2_k};

struct alignas(packed_alignment) Line {
    std::byte bytes[packed_alignment];
};

std::vector<float> random_floats(Xoshiro256& random, std::size_t count, double width) {
    std::vector<float> out(count);
    for (auto& value : out) value = static_cast<float>((random.next_unit() - 0.5) * width);
    return out;
}

std::vector<Line> activations(KernelTable const& kernels, TensorType type,
                              std::vector<float> const& rows, std::size_t columns) {
    auto const kind = activation_kind(type);
    auto const stride = activation_row_bytes(kind, columns);
    std::vector<Line> out(stride * (rows.size() / columns) / sizeof(Line));
    auto* to = out.data()->bytes;
    for (std::size_t at = 0; at < rows.size(); at += columns, to += stride) {
        convert_activations(kernels, kind, std::span(rows).subspan(at, columns), to);
    }
    return out;
}

// Each activation row times each weight row: out[token * weight_rows + row].
std::vector<float> dots(KernelTable const& kernels, TensorType type,
                        std::span<std::uint8_t const> weights, std::vector<Line> const& in,
                        std::size_t tokens, std::size_t columns) {
    auto const row_stride = row_bytes(type, columns);
    auto const rows = weights.size() / row_stride;
    auto const stride = activation_row_bytes(activation_kind(type), columns);
    float const untouched = 12345.0F;
    std::vector<float> out(tokens * rows + 1, untouched);
    if (!can_pack(type)) {
        for (std::size_t row = 0; row < rows; ++row)
            kernels.dot(type)({.weights = &weights[row * row_stride],
                               .activations = in.data()->bytes,
                               .activation_stride = stride,
                               .rows_count = tokens,
                               .columns = columns,
                               .out = &out[row],
                               .out_stride = rows});
    } else {
        auto const group_bytes = packed_group_bytes(type, columns);
        auto const groups = (rows + packed_rows - 1) / packed_rows;
        std::vector<Line> packed(groups * group_bytes / sizeof(Line));
        for (std::size_t row = 0; row < rows; row += packed_rows)
            pack_group({.type = type,
                        .rows = &weights[row * row_stride],
                        .row_stride = row_stride,
                        .rows_count = std::min(packed_rows, rows - row),
                        .columns = columns,
                        .out = packed.data()->bytes + row / packed_rows * group_bytes});
        kernels.packed_function(type)({.groups = packed.data()->bytes,
                                       .group_stride = group_bytes,
                                       .quants_offset = packed_quants_offset(type, columns),
                                       .rows_count = rows,
                                       .columns = columns,
                                       .activations = in.data()->bytes,
                                       .activation_stride = stride,
                                       .tokens_count = tokens,
                                       .out = out.data(),
                                       .out_stride = rows});
    }
    CHECK(out.back() == untouched);
    out.pop_back();
    return out;
}

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
    return std::ranges::equal(a, b, [](float x, float y) {
        return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
    });
}

TEST_CASE("float16 conversions are exact both ways for all 65536 values") {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        auto const half = static_cast<std::uint16_t>(bits);
        float const value = half_to_float(half);
        if (std::isnan(value)) {
            REQUIRE((half & 0x7fffU) > 0x7c00U);
            REQUIRE(std::isnan(half_to_float(float_to_half(value))));
        } else {
            REQUIRE(float_to_half(value) == half);
        }
    }
    CHECK(float_to_half(65519.0F) == 0x7bff);
    CHECK(float_to_half(65520.0F) == 0x7c00);
    CHECK(float_to_half(1.0F + 0x1p-11F) == 0x3c00);  // tie, to even
    CHECK(float_to_half(1.0F + 0x1p-11F + 0x1p-20F) == 0x3c01);
    CHECK(float_to_half(0x1p-25F) == 0);  // tie below the smallest
    CHECK(float_to_half(0x1.8p-25F) == 1);
}

TEST_CASE("a quantised row comes back within the step of its type") {
    std::uint64_t const seed = 7;
    CAPTURE(seed);
    Xoshiro256 random(seed);
    auto const row = random_floats(random, 512, 2.0);
    for (auto const type : types) {
        CAPTURE(type_traits(type).name);
        std::vector<std::uint8_t> packed(row_bytes(type, row.size()));
        quantise_row(type, row, packed.data());
        std::vector<float> back(row.size());
        dequantise_row(type, packed.data(), back);
        double error = 0;
        double size = 0;
        for (std::size_t i = 0; i < row.size(); ++i) {
            error += std::pow(static_cast<double>(back[i] - row[i]), 2);
            size += std::pow(static_cast<double>(row[i]), 2);
        }
        double bound = 1e-13;
        if (type == TensorType::f16) bound = 1e-6;
        if (type == TensorType::bf16) bound = 1e-5;
        if (type == TensorType::q8_0) bound = 1e-4;
        if (type == TensorType::q6_k) bound = 1e-3;
        if (type == TensorType::q5_0) bound = 5e-3;
        if (type == TensorType::q4_0 || type == TensorType::q4_k || type == TensorType::iq4_nl)
            bound = 2e-2;
        if (type == TensorType::q4_1) bound = 5e-3;
        if (type == TensorType::q5_1 || type == TensorType::q5_k) bound = 2e-3;
        if (type == TensorType::q3_k) bound = 5e-2;
        if (type == TensorType::q2_k) bound = 1e-1;
        CHECK(error / size < bound);
    }
}

TEST_CASE("each dot product is that of the dequantised row with the quantised input") {
    std::uint64_t const seed = 11;
    CAPTURE(seed);
    Xoshiro256 random(seed);
    auto const& kernels = portable_kernels;
    std::size_t const columns = 768;
    for (auto const type : types) {
        CAPTURE(type_traits(type).name);
        auto const row = random_floats(random, columns, 0.5);
        auto const in = random_floats(random, columns, 3.0);
        std::vector<std::uint8_t> packed(row_bytes(type, columns));
        quantise_row(type, row, packed.data());
        std::vector<float> exact(columns);
        dequantise_row(type, packed.data(), exact);
        double expected = 0;
        double size = 0;
        for (std::size_t i = 0; i < columns; ++i) {
            expected += static_cast<double>(exact[i]) * static_cast<double>(in[i]);
            size += std::fabs(static_cast<double>(exact[i]) * static_cast<double>(in[i]));
        }
        auto const out =
            dots(kernels, type, packed, activations(kernels, type, in, columns), 1, columns);
        auto const kind = activation_kind(type);
        bool const exact_input = kind == ActivationKind::f32;
        CHECK(std::fabs(static_cast<double>(out[0]) - expected) <
              size * (exact_input ? 1e-6 : 2e-3));
    }
}

TEST_CASE("several activation rows at once give the bits of one by one") {
    std::uint64_t const seed = 13;
    CAPTURE(seed);
    Xoshiro256 random(seed);
    for (auto const* const kernels : {find_kernels(Isa::portable), find_kernels(Isa::detected)}) {
        CAPTURE(kernels->name);
        for (auto const type : types) {
            CAPTURE(type_traits(type).name);
            std::size_t const columns = 512;
            std::size_t const rows = 7;
            auto const weights = random_floats(random, columns, 1.0);
            auto const in = random_floats(random, rows * columns, 2.0);
            std::vector<std::uint8_t> packed(row_bytes(type, columns));
            quantise_row(type, weights, packed.data());
            auto const together = dots(*kernels, type, packed,
                                       activations(*kernels, type, in, columns), rows, columns);
            for (std::size_t i = 0; i < rows; ++i) {
                std::vector<float> const one(&in[i * columns], &in[i * columns] + columns);
                auto const alone = dots(*kernels, type, packed,
                                        activations(*kernels, type, one, columns), 1, columns);
                CHECK(same_bits(alone, {together[i]}));
            }
        }
    }
}

// Ordinary numbers, and those that break careless kernels.
std::vector<float> adversarial_floats(Xoshiro256& random, std::size_t count) {
    static constexpr float odd[] = {0.0F,  -0.0F,  1e-42F, -1e-38F, 65504.0F, -65504.0F,
                                    1e30F, -1e30F, 1e-30F, 127.5F,  -0.5F,    1.0F};
    auto out = random_floats(random, count, 4.0);
    for (auto& value : out)
        if (random.next() % 3 == 0) value = odd[random.next() % std::size(odd)];
    return out;
}

std::vector<KernelTable const*> fast_tables() {
    std::vector<KernelTable const*> out;
    for (auto const isa : {Isa::avx2, Isa::avx512})
        if (auto const* const table = find_kernels(isa); table != nullptr) out.push_back(table);
    if (out.size() < 2) MESSAGE("this processor lacks AVX2 or AVX-512 VNNI: not all compared");
    return out;
}

// NaN is one value here: which of two NaN a sum keeps is not part of the contract.
bool same_numbers(std::vector<float> const& a, std::vector<float> const& b) {
    return std::ranges::equal(a, b, [](float x, float y) {
        return (std::isnan(x) && std::isnan(y)) ||
               std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
    });
}

void check_same(TensorType type, std::vector<std::uint8_t> const& weights,
                std::vector<float> const& in, std::size_t tokens) {
    auto const& slow = portable_kernels;
    auto const columns = in.size() / tokens;
    auto const a = activations(slow, type, in, columns);
    auto const expected = dots(slow, type, weights, a, tokens, columns);
    for (auto const* const fast : fast_tables()) {
        CAPTURE(fast->name);
        auto const b = activations(*fast, type, in, columns);
        CHECK(same_numbers(expected, dots(*fast, type, weights, b, tokens, columns)));
    }
}

TEST_CASE("all kernels give the same bits, for any number of rows and tokens") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Xoshiro256 random(seed);
        for (auto const type : types) {
            CAPTURE(type_traits(type).name);
            bool const floats = type_traits(type).block_elements == 1;
            std::size_t const columns = floats ? 500 + seed : 512;
            std::size_t const rows = 1 + random.next() % 50;
            std::size_t const tokens = 1 + random.next() % 12;
            CAPTURE(rows);
            CAPTURE(tokens);
            auto const in = seed % 2 == 0 ? random_floats(random, tokens * columns, 2.0)
                                          : adversarial_floats(random, tokens * columns);
            std::vector<std::uint8_t> packed(rows * row_bytes(type, columns));
            for (std::size_t row = 0; row < rows; ++row)
                quantise_row(type, random_floats(random, columns, 1.0),
                             &packed[row * row_bytes(type, columns)]);
            check_same(type, packed, in, tokens);
        }
    }
}

TEST_CASE("weights that are any bytes give the same numbers in all kernels") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Xoshiro256 random(seed);
        for (auto const type : types) {
            CAPTURE(type_traits(type).name);
            std::vector<std::uint8_t> packed(3 * row_bytes(type, 512));
            for (auto& byte : packed) byte = static_cast<std::uint8_t>(random.next());
            check_same(type, packed, adversarial_floats(random, 2 * 512), 2);
        }
    }
}

TEST_CASE("quantised weights at the ends of their range give the same bits in all kernels") {
    std::uint64_t const seed = 17;
    CAPTURE(seed);
    Xoshiro256 random(seed);
    for (auto const type :
         {TensorType::q8_0, TensorType::q4_0, TensorType::q4_1, TensorType::q5_1, TensorType::q2_k,
          TensorType::q4_k, TensorType::q5_k, TensorType::q6_k}) {
        CAPTURE(type_traits(type).name);
        auto const& traits = type_traits(type);
        std::size_t const columns = 512;
        std::vector<std::uint8_t> packed(row_bytes(type, columns));
        for (auto& byte : packed) {
            static constexpr std::uint8_t ends[] = {0x80, 0x7f, 0xff, 0x00};
            byte = ends[random.next() % 4];
        }
        for (std::size_t at = 0; at < packed.size(); at += traits.block_bytes) {
            auto d = at;
            if (type == TensorType::q6_k) d += 208;
            if (type == TensorType::q2_k) d += 80;
            packed[d] = 0;
            packed[d + 1] = 0x3c;  // scale 1.0
            bool const one =
                type == TensorType::q8_0 || type == TensorType::q4_0 || type == TensorType::q6_k;
            if (!one) {  // the minimum's
                packed[d + 2] = 0;
                packed[d + 3] = 0x3c;
            }
        }
        std::vector<float> in(columns);
        for (auto& value : in) value = random.next() % 2 == 0 ? 1.0F : -1.0F;
        check_same(type, packed, in, 1);
    }
}

TEST_CASE("element-wise kernels give the same bits, for every length") {
    auto const* const fast = find_kernels(Isa::detected);
    auto const& slow = portable_kernels;
    for (std::size_t count = 1; count < 70; ++count) {
        CAPTURE(count);
        Xoshiro256 random(count);
        auto const x = random_floats(random, count, 20.0);
        auto const y = random_floats(random, count, 2.0);
        CHECK(slow.sum_of_squares(x.data(), count) == fast->sum_of_squares(x.data(), count));
        auto a = x;
        auto b = x;
        slow.swiglu(a.data(), y.data(), count);
        fast->swiglu(b.data(), y.data(), count);
        CHECK(same_bits(a, b));
        a = b = x;
        slow.geglu(a.data(), y.data(), count);
        fast->geglu(b.data(), y.data(), count);
        CHECK(same_bits(a, b));
        a = b = x;
        slow.soft_cap(a.data(), count, 5.0F);
        fast->soft_cap(b.data(), count, 5.0F);
        CHECK(same_bits(a, b));
        std::vector<std::uint16_t> halves(count * 3);
        std::vector<std::uint16_t> other(count * 3);
        auto const values = random_floats(random, count * 3, 1.0);
        slow.to_f16(values.data(), halves.data(), halves.size());
        fast->to_f16(values.data(), other.data(), other.size());
        CHECK(halves == other);
    }
}

TEST_CASE("gates and caps are what they are named after, far out too") {
    for (float const x :
         {0.0F, -0.0F, 1e-6F, 0.3F, -0.7F, 2.0F, -5.0F, 12.0F, 90.0F, -90.0F, 3e4F}) {
        CAPTURE(x);
        auto const wide = static_cast<double>(x);
        float silu = x;
        float gelu = x;
        float cap = x;
        float const two = 2;
        portable_kernels.swiglu(&silu, &two, 1);
        portable_kernels.geglu(&gelu, &two, 1);
        portable_kernels.soft_cap(&cap, 1, 30.0F);
        auto const inner = 0.7978845608028654 * (wide + 0.044715 * wide * wide * wide);
        auto const size = 1e-5 * std::max(1.0, std::fabs(wide));
        CHECK(std::fabs(static_cast<double>(silu) - 2 * wide / (1 + std::exp(-wide))) < size);
        CHECK(std::fabs(static_cast<double>(gelu) - wide * (1 + std::tanh(inner))) < size);
        CHECK(std::fabs(static_cast<double>(cap) - 30 * std::tanh(wide / 30)) < 1e-5);
    }
}

TEST_CASE("NaN and infinity in activations are survived") {
    float const nan = std::numeric_limits<float>::quiet_NaN();
    float const infinity = std::numeric_limits<float>::infinity();
    for (auto const* const kernels : {find_kernels(Isa::portable), find_kernels(Isa::detected)})
        for (auto const type : types) {
            std::vector<float> in(512, 1.0F);
            in[3] = nan;
            in[40] = infinity;
            in[300] = -infinity;
            std::vector<std::uint8_t> packed(row_bytes(type, 512), 0xff);
            auto const out =
                dots(*kernels, type, packed, activations(*kernels, type, in, 512), 1, 512);
            CHECK(out.size() == 1);
        }
}

}  // namespace
}  // namespace kith::infer
