// infer/model.h: the weights of a model or of some of its layers, memory-mapped from GGUF files.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "infer/gguf.h"
#include "infer/hparams.h"
#include "infer/mapped_file.h"
#include "infer/rope.h"

namespace kith::infer {

inline constexpr std::size_t model_files_max = 1024;

// A weight matrix: rows x columns, a view into a mapped file.
struct Matrix {
    TensorType type = TensorType::f32;
    std::size_t rows = 0;
    std::size_t columns = 0;
    std::size_t row_stride = 0;  // bytes
    std::uint8_t const* data = nullptr;
    std::size_t index = 0;  // of all matrices of its model
};

struct ExpertWeights {
    Matrix gate, up, down;
};

// Weights of one layer. Empty spans and vectors: the architecture has no such thing.
struct LayerWeights {
    std::span<float const> attention_norm, feed_forward_norm;
    std::span<float const> attention_post_norm, feed_forward_post_norm;
    std::span<float const> query_norm, key_norm;  // of each head
    Matrix query, key, value, output;
    std::span<float const> query_bias, key_bias, value_bias;
    Matrix gate, up, down;               // empty with experts
    Matrix router;                       // one row for each expert
    std::vector<ExpertWeights> experts;  // what the router chooses among
};

struct ModelInfo {
    std::string architecture;
    std::string name;
    std::size_t layers_count = 0;  // of the whole model
    std::size_t hidden_size = 0;
    std::size_t vocabulary_size = 0;
    std::size_t context_length = 0;
    std::vector<LayerRange> layers;  // present here: ascending, maximal runs
    bool has_embedding = false;
    bool has_head = false;
    std::size_t weight_bytes = 0;  // of the tensors present
};

// Immutable after load, so one Model serves any number of threads and Stages.
class Model {
public:
    // From one whole GGUF, or from any shards of one model (infer/shard.h) in any order. Nothing is
    // copied. Every tensor's name, type and shape is checked against the metadata before anything
    // is allocated for it: Code::unsupported names the architecture, type or tensor that has no
    // implementation here, Code::invalid the tensor that is missing or misshapen or the files that
    // do not belong together.
    static base::Result<std::shared_ptr<Model const>> load(std::vector<MappedFile> files);
    static base::Result<std::shared_ptr<Model const>> load_path(std::string const& path);
    // From memory that must outlive the model.
    static base::Result<std::shared_ptr<Model const>> load_views(
        std::vector<base::ByteView> const& views);

    [[nodiscard]] ModelInfo info() const;
    [[nodiscard]] Hparams const& hparams() const { return hparams_; }
    // The file with the tokenizer's metadata; nullptr when shard_000 is not among the files.
    [[nodiscard]] Gguf const* tokenizer_file() const;

    [[nodiscard]] bool has_layers(
        LayerRange range) const;  // all of them, and the range is not empty
    [[nodiscard]] bool has_embedding() const { return embedding_.has_value(); }
    [[nodiscard]] bool has_head() const { return head_.has_value(); }

    // For packed copies (packed/weights.h): how many matrices there are, those that rows are
    // multiplied with (all but the embedding, unless it is the head too, and experts), and that one
    // of them is not read again soon: its pages of a mapped file may be dropped; they come back
    // when touched.
    [[nodiscard]] std::size_t matrices_count() const { return matrices_count_; }
    [[nodiscard]] std::vector<Matrix const*> multiplied_matrices() const;
    void give_back(Matrix const& matrix) const;
    // Experts that no token chooses are never read, so nothing should be prepared before its use.
    [[nodiscard]] std::vector<Matrix const*> expert_matrices() const;

private:
    friend class ModelLoader;
    friend class Stage;
    Model() = default;

    std::vector<MappedFile> mappings_;
    std::vector<Gguf> files_;
    Hparams hparams_;
    std::vector<std::optional<LayerWeights>> layers_;  // indexed by layer number
    std::optional<Matrix> embedding_;
    std::optional<Matrix> head_;
    std::span<float const> output_norm_;
    RopeTables ropes_;
    std::size_t weight_bytes_ = 0;
    std::size_t matrices_count_ = 0;
};

}  // namespace kith::infer
