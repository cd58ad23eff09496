#include "infer/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "infer/arch/architecture.h"

namespace kith::infer {
namespace {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

bool same_shape(Hparams a, Hparams const& b) {
    a.name = b.name;
    return a == b;
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
    Status load_divisors(Gguf const& file, std::string const& name, std::vector<float>& out);
    Result<LayerWeights> load_layer(Gguf const& file, std::size_t layer);
    Status load_attention(Gguf const& file, std::string const& layer, LayerWeights& out);
    Status load_feed_forward(Gguf const& file, std::string const& layer, LayerWeights& out);
    Status load_experts(Gguf const& file, std::string const& layer, LayerWeights& out);
    Result<Matrix> matrix(Gguf const& file, std::string const& name, std::size_t rows,
                          std::size_t columns);
    // The next `rows` rows of `whole`, which loses them: a tensor that is several matrices.
    Matrix split(Matrix& whole, std::size_t rows);
    Result<Matrix> experts(Gguf const& file, std::string const& name, std::size_t rows,
                           std::size_t columns);
    Result<std::span<float const>> floats(Gguf const& file, std::string const& name,
                                          std::size_t count);
    Result<std::span<float const>> bias(Gguf const& file, std::string const& name,
                                        std::size_t count);

    std::shared_ptr<Model> model_{new Model()};
    ArchitectureTraits const* traits_ = nullptr;
    RopeDivisors divisors_;
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
            traits_ = &architecture_traits(hparams.architecture);
            model_->layers_.resize(hparams.layers_count);
        } else if (!same_shape(hparams, model_->hparams_)) {
            return fail(Code::invalid, "the files belong to different models");
        }
        KITH_TRY(load_file(file));
    }
    model_->ropes_ = make_rope_tables(model_->hparams_, divisors_);
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

// Divisors of frequencies, the same for all layers: those of Llama 3.1's scaling, or longrope's two
// lists.
Status ModelLoader::load_rope(Gguf const& file) {
    bool const has_long = file.find_tensor("rope_factors_long.weight") != nullptr;
    bool const has_short = file.find_tensor("rope_factors_short.weight") != nullptr;
    bool const has_one = file.find_tensor("rope_freqs.weight") != nullptr;
    if (has_long != has_short || (has_long && has_one))
        return fail(Code::invalid, "rope_factors_long and rope_factors_short come together");
    if (has_one) return load_divisors(file, "rope_freqs.weight", divisors_.usual);
    if (!has_long) return {};
    KITH_TRY(load_divisors(file, "rope_factors_short.weight", divisors_.usual));
    return load_divisors(file, "rope_factors_long.weight", divisors_.longer);
}

Status ModelLoader::load_divisors(Gguf const& file, std::string const& name,
                                  std::vector<float>& out) {
    auto const divisors = KITH_TRY(floats(file, name, model_->hparams_.rope_size / 2));
    for (auto const divisor : divisors)
        if (!std::isfinite(divisor) || divisor <= 0)
            return fail(Code::invalid, name + " holds a number that is not positive");
    if (!out.empty() && !std::ranges::equal(divisors, out))
        return fail(Code::invalid, "the files belong to different models (" + name + ")");
    out.assign(divisors.begin(), divisors.end());
    return {};
}

Result<LayerWeights> ModelLoader::load_layer(Gguf const& file, std::size_t layer) {
    auto const prefix = "blk." + std::to_string(layer) + ".";
    LayerWeights out;
    KITH_TRY(load_attention(file, prefix, out));
    if (traits_->has_experts) {
        KITH_TRY(load_experts(file, prefix, out));
    } else {
        KITH_TRY(load_feed_forward(file, prefix, out));
    }
    return out;
}

Status ModelLoader::load_attention(Gguf const& file, std::string const& layer, LayerWeights& out) {
    auto const& h = model_->hparams_;
    auto const name = [&layer](char const* rest) { return layer + rest; };
    out.attention_norm = KITH_TRY(floats(file, name("attn_norm.weight"), h.hidden_size));
    if (traits_->is_fused) {
        auto all = KITH_TRY(
            matrix(file, name("attn_qkv.weight"), h.query_size() + 2 * h.kv_size(), h.hidden_size));
        out.query = split(all, h.query_size());
        out.key = split(all, h.kv_size());
        out.value = split(all, h.kv_size());
    } else {
        out.query = KITH_TRY(matrix(file, name("attn_q.weight"), h.query_size(), h.hidden_size));
        out.key = KITH_TRY(matrix(file, name("attn_k.weight"), h.kv_size(), h.hidden_size));
        out.value = KITH_TRY(matrix(file, name("attn_v.weight"), h.kv_size(), h.hidden_size));
        out.query_bias = KITH_TRY(bias(file, name("attn_q.bias"), h.query_size()));
        out.key_bias = KITH_TRY(bias(file, name("attn_k.bias"), h.kv_size()));
        out.value_bias = KITH_TRY(bias(file, name("attn_v.bias"), h.kv_size()));
    }
    if (traits_->has_head_norms) {
        out.query_norm = KITH_TRY(floats(file, name("attn_q_norm.weight"), h.head_size));
        out.key_norm = KITH_TRY(floats(file, name("attn_k_norm.weight"), h.head_size));
    }
    out.output = KITH_TRY(matrix(file, name("attn_output.weight"), h.hidden_size, h.query_size()));
    if (traits_->has_post_norms)
        out.attention_post_norm =
            KITH_TRY(floats(file, name("post_attention_norm.weight"), h.hidden_size));
    return {};
}

Status ModelLoader::load_feed_forward(Gguf const& file, std::string const& layer,
                                      LayerWeights& out) {
    auto const& h = model_->hparams_;
    auto const name = [&layer](char const* rest) { return layer + rest; };
    auto const size = h.feed_forward_size;
    out.feed_forward_norm = KITH_TRY(floats(file, name("ffn_norm.weight"), h.hidden_size));
    if (traits_->is_fused) {
        auto both = KITH_TRY(matrix(file, name("ffn_up.weight"), 2 * size, h.hidden_size));
        out.gate = split(both, size);
        out.up = split(both, size);
    } else {
        out.gate = KITH_TRY(matrix(file, name("ffn_gate.weight"), size, h.hidden_size));
        out.up = KITH_TRY(matrix(file, name("ffn_up.weight"), size, h.hidden_size));
    }
    out.down = KITH_TRY(matrix(file, name("ffn_down.weight"), h.hidden_size, size));
    if (traits_->has_post_norms)
        out.feed_forward_post_norm =
            KITH_TRY(floats(file, name("post_ffw_norm.weight"), h.hidden_size));
    return {};
}

Status ModelLoader::load_experts(Gguf const& file, std::string const& layer, LayerWeights& out) {
    auto const& h = model_->hparams_;
    auto const name = [&layer](char const* rest) { return layer + rest; };
    auto const size = h.expert_size;
    out.feed_forward_norm = KITH_TRY(floats(file, name("ffn_norm.weight"), h.hidden_size));
    out.router =
        KITH_TRY(matrix(file, name("ffn_gate_inp.weight"), h.experts_count, h.hidden_size));
    auto gates = KITH_TRY(experts(file, name("ffn_gate_exps.weight"), size, h.hidden_size));
    auto ups = KITH_TRY(experts(file, name("ffn_up_exps.weight"), size, h.hidden_size));
    auto downs = KITH_TRY(experts(file, name("ffn_down_exps.weight"), h.hidden_size, size));
    for (std::size_t i = 0; i < h.experts_count; ++i)
        out.experts.push_back({.gate = split(gates, size),
                               .up = split(ups, size),
                               .down = split(downs, h.hidden_size)});
    return {};
}

Result<Matrix> ModelLoader::experts(Gguf const& file, std::string const& name, std::size_t rows,
                                    std::size_t columns) {
    auto const count = model_->hparams_.experts_count;
    auto const* const tensor = file.find_tensor(name);
    if (tensor != nullptr && (tensor->shape.size() != 3 || tensor->shape[2] != count))
        return fail(Code::invalid,
                    "tensor \"" + name + "\" is not that of " + std::to_string(count) + " experts");
    return matrix(file, name, rows * count, columns);
}

Matrix ModelLoader::split(Matrix& whole, std::size_t rows) {
    auto out = whole;
    out.rows = rows;
    out.index = model_->matrices_count_++;
    whole.data += rows * whole.row_stride;
    whole.rows -= rows;
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
    if (traits_->biases == Biases::optional && file.find_tensor(name) == nullptr)
        return std::span<float const>{};
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
                  &layer->up, &layer->down, &layer->router})
                if (matrix->data != nullptr) out.push_back(matrix);
    if (head_) out.push_back(&*head_);
    return out;
}

std::vector<Matrix const*> Model::expert_matrices() const {
    std::vector<Matrix const*> out;
    for (auto const& layer : layers_)
        if (layer)
            for (auto const& expert : layer->experts)
                out.insert(out.end(), {&expert.gate, &expert.up, &expert.down});
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
