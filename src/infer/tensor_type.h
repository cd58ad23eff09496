// infer/tensor_type.h: the element types a GGUF tensor can have (ggml.h, enum ggml_type) and their
// block sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kith::infer {

// Values are those on disk. Types with a kernel here carry their own name; the rest is known by
// size only, so that `inspect` can list them and a loader can refuse them by name.
enum class TensorType : std::uint32_t {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q8_1 = 9,
    q2_k = 10,
    q3_k = 11,
    q4_k = 12,
    q5_k = 13,
    q6_k = 14,
    q8_k = 15,
    iq2_xxs = 16,
    iq2_xs = 17,
    iq3_xxs = 18,
    iq1_s = 19,
    iq4_nl = 20,
    iq3_s = 21,
    iq2_s = 22,
    iq4_xs = 23,
    i8 = 24,
    i16 = 25,
    i32 = 26,
    i64 = 27,
    f64 = 28,
    iq1_m = 29,
    bf16 = 30,
    tq1_0 = 34,
    tq2_0 = 35,
    mxfp4 = 39,
};

struct TypeTraits {
    TensorType type;
    std::string_view name;       // as printed by other tools: "Q4_0"
    std::size_t block_elements;  // a row's length must be a multiple of it
    std::size_t block_bytes;
    bool has_kernels;  // can be multiplied with here
};

// nullopt for a number that is no known type (also the ones that were removed: 4, 5, 31 to 33, 36
// to 38).
std::optional<TypeTraits> find_type_traits(std::uint32_t type_on_disk);
TypeTraits const& type_traits(TensorType type);  // `type` is one of the enumerators
// By name, any case ("q8_0", "Q8_0"); nullopt when unknown.
std::optional<TensorType> find_type(std::string_view name);

// Bytes of a row of `columns` elements, a multiple of block_elements (asserted).
std::size_t row_bytes(TensorType type, std::size_t columns);

}  // namespace kith::infer
