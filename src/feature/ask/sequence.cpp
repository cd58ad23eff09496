#include "feature/ask/sequence.h"

#include <bit>
#include <cstring>

namespace kith::ask {

using base::Code;
using base::fail;

static_assert(std::endian::native == std::endian::little, "tensors travel in little endian");

base::Result<Sequence> Sequence::create(LoadedModelPtr model, Part part, std::size_t positions_max,
                                        std::optional<Sampling> sampling) {
    if (!model->model) return fail(Code::unsupported, "this machine holds no shard of the model");
    infer::LayerRange const range{part.layers.begin, part.layers.end};
    bool const has_layers = range.begin == range.end || model->model->has_layers(range);
    if (!has_layers || (part.does_embedding && !model->model->has_embedding()) ||
        (part.does_head && !model->model->has_head()))
        return fail(Code::unsupported, "this machine does not hold this part of the model");
    Sequence sequence(std::move(model), part);
    if (range.begin != range.end)
        sequence.cache_.emplace(KITH_TRY(
            infer::KvCache::create(sequence.model_->model->hparams(), range, positions_max)));
    if (part.does_head) {
        if (!sampling)
            return fail(Code::invalid, "the head was asked for without sampling options");
        sequence.sampler_.emplace(KITH_TRY(infer::Sampler::create(std::move(sampling->options))));
        sequence.sampler_->see(sampling->prompt);
        sequence.form_ = std::move(sampling->grammar);
        sequence.logits_.resize(sequence.model_->manifest.vocabulary_size);
    }
    return sequence;
}

std::size_t Sequence::cache_bytes(LoadedModel const& model, Span layers, std::size_t positions) {
    if (!model.model) return 0;
    return infer::KvCache::bytes_for(model.model->hparams(), layers.end - layers.begin, positions);
}

base::Status Sequence::embed(std::vector<infer::TokenId> const& tokens,
                             std::vector<float>& hidden) {
    hidden.resize(tokens.size() * hidden_size());
    return model_->stage->embed(tokens, hidden);
}

base::Status Sequence::forward(std::vector<float>& hidden, std::size_t position,
                               std::atomic<bool> const& cancel) {
    if (!cache_) return {};
    return model_->stage->forward(*cache_, hidden, position, {part_.layers.begin, part_.layers.end},
                                  &cancel);
}

base::Result<infer::Choice> Sequence::sample(std::vector<float> const& hidden) {
    auto const last_row = std::span<float const>(hidden).last(hidden_size());
    KITH_TRY(model_->stage->logits(last_row, logits_));
    if (form_) {  // sorting the vocabulary takes a while: once for each model
        if (!model_->trie) model_->trie = std::make_unique<infer::TokenTrie>(*model_->tokenizer);
        grammar_ = std::make_unique<infer::TokenGrammar>(*std::move(form_), *model_->trie,
                                                         *model_->tokenizer);
        form_.reset();
    }
    if (!grammar_) return sampler_->choose(logits_);
    auto choice = KITH_TRY(sampler_->choose(logits_, KITH_TRY(grammar_->allowed())));
    KITH_TRY(grammar_->accept(choice.token));
    return choice;
}

base::Result<std::vector<float>> decode_tensor(base::ByteView bytes, std::size_t rows,
                                               std::size_t hidden) {
    if (rows == 0 || hidden == 0 || bytes.size() != rows * hidden * sizeof(float))
        return fail(Code::invalid, "a tensor does not have the size its shape says");
    std::vector<float> values(rows * hidden);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

base::ByteView tensor_bytes(std::vector<float> const& hidden) {
    return {reinterpret_cast<std::uint8_t const*>(hidden.data()), hidden.size() * sizeof(float)};
}

}  // namespace kith::ask
