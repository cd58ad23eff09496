#include "infer/gguf.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/check.h"

namespace kith::infer {
namespace {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

constexpr std::uint32_t gguf_magic = 0x46554747;  // "GGUF", little-endian
constexpr std::uint32_t gguf_version_oldest = 2;  // version 1 had 32-bit lengths and is extinct
constexpr std::uint32_t gguf_version_newest = 3;

// Bytes of a scalar; 0 for strings and arrays.
std::size_t scalar_bytes(GgufType type) {
    switch (type) {
        case GgufType::uint8:
        case GgufType::int8:
        case GgufType::boolean:
            return 1;
        case GgufType::uint16:
        case GgufType::int16:
            return 2;
        case GgufType::uint32:
        case GgufType::int32:
        case GgufType::float32:
            return 4;
        case GgufType::uint64:
        case GgufType::int64:
        case GgufType::float64:
            return 8;
        case GgufType::string:
        case GgufType::array:
            return 0;
    }
    return 0;
}

// For messages: file bytes are hostile, so only printable ASCII of them gets through.
std::string printable(std::string_view text) {
    std::string out;
    for (char const c : text.substr(0, gguf_tensor_name_bytes_max))
        out += (c >= 0x20 && c < 0x7f && c != '"') ? c : '?';
    return out;
}

// One scalar, whose bytes are there, as the widest type of its kind.
std::optional<std::uint64_t> load_unsigned(GgufType type, ByteView data) {
    if (type == GgufType::uint8) return data[0];
    if (type == GgufType::uint16) return base::load_le<std::uint16_t>(data);
    if (type == GgufType::uint32) return base::load_le<std::uint32_t>(data);
    if (type == GgufType::uint64) return base::load_le<std::uint64_t>(data);
    return std::nullopt;
}

std::optional<std::int64_t> load_signed(GgufType type, ByteView data) {
    if (type == GgufType::int8) return static_cast<std::int8_t>(data[0]);
    if (type == GgufType::int16)
        return static_cast<std::int16_t>(base::load_le<std::uint16_t>(data));
    if (type == GgufType::int32)
        return static_cast<std::int32_t>(base::load_le<std::uint32_t>(data));
    if (type == GgufType::int64)
        return static_cast<std::int64_t>(base::load_le<std::uint64_t>(data));
    auto const value = load_unsigned(type, data);
    if (!value || *value > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<std::int64_t>(*value);
}

std::optional<double> load_number(GgufType type, ByteView data) {
    if (type == GgufType::float32)
        return static_cast<double>(std::bit_cast<float>(base::load_le<std::uint32_t>(data)));
    if (type == GgufType::float64) return std::bit_cast<double>(base::load_le<std::uint64_t>(data));
    if (auto const value = load_signed(type, data)) return static_cast<double>(*value);
    if (auto const value = load_unsigned(type, data)) return static_cast<double>(*value);
    return std::nullopt;
}

}  // namespace

char const* gguf_type_name(GgufType type) {
    static constexpr char const* names[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                            "int32",  "float32", "bool",   "string", "array",
                                            "uint64", "int64",   "float64"};
    return names[static_cast<std::size_t>(type)];
}

// Walks the file once. Every read goes through take(), the only place that moves.
class GgufParser {
public:
    explicit GgufParser(ByteView file) : file_(file) {}

    Result<Gguf> parse();

private:
    struct Pending {  // a tensor before the data's start is known
        GgufTensor tensor;
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
    };

    [[nodiscard]] std::size_t left() const { return file_.size() - at_; }
    Result<ByteView> take(std::uint64_t count, char const* what);
    Result<std::uint32_t> take_u32(char const* what);
    Result<std::uint64_t> take_u64(char const* what);
    Result<std::string_view> take_string(std::size_t bytes_max, char const* what);
    Status read_key(Gguf& out);
    Result<GgufValue> read_value(std::uint32_t type, std::string_view key);
    Result<GgufValue> read_array(std::string_view key);
    Status read_alignment(Gguf& out);
    Result<Pending> read_tensor_info(Gguf& out);
    Status read_shape(Pending& pending);
    Status place_tensors(Gguf& out, std::vector<Pending> pending);
    static Status check_overlap(std::vector<Pending> const& pending);

