#include "infer/gguf_writer.h"

#include <array>
#include <bit>

#include "base/check.h"

namespace kith::infer {
namespace {

template <class T>
void append_le(base::Bytes& out, T value) {
    std::array<std::uint8_t, sizeof(T)> bytes{};
    base::store_le(bytes, value);
    base::append(out, bytes);
}

void append_string(base::Bytes& out, std::string_view text) {
    append_le(out, static_cast<std::uint64_t>(text.size()));
    base::append(out, base::as_bytes(text));
}

constexpr std::size_t alignment = gguf_alignment_default;

std::size_t padding_after(std::size_t size) {
    return (alignment - size % alignment) % alignment;
}

}  // namespace

void GgufWriter::add_head(std::string_view key, GgufType type) {
    append_string(keys_, key);
    append_le(keys_, static_cast<std::uint32_t>(type));
    ++keys_count_;
}

void GgufWriter::add_unsigned(std::string_view key, std::uint32_t value) {
    add_head(key, GgufType::uint32);
    append_le(keys_, value);
}

void GgufWriter::add_float(std::string_view key, float value) {
    add_head(key, GgufType::float32);
    append_le(keys_, std::bit_cast<std::uint32_t>(value));
}

void GgufWriter::add_bool(std::string_view key, bool value) {
    add_head(key, GgufType::boolean);
    keys_.push_back(value ? 1 : 0);
}

void GgufWriter::add_string(std::string_view key, std::string_view value) {
    add_head(key, GgufType::string);
    append_string(keys_, value);
}

void GgufWriter::add_strings(std::string_view key, std::vector<std::string> const& items) {
    add_head(key, GgufType::array);
    append_le(keys_, static_cast<std::uint32_t>(GgufType::string));
    append_le(keys_, static_cast<std::uint64_t>(items.size()));
    for (auto const& item : items) append_string(keys_, item);
}

void GgufWriter::add_integers(std::string_view key, std::vector<std::int32_t> const& items) {
    add_head(key, GgufType::array);
    append_le(keys_, static_cast<std::uint32_t>(GgufType::int32));
    append_le(keys_, static_cast<std::uint64_t>(items.size()));
    for (auto const item : items) append_le(keys_, static_cast<std::uint32_t>(item));
}

void GgufWriter::add_floats(std::string_view key, std::vector<float> const& items) {
    add_head(key, GgufType::array);
    append_le(keys_, static_cast<std::uint32_t>(GgufType::float32));
    append_le(keys_, static_cast<std::uint64_t>(items.size()));
    for (auto const item : items) append_le(keys_, std::bit_cast<std::uint32_t>(item));
}

void GgufWriter::add_value(std::string_view key, GgufValue const& value) {
    add_head(key, value.type());
    if (value.type() == GgufType::array) {
        append_le(keys_, static_cast<std::uint32_t>(value.item_type()));
        append_le(keys_, static_cast<std::uint64_t>(value.count()));
    }
    base::append(keys_, value.data());
}

void GgufWriter::add_tensor(std::string_view name, TensorType type, std::vector<std::size_t> shape,
                            base::ByteView data) {
    add_tensor(name, type, std::move(shape), [data](ByteSink const& sink) { return sink(data); });
    KITH_ASSERT(data.size() == tensors_.back().size);
}

void GgufWriter::add_tensor(std::string_view name, TensorType type, std::vector<std::size_t> shape,
                            Source source) {
    KITH_ASSERT(!shape.empty() && shape.size() <= gguf_dimensions_max);
    auto size = row_bytes(type, shape[0]);
    for (std::size_t i = 1; i < shape.size(); ++i) size *= shape[i];
    tensors_.push_back({std::string(name), type, std::move(shape), size, std::move(source)});
}

base::Status GgufWriter::write(ByteSink const& sink) const {
    base::Bytes head;
    base::append(head, base::as_bytes("GGUF"));
    append_le(head, std::uint32_t{3});
    append_le(head, static_cast<std::uint64_t>(tensors_.size()));
    append_le(head, static_cast<std::uint64_t>(keys_count_));
    base::append(head, keys_);
    std::uint64_t offset = 0;
    for (auto const& tensor : tensors_) {
        append_string(head, tensor.name);
        append_le(head, static_cast<std::uint32_t>(tensor.shape.size()));
        for (auto const length : tensor.shape) append_le(head, static_cast<std::uint64_t>(length));
        append_le(head, static_cast<std::uint32_t>(tensor.type));
        append_le(head, offset);
        offset += tensor.size + padding_after(tensor.size);
    }
    head.resize(head.size() + padding_after(head.size()));
    KITH_TRY(sink(head));
    std::array<std::uint8_t, alignment> const zeros{};
    for (auto const& tensor : tensors_) {
        KITH_TRY(tensor.source(sink));
        if (auto const padding = padding_after(tensor.size); padding != 0)
            KITH_TRY(sink(base::ByteView(zeros).first(padding)));
    }
    return {};
}

base::Bytes GgufWriter::to_bytes() const {
    base::Bytes out;
    auto const written = write([&out](base::ByteView bytes) -> base::Status {
        base::append(out, bytes);
        return {};
    });
    KITH_ASSERT(written.has_value());
    return out;
}

}  // namespace kith::infer
