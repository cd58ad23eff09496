// infer/gguf_writer.h: writes GGUF v3. Metadata is kept in memory; tensor data is streamed to the
// sink.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/gguf.h"

namespace kith::infer {

// Takes the next bytes of the file, in order.
using ByteSink = std::function<base::Status(base::ByteView)>;

class GgufWriter {
public:
    void add_unsigned(std::string_view key, std::uint32_t value);
    void add_float(std::string_view key, float value);
    void add_bool(std::string_view key, bool value);
    void add_string(std::string_view key, std::string_view value);
    void add_strings(std::string_view key, std::vector<std::string> const& items);
    void add_integers(std::string_view key, std::vector<std::int32_t> const& items);
    void add_floats(std::string_view key, std::vector<float> const& items);
    void add_value(std::string_view key, GgufValue const& value);  // copied as it is

    // `data` must stay valid until write() and have the size that shape and type imply (asserted).
    void add_tensor(std::string_view name, TensorType type, std::vector<std::size_t> shape,
                    base::ByteView data);
    // The same for data that is made while it is written; `source` puts exactly that many bytes
    // into the sink.
    using Source = std::function<base::Status(ByteSink const& sink)>;
    void add_tensor(std::string_view name, TensorType type, std::vector<std::size_t> shape,
                    Source source);

    // Writes the whole file; the first error of the sink ends it.
    [[nodiscard]] base::Status write(ByteSink const& sink) const;
    // The same into memory, for small files.
    [[nodiscard]] base::Bytes to_bytes() const;

private:
    void add_head(std::string_view key, GgufType type);

    std::size_t keys_count_ = 0;
    base::Bytes keys_;
    struct Tensor {
        std::string name;
        TensorType type = TensorType::f32;
        std::vector<std::size_t> shape;
        std::size_t size = 0;
        Source source;
    };
    std::vector<Tensor> tensors_;
};

}  // namespace kith::infer
