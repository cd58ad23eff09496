#include "infer/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/check.h"

namespace kith::infer {
namespace {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

std::string layer_tensor(std::size_t layer, std::string_view rest) {
    return "blk." + std::to_string(layer) + "." + std::string(rest);
}

bool same_shape(Hparams const& a, Hparams const& b) {
    return a.architecture == b.architecture && a.layers_count == b.layers_count &&
           a.hidden_size == b.hidden_size && a.feed_forward_size == b.feed_forward_size &&
           a.heads_count == b.heads_count && a.kv_heads_count == b.kv_heads_count &&
           a.head_size == b.head_size && a.rope_size == b.rope_size &&
           a.vocabulary_size == b.vocabulary_size && a.context_length == b.context_length &&
           a.rope_base == b.rope_base && a.rope_scale == b.rope_scale &&
           a.norm_epsilon == b.norm_epsilon;
}

}  // namespace

// Takes the tensors of one file at a time, by the names it expects; what is left over afterwards is
// unknown, and an unknown tensor would mean a computation we do not know: it is refused.
class ModelLoader {
public:
    Result<std::shared_ptr<Model const>> load(std::vector<ByteView> const& views,
                                              std::vector<MappedFile> mappings);

private:
    Status load_file(Gguf const& file);
    Status load_ends(Gguf const& file, ShardMark const& mark);
    Status load_rope(Gguf const& file);
    Result<LayerWeights> load_layer(Gguf const& file, std::size_t layer);
    Result<Matrix> matrix(Gguf const& file, std::string const& name, std::size_t rows,
                          std::size_t columns);
    Result<std::span<float const>> floats(Gguf const& file, std::string const& name,
                                          std::size_t count);
    Result<std::span<float const>> bias(Gguf const& file, std::string const& name,
                                        std::size_t count);

