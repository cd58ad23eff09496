// infer/gguf.h: reads GGUF v2 and v3 files (docs/gguf.md of the ggml project) as hostile input.
//
// The parser copies nothing: strings, arrays and tensor data are views into the file's bytes, which
// must outlive the Gguf. Every count, length and offset is checked against a named limit and
// against the bytes that are there before it is used; sums and products go through checked
// arithmetic only. What is accepted holds afterwards:
//   1. every tensor lies wholly inside the file, at a multiple of the alignment, and overlaps no
//   other;
//   2. its size in bytes follows from its shape and type without overflow, and no dimension is 0;
//   3. keys and tensor names are unique; arrays do not nest.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/tensor_type.h"

namespace kith::infer {

inline constexpr std::size_t gguf_keys_max = 4096;
inline constexpr std::size_t gguf_tensors_max = 65536;
inline constexpr std::size_t gguf_key_bytes_max = 256;
inline constexpr std::size_t gguf_tensor_name_bytes_max = 64;  // ggml.h: GGML_MAX_NAME
inline constexpr std::size_t gguf_string_bytes_max = 1U << 20U;
inline constexpr std::size_t gguf_array_items_max = 4U << 20U;
inline constexpr std::size_t gguf_dimensions_max = 4;  // ggml.h: GGML_MAX_DIMS
inline constexpr std::uint32_t gguf_alignment_default = 32;
inline constexpr std::uint32_t gguf_alignment_max = 1U << 16U;

// Values are those on disk.
enum class GgufType : std::uint32_t {
    uint8 = 0,
    int8 = 1,
    uint16 = 2,
    int16 = 3,
    uint32 = 4,
    int32 = 5,
    float32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    uint64 = 10,
    int64 = 11,
    float64 = 12,
};
char const* gguf_type_name(GgufType type);

// One metadata value: a scalar, a string, or an array of either. A view into the file.
class GgufValue {
public:
    GgufValue(GgufType type, GgufType item_type, std::size_t count, base::ByteView data)
        : type_(type), item_type_(item_type), count_(count), data_(data) {}

    [[nodiscard]] GgufType type() const { return type_; }
    [[nodiscard]] GgufType item_type() const { return item_type_; }  // type() unless an array
    [[nodiscard]] std::size_t count() const { return count_; }       // 1 unless an array
    [[nodiscard]] base::ByteView data() const { return data_; }      // as encoded, without the type

    // nullopt when the value is of another kind. as_unsigned and as_signed accept any integer type
    // that holds the number; as_number accepts integers and floats.
    [[nodiscard]] std::optional<std::uint64_t> as_unsigned() const;
    [[nodiscard]] std::optional<std::int64_t> as_signed() const;
    [[nodiscard]] std::optional<double> as_number() const;
    [[nodiscard]] std::optional<bool> as_bool() const;
    [[nodiscard]] std::optional<std::string_view> as_string() const;
    // The items of an array; nullopt when it is no array of strings, of integers that fit, of
    // numbers.
    [[nodiscard]] std::optional<std::vector<std::string_view>> as_strings() const;
    [[nodiscard]] std::optional<std::vector<std::int64_t>> as_integers() const;
    [[nodiscard]] std::optional<std::vector<float>> as_floats() const;

private:
    GgufType type_;
    GgufType item_type_;
    std::size_t count_;
    base::ByteView data_;
};

struct GgufTensor {
    std::string_view name;
    TensorType type = TensorType::f32;
    std::vector<std::size_t> shape;  // 1 to 4 numbers, innermost (the row's length) first
    base::ByteView data;

    [[nodiscard]] std::size_t columns() const { return shape[0]; }
    [[nodiscard]] std::size_t rows() const;      // product of the other dimensions
    [[nodiscard]] std::size_t elements() const;  // product of all
};

class Gguf {
public:
    // Code::invalid (malformed), Code::too_large (a limit), Code::unsupported (version, big-endian,
    // tensor type).
    static base::Result<Gguf> parse(base::ByteView file);

    [[nodiscard]] std::uint32_t version() const { return version_; }
    [[nodiscard]] std::size_t alignment() const { return alignment_; }
    [[nodiscard]] std::map<std::string_view, GgufValue> const& values() const { return values_; }
    [[nodiscard]] std::vector<GgufTensor> const& tensors() const { return tensors_; }  // file order

    // nullptr when absent; valid while the Gguf lives.
    [[nodiscard]] GgufValue const* find(std::string_view key) const;
    [[nodiscard]] GgufTensor const* find_tensor(std::string_view name) const;

    // A key that must be there and of that kind; the error names it.
    [[nodiscard]] base::Result<std::uint64_t> require_unsigned(std::string_view key) const;
    [[nodiscard]] base::Result<std::string_view> require_string(std::string_view key) const;

private:
    friend class GgufParser;
    Gguf() = default;

    std::uint32_t version_ = 0;
    std::size_t alignment_ = gguf_alignment_default;
    std::map<std::string_view, GgufValue> values_;
    std::vector<GgufTensor> tensors_;
    std::map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace kith::infer