    ByteView file_;
    std::size_t at_ = 0;
};

Result<ByteView> GgufParser::take(std::uint64_t count, char const* what) {
    if (count > left()) return fail(Code::invalid, std::string("file ends inside ") + what);
    auto const bytes = file_.subspan(at_, static_cast<std::size_t>(count));
    at_ += bytes.size();
    return bytes;
}

Result<std::uint32_t> GgufParser::take_u32(char const* what) {
    return base::load_le<std::uint32_t>(KITH_TRY(take(4, what)));
}

Result<std::uint64_t> GgufParser::take_u64(char const* what) {
    return base::load_le<std::uint64_t>(KITH_TRY(take(8, what)));
}

Result<std::string_view> GgufParser::take_string(std::size_t bytes_max, char const* what) {
    auto const length = KITH_TRY(take_u64(what));
    if (length > bytes_max) return fail(Code::too_large, std::string(what) + " is too long");
    return base::as_text(KITH_TRY(take(length, what)));
}

Result<Gguf> GgufParser::parse() {
    if (KITH_TRY(take_u32("the magic")) != gguf_magic)
        return fail(Code::invalid, "not a GGUF file");
    Gguf out;
    out.version_ = KITH_TRY(take_u32("the version"));
    if (out.version_ < gguf_version_oldest || out.version_ > gguf_version_newest)
        return fail(Code::unsupported, "GGUF version " + std::to_string(out.version_) +
                                           " (2 and 3 are supported, little-endian only)");
    auto const tensors_count = KITH_TRY(take_u64("the tensor count"));
    auto const keys_count = KITH_TRY(take_u64("the key count"));
    if (tensors_count > gguf_tensors_max) return fail(Code::too_large, "too many tensors");
    if (keys_count > gguf_keys_max) return fail(Code::too_large, "too many metadata keys");

    for (std::uint64_t i = 0; i < keys_count; ++i) KITH_TRY(read_key(out));
    KITH_TRY(read_alignment(out));
    // Not reserved ahead: the count is only a claim until the infos have been read.
    std::vector<Pending> pending;
    for (std::uint64_t i = 0; i < tensors_count; ++i)  // NOLINTNEXTLINE(performance-*)
        pending.push_back(KITH_TRY(read_tensor_info(out)));
    KITH_TRY(place_tensors(out, std::move(pending)));
    return out;
}

Status GgufParser::read_key(Gguf& out) {
    auto const key = KITH_TRY(take_string(gguf_key_bytes_max, "a metadata key"));
    if (key.empty()) return fail(Code::invalid, "empty metadata key");
    auto const type = KITH_TRY(take_u32("a metadata type"));
    auto value = KITH_TRY(read_value(type, key));
    if (!out.values_.emplace(key, value).second)
        return fail(Code::invalid, "metadata key \"" + printable(key) + "\" appears twice");
    return {};
}

Result<GgufValue> GgufParser::read_value(std::uint32_t type_number, std::string_view key) {
    if (type_number > static_cast<std::uint32_t>(GgufType::float64))
        return fail(Code::invalid, "unknown type of metadata key \"" + printable(key) + "\"");
    auto const type = static_cast<GgufType>(type_number);
    if (type == GgufType::array) return read_array(key);
    auto const start = at_;
    if (type == GgufType::string) {
        KITH_TRY(take_string(gguf_string_bytes_max, "a metadata string"));
    } else {
        auto const bytes = KITH_TRY(take(scalar_bytes(type), "a metadata value"));
        if (type == GgufType::boolean && bytes[0] > 1)
            return fail(Code::invalid, "\"" + printable(key) + "\" is no boolean");
    }
    return GgufValue(type, type, 1, file_.subspan(start, at_ - start));
}

Result<GgufValue> GgufParser::read_array(std::string_view key) {
    auto const type_number = KITH_TRY(take_u32("an array type"));
    if (type_number > static_cast<std::uint32_t>(GgufType::float64))
        return fail(Code::invalid, "unknown item type of \"" + printable(key) + "\"");
    auto const type = static_cast<GgufType>(type_number);
    if (type == GgufType::array)
        return fail(Code::unsupported, "array in an array at \"" + printable(key) + "\"");
    auto const count = KITH_TRY(take_u64("an array length"));
    if (count > gguf_array_items_max)
        return fail(Code::too_large, "array \"" + printable(key) + "\" is too long");
    auto const start = at_;
    if (type == GgufType::string) {
        for (std::uint64_t i = 0; i < count; ++i)
            KITH_TRY(take_string(gguf_string_bytes_max, "an array of strings"));
    } else {
        // No overflow: count <= gguf_array_items_max and a scalar has at most 8 bytes.
        static_assert(gguf_array_items_max <= SIZE_MAX / 8);
        auto const bytes = KITH_TRY(take(count * scalar_bytes(type), "an array"));
        if (type == GgufType::boolean && std::ranges::any_of(bytes, [](auto b) { return b > 1; }))
            return fail(Code::invalid,
                        "\"" + printable(key) + "\" holds a byte that is no boolean");
    }
    return GgufValue(GgufType::array, type, static_cast<std::size_t>(count),
                     file_.subspan(start, at_ - start));
}

Status GgufParser::read_alignment(Gguf& out) {
    auto const* const value = out.find("general.alignment");
    if (value == nullptr) return {};
    auto const alignment = value->as_unsigned();
    if (!alignment || *alignment < 8 || *alignment > gguf_alignment_max ||
        !std::has_single_bit(*alignment))
        return fail(Code::invalid, "general.alignment is not a power of two from 8 to 65536");
    out.alignment_ = static_cast<std::size_t>(*alignment);
    return {};
}

Result<GgufParser::Pending> GgufParser::read_tensor_info(Gguf& out) {
    Pending pending;
    auto& tensor = pending.tensor;
    tensor.name = KITH_TRY(take_string(gguf_tensor_name_bytes_max, "a tensor name"));
    if (tensor.name.empty()) return fail(Code::invalid, "empty tensor name");
    KITH_TRY(read_shape(pending));
    pending.offset = KITH_TRY(take_u64("a tensor offset"));
    if (pending.offset % out.alignment_ != 0)
        return fail(Code::invalid, "tensor \"" + printable(tensor.name) + "\" is not aligned");
    if (!out.tensor_index_.emplace(tensor.name, out.tensor_index_.size()).second)
        return fail(Code::invalid, "tensor \"" + printable(tensor.name) + "\" appears twice");
    return pending;
}

// Reads dimensions and type, and computes the size in bytes.
Status GgufParser::read_shape(Pending& pending) {
    auto& tensor = pending.tensor;
    auto const name = "tensor \"" + printable(tensor.name) + "\"";
    auto const dimensions = KITH_TRY(take_u32("a tensor shape"));
    if (dimensions == 0 || dimensions > gguf_dimensions_max)
        return fail(Code::invalid, name + " has " + std::to_string(dimensions) + " dimensions");
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < dimensions; ++i) {
        auto const length = KITH_TRY(take_u64("a tensor shape"));
        if (length == 0) return fail(Code::invalid, name + " has an empty dimension");
        // Signed, because every other reader of these files uses int64 (ggml.h: ne).
        if (length > static_cast<std::uint64_t>(INT64_MAX) ||
            __builtin_mul_overflow(elements, length, &elements) ||
            elements > static_cast<std::uint64_t>(INT64_MAX))
            return fail(Code::invalid, name + " has too many elements");
        tensor.shape.push_back(static_cast<std::size_t>(length));
    }
    auto const type_number = KITH_TRY(take_u32("a tensor type"));
    auto const traits = find_type_traits(type_number);
    if (!traits)
        return fail(Code::unsupported, name + " has unknown type " + std::to_string(type_number));
    tensor.type = traits->type;
    if (tensor.shape[0] % traits->block_elements != 0)
        return fail(Code::invalid, name + ": row length is no multiple of the block of " +
                                       std::string(traits->name));
    if (__builtin_mul_overflow(elements / traits->block_elements, traits->block_bytes,
                               &pending.size))
        return fail(Code::invalid, name + " has too many bytes");
    return {};
}

Status GgufParser::place_tensors(Gguf& out, std::vector<Pending> pending) {
    // The data begins at the next multiple of the alignment; a file without tensors may end before.
    std::size_t start = 0;
    if (__builtin_add_overflow(at_, out.alignment_ - 1, &start))
        return fail(Code::invalid, "header too large");
    start = start / out.alignment_ * out.alignment_;
    if (pending.empty()) return {};
    if (start > file_.size()) return fail(Code::invalid, "file ends before the tensor data");
    auto const data = file_.subspan(start);
    for (auto& item : pending) {
        std::uint64_t end = 0;
        if (__builtin_add_overflow(item.offset, item.size, &end) || end > data.size())
            return fail(Code::invalid,
                        "tensor \"" + printable(item.tensor.name) + "\" lies outside the file");
        item.tensor.data = data.subspan(static_cast<std::size_t>(item.offset),
                                        static_cast<std::size_t>(item.size));
    }
    for (auto const& item : pending) out.tensors_.push_back(item.tensor);
    return check_overlap(pending);
}

Status GgufParser::check_overlap(std::vector<Pending> const& pending) {
    std::vector<Pending const*> order;
    order.reserve(pending.size());
    for (auto const& item : pending) order.push_back(&item);
    std::ranges::sort(order, {}, [](Pending const* item) { return item->offset; });
    for (std::size_t i = 1; i < order.size(); ++i)
        if (order[i - 1]->offset + order[i - 1]->size > order[i]->offset)
            return fail(Code::invalid, "tensors \"" + printable(order[i - 1]->tensor.name) +
                                           "\" and \"" + printable(order[i]->tensor.name) +
                                           "\" overlap");
    return {};
}

Result<Gguf> Gguf::parse(ByteView file) {
    return GgufParser(file).parse();
}

GgufValue const* Gguf::find(std::string_view key) const {
    auto const found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
}

GgufTensor const* Gguf::find_tensor(std::string_view name) const {
    auto const found = tensor_index_.find(name);
    return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

Result<std::uint64_t> Gguf::require_unsigned(std::string_view key) const {
    auto const* const value = find(key);
    if (value == nullptr) return fail(Code::invalid, "metadata lacks " + std::string(key));
    auto const number = value->as_signed();
    if (!number || *number < 0)
        return fail(Code::invalid, "metadata " + std::string(key) + " is not a whole number");
    return static_cast<std::uint64_t>(*number);
}

Result<std::string_view> Gguf::require_string(std::string_view key) const {
    auto const* const value = find(key);
    if (value == nullptr) return fail(Code::invalid, "metadata lacks " + std::string(key));
    auto const text = value->as_string();
    if (!text) return fail(Code::invalid, "metadata " + std::string(key) + " is not a string");
    return *text;
}

std::size_t GgufTensor::rows() const {
    std::size_t product = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) product *= shape[i];
    return product;
}

std::size_t GgufTensor::elements() const {
    return rows() * shape[0];
}

std::optional<std::uint64_t> GgufValue::as_unsigned() const {
    auto const value = as_signed();
    if (value && *value >= 0) return static_cast<std::uint64_t>(*value);
    return load_unsigned(type_, data_);
}

std::optional<std::int64_t> GgufValue::as_signed() const {
    return load_signed(type_, data_);
}

std::optional<double> GgufValue::as_number() const {
    return load_number(type_, data_);
}

std::optional<bool> GgufValue::as_bool() const {
    if (type_ != GgufType::boolean) return std::nullopt;
    return data_[0] == 1;
}

std::optional<std::string_view> GgufValue::as_string() const {
    if (type_ != GgufType::string) return std::nullopt;
    return base::as_text(data_.subspan(8));
}

// The parser has checked that each length prefix fits.
std::optional<std::vector<std::string_view>> GgufValue::as_strings() const {
    if (type_ != GgufType::array || item_type_ != GgufType::string) return std::nullopt;
    std::vector<std::string_view> out;
    out.reserve(count_);
    std::size_t at = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        auto const length =
            static_cast<std::size_t>(base::load_le<std::uint64_t>(data_.subspan(at)));
        out.push_back(base::as_text(data_.subspan(at + 8, length)));
        at += 8 + length;
    }
    return out;
}

std::optional<std::vector<std::int64_t>> GgufValue::as_integers() const {
    if (type_ != GgufType::array || item_type_ == GgufType::string) return std::nullopt;
    std::vector<std::int64_t> out;
    out.reserve(count_);
    auto const size = scalar_bytes(item_type_);
    for (std::size_t i = 0; i < count_; ++i) {
        auto const value = load_signed(item_type_, data_.subspan(i * size, size));
        if (!value) return std::nullopt;
        out.push_back(*value);
    }
    return out;
}

std::optional<std::vector<float>> GgufValue::as_floats() const {
    if (type_ != GgufType::array || item_type_ == GgufType::string) return std::nullopt;
    std::vector<float> out;
    out.reserve(count_);
    auto const size = scalar_bytes(item_type_);
    for (std::size_t i = 0; i < count_; ++i) {
        auto const value = load_number(item_type_, data_.subspan(i * size, size));
        if (!value) return std::nullopt;
        out.push_back(static_cast<float>(*value));
    }
    return out;
}

}  // namespace kith::infer