    std::shared_ptr<Model> model_{new Model()};
    std::set<std::string_view> used_;  // tensor names of the present file
};

Result<std::shared_ptr<Model const>> ModelLoader::load(std::vector<ByteView> const& views,
                                                       std::vector<MappedFile> mappings) {
    if (views.empty() || views.size() > model_files_max)
        return fail(Code::invalid, "a model is loaded from 1 to 1024 files");
    for (auto const view : views) model_->files_.push_back(KITH_TRY(Gguf::parse(view)));
    for (auto const& file : model_->files_) {
        auto const hparams = KITH_TRY(read_hparams(file));
        if (&file == &model_->files_.front()) {
            model_->hparams_ = hparams;
            model_->layers_.resize(hparams.layers_count);
        } else if (!same_shape(hparams, model_->hparams_)) {
            return fail(Code::invalid, "the files belong to different models");
        }
        KITH_TRY(load_file(file));
    }
    model_->mappings_ = std::move(mappings);
    return std::shared_ptr<Model const>(std::move(model_));
}

Status ModelLoader::load_file(Gguf const& file) {
    used_.clear();
    auto const mark = KITH_TRY(read_shard_mark(file, model_->hparams_));
    for (auto layer = mark.layers.begin; layer < mark.layers.end; ++layer) {
        if (model_->layers_[layer])
            return fail(Code::invalid, "layer " + std::to_string(layer) + " is in two files");
        model_->layers_[layer] = KITH_TRY(load_layer(file, layer));
    }
    KITH_TRY(load_ends(file, mark));
    KITH_TRY(load_rope(file));
    for (auto const& tensor : file.tensors()) {
        if (!used_.contains(tensor.name))
            return fail(Code::unsupported, "tensor \"" + std::string(tensor.name) +
                                               "\" has no use in this architecture");
        model_->weight_bytes_ += tensor.data.size();
    }
    return {};
}

Status ModelLoader::load_ends(Gguf const& file, ShardMark const& mark) {
    auto const& h = model_->hparams_;
    if (mark.has_embedding) {
        if (model_->embedding_) return fail(Code::invalid, "two files hold the embedding");
        model_->embedding_ =
            KITH_TRY(matrix(file, "token_embd.weight", h.vocabulary_size, h.hidden_size));
    }
    if (!mark.has_head) return {};
    if (model_->head_) return fail(Code::invalid, "two files hold the head");
    model_->output_norm_ = KITH_TRY(floats(file, "output_norm.weight", h.hidden_size));
    if (file.find_tensor("output.weight") != nullptr) {
        model_->head_ = KITH_TRY(matrix(file, "output.weight", h.vocabulary_size, h.hidden_size));
    } else if (mark.has_embedding) {
        model_->head_ = model_->embedding_;  // tied
    } else {
        return fail(Code::invalid, "tensor \"output.weight\" is missing");
    }
    return {};
}

// Llama 3's long-context scaling: one divisor per pair of a head's elements, the same for all
// layers.
Status ModelLoader::load_rope(Gguf const& file) {
    if (file.find_tensor("rope_freqs.weight") == nullptr) return {};
    auto const divisors =
        KITH_TRY(floats(file, "rope_freqs.weight", model_->hparams_.rope_size / 2));
    for (auto const divisor : divisors)
        if (!std::isfinite(divisor) || divisor <= 0)
            return fail(Code::invalid, "rope_freqs.weight holds a number that is not positive");
    if (!model_->rope_divisors_.empty() && !std::ranges::equal(divisors, model_->rope_divisors_))
        return fail(Code::invalid, "the files belong to different models (rope_freqs.weight)");
    model_->rope_divisors_.assign(divisors.begin(), divisors.end());
    return {};
}

Result<LayerWeights> ModelLoader::load_layer(Gguf const& file, std::size_t layer) {
    auto const& h = model_->hparams_;
    auto const name = [layer](char const* rest) { return layer_tensor(layer, rest); };
    LayerWeights out;
    out.attention_norm = KITH_TRY(floats(file, name("attn_norm.weight"), h.hidden_size));
    out.query = KITH_TRY(matrix(file, name("attn_q.weight"), h.query_size(), h.hidden_size));
    out.key = KITH_TRY(matrix(file, name("attn_k.weight"), h.kv_size(), h.hidden_size));
    out.value = KITH_TRY(matrix(file, name("attn_v.weight"), h.kv_size(), h.hidden_size));
    out.output = KITH_TRY(matrix(file, name("attn_output.weight"), h.hidden_size, h.query_size()));
    out.query_bias = KITH_TRY(bias(file, name("attn_q.bias"), h.query_size()));
    out.key_bias = KITH_TRY(bias(file, name("attn_k.bias"), h.kv_size()));
    out.value_bias = KITH_TRY(bias(file, name("attn_v.bias"), h.kv_size()));
    out.feed_forward_norm = KITH_TRY(floats(file, name("ffn_norm.weight"), h.hidden_size));
    out.gate = KITH_TRY(matrix(file, name("ffn_gate.weight"), h.feed_forward_size, h.hidden_size));
    out.up = KITH_TRY(matrix(file, name("ffn_up.weight"), h.feed_forward_size, h.hidden_size));
    out.down = KITH_TRY(matrix(file, name("ffn_down.weight"), h.hidden_size, h.feed_forward_size));
    return out;
}

Result<Matrix> ModelLoader::matrix(Gguf const& file, std::string const& name, std::size_t rows,
                                   std::size_t columns) {
    auto const* const tensor = file.find_tensor(name);
    if (tensor == nullptr) return fail(Code::invalid, "tensor \"" + name + "\" is missing");
    auto const& traits = type_traits(tensor->type);
    if (!traits.has_kernels)
        return fail(Code::unsupported, "tensor \"" + name + "\" has type " +
                                           std::string(traits.name) +
                                           ", which cannot be computed with here");
    if (tensor->columns() != columns || tensor->rows() != rows)
        return fail(Code::invalid, "tensor \"" + name + "\" is not " + std::to_string(columns) +
                                       " x " + std::to_string(rows));
    used_.insert(tensor->name);
    return Matrix{.type = tensor->type,
                  .rows = rows,
                  .columns = columns,
                  .row_stride = row_bytes(tensor->type, columns),
                  .data = tensor->data.data(),
                  .index = model_->matrices_count_++};
}

Result<std::span<float const>> ModelLoader::floats(Gguf const& file, std::string const& name,
                                                   std::size_t count) {
    auto const* const tensor = file.find_tensor(name);
    if (tensor == nullptr) return fail(Code::invalid, "tensor \"" + name + "\" is missing");
    if (tensor->type != TensorType::f32)
        return fail(Code::unsupported, "tensor \"" + name + "\" is not F32");
    if (tensor->elements() != count)
        return fail(Code::invalid,
                    "tensor \"" + name + "\" has not " + std::to_string(count) + " elements");
    // Mappings begin on a page; memory given by a caller may begin anywhere.
    if (reinterpret_cast<std::uintptr_t>(tensor->data.data()) % alignof(float) != 0)
        return fail(Code::invalid, "the file's bytes are not aligned in memory");
    used_.insert(tensor->name);
    return std::span(reinterpret_cast<float const*>(tensor->data.data()), count);
}

// Qwen2 has biases on q, k and v; some llama files too.
Result<std::span<float const>> ModelLoader::bias(Gguf const& file, std::string const& name,
                                                 std::size_t count) {
    bool const required = model_->hparams_.architecture == Architecture::qwen2;
    if (!required && file.find_tensor(name) == nullptr) return std::span<float const>{};
    return floats(file, name, count);
}

Result<std::shared_ptr<Model const>> Model::load(std::vector<MappedFile> files) {
    std::vector<ByteView> views;
    views.reserve(files.size());
    for (auto const& file : files) views.push_back(file.bytes());
    return ModelLoader().load(views, std::move(files));
}

Result<std::shared_ptr<Model const>> Model::load_path(std::string const& path) {
    std::vector<MappedFile> files;
    files.push_back(KITH_TRY(MappedFile::open(path)));
    return load(std::move(files));
}

Result<std::shared_ptr<Model const>> Model::load_views(std::vector<ByteView> const& views) {
    return ModelLoader().load(views, {});
}

ModelInfo Model::info() const {
    ModelInfo out{.architecture = architecture_name(hparams_.architecture),
                  .name = hparams_.name,
                  .layers_count = hparams_.layers_count,
                  .hidden_size = hparams_.hidden_size,
                  .vocabulary_size = hparams_.vocabulary_size,
                  .context_length = hparams_.context_length,
                  .layers = {},
                  .has_embedding = has_embedding(),
                  .has_head = has_head(),
                  .weight_bytes = weight_bytes_};
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        if (!layers_[i]) continue;
        if (out.layers.empty() || out.layers.back().end != i) out.layers.push_back({i, i});
        out.layers.back().end = i + 1;
    }
    return out;
}

Gguf const* Model::tokenizer_file() const {
    for (auto const& file : files_)
        if (file.find("tokenizer.ggml.tokens") != nullptr) return &file;
    return nullptr;
}

std::vector<Matrix const*> Model::multiplied_matrices() const {
    std::vector<Matrix const*> out;
    for (auto const& layer : layers_)
        if (layer)
            for (auto const* const matrix :
                 {&layer->query, &layer->key, &layer->value, &layer->output, &layer->gate,
                  &layer->up, &layer->down})
                out.push_back(matrix);
    if (head_) out.push_back(&*head_);
    return out;
}

void Model::give_back(Matrix const& matrix) const {
    for (auto const& mapping : mappings_)
        mapping.give_back({matrix.data, matrix.rows * matrix.row_stride});
}

bool Model::has_layers(LayerRange range) const {
    if (range.begin >= range.end || range.end > layers_.size()) return false;
    return std::all_of(layers_.begin() + static_cast<std::ptrdiff_t>(range.begin),
                       layers_.begin() + static_cast<std::ptrdiff_t>(range.end),
                       [](auto const& layer) { return layer.has_value(); });
}

}  // namespace kith::infer
