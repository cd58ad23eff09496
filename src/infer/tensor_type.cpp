#include "infer/tensor_type.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/check.h"

namespace kith::infer {
namespace {

// ggml.c, type_traits: elements and bytes of a block.
constexpr std::array all_types{
    TypeTraits{TensorType::f32, "F32", 1, 4, true},
    TypeTraits{TensorType::f16, "F16", 1, 2, true},
    TypeTraits{TensorType::q4_0, "Q4_0", 32, 18, true},
    TypeTraits{TensorType::q4_1, "Q4_1", 32, 20, true},
    TypeTraits{TensorType::q5_0, "Q5_0", 32, 22, true},
    TypeTraits{TensorType::q5_1, "Q5_1", 32, 24, true},
    TypeTraits{TensorType::q8_0, "Q8_0", 32, 34, true},
    TypeTraits{TensorType::q8_1, "Q8_1", 32, 36, false},
    TypeTraits{TensorType::q2_k, "Q2_K", 256, 84, true},
    TypeTraits{TensorType::q3_k, "Q3_K", 256, 110, true},
    TypeTraits{TensorType::q4_k, "Q4_K", 256, 144, true},
    TypeTraits{TensorType::q5_k, "Q5_K", 256, 176, true},
    TypeTraits{TensorType::q6_k, "Q6_K", 256, 210, true},
    TypeTraits{TensorType::q8_k, "Q8_K", 256, 292, false},
    TypeTraits{TensorType::iq2_xxs, "IQ2_XXS", 256, 66, false},
    TypeTraits{TensorType::iq2_xs, "IQ2_XS", 256, 74, false},
    TypeTraits{TensorType::iq3_xxs, "IQ3_XXS", 256, 98, false},
    TypeTraits{TensorType::iq1_s, "IQ1_S", 256, 50, false},
    TypeTraits{TensorType::iq4_nl, "IQ4_NL", 32, 18, true},
    TypeTraits{TensorType::iq3_s, "IQ3_S", 256, 110, false},
    TypeTraits{TensorType::iq2_s, "IQ2_S", 256, 82, false},
    TypeTraits{TensorType::iq4_xs, "IQ4_XS", 256, 136, false},
    TypeTraits{TensorType::i8, "I8", 1, 1, false},
    TypeTraits{TensorType::i16, "I16", 1, 2, false},
    TypeTraits{TensorType::i32, "I32", 1, 4, false},
    TypeTraits{TensorType::i64, "I64", 1, 8, false},
    TypeTraits{TensorType::f64, "F64", 1, 8, false},
    TypeTraits{TensorType::iq1_m, "IQ1_M", 256, 56, false},
    TypeTraits{TensorType::bf16, "BF16", 1, 2, true},
    TypeTraits{TensorType::tq1_0, "TQ1_0", 256, 54, false},
    TypeTraits{TensorType::tq2_0, "TQ2_0", 256, 66, false},
    TypeTraits{TensorType::mxfp4, "MXFP4", 32, 17, false},
};

}  // namespace

std::optional<TypeTraits> find_type_traits(std::uint32_t type_on_disk) {
    for (auto const& traits : all_types)
        if (static_cast<std::uint32_t>(traits.type) == type_on_disk) return traits;
    return std::nullopt;
}

TypeTraits const& type_traits(TensorType type) {
    auto const found = std::ranges::find(all_types, type, &TypeTraits::type);
    KITH_ASSERT(found != all_types.end());
    return *found;
}

std::optional<TensorType> find_type(std::string_view name) {
    auto const same = [](char a, char b) {
        return std::toupper(static_cast<unsigned char>(a)) == b;
    };
    for (auto const& traits : all_types)
        if (std::ranges::equal(name, traits.name, same)) return traits.type;
    return std::nullopt;
}

std::size_t row_bytes(TensorType type, std::size_t columns) {
    auto const& traits = type_traits(type);
    KITH_ASSERT(columns % traits.block_elements == 0);
    return columns / traits.block_elements * traits.block_bytes;
}

}  // namespace kith::infer
