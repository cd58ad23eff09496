#include "feature/ask/sequence.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace kith::ask {

using base::Code;
using base::fail;

static_assert(std::endian::native == std::endian::little, "tensors travel in little endian");

base::Result<Sequence> Sequence::create(LoadedModelPtr model, Part part, std::size_t positions_max,
                                        std::optional<Sampling> sampling) {
    if (!model->stage) return fail(Code::unsupported, "this machine holds no shard of the model");
    auto const& stage = *model->stage;
    infer::LayerRange const range{part.layers.begin, part.layers.end};
    bool const has_layers = range.begin == range.end || stage.has_layers(range);
    if (!has_layers || (part.does_embedding && !stage.facts().has_embedding) ||
        (part.does_head && !stage.facts().has_head))
        return fail(Code::unsupported, "this machine does not hold this part of the model");
    Sequence sequence(std::move(model), part, positions_max);
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
    if (!model.stage) return 0;
    return infer::KvCache::bytes_for(model.stage->kv_size(), layers.end - layers.begin, positions);
}

base::Result<std::optional<infer::Choice>> Sequence::run(Step const& step,
                                                         std::atomic<bool> const& cancel) {
    infer::LayerRange const layers{part_.layers.begin, part_.layers.end};
    bool const wants_token = step.output == Output::token;
    if (layers.begin != layers.end && !cache_)
        cache_ = KITH_TRY(model_->stage->make_sequence(layers, positions_max_));
    if (!step.tokens.empty()) step.hidden.resize(step.tokens.size() * hidden_size());
    // A part at the end without layers has nothing to do for rows that no token is chosen after.
    if (!cache_ && step.tokens.empty() && !wants_token) return std::nullopt;
    auto rows = std::span(step.hidden);
    if (!cache_ && step.tokens.empty()) rows = rows.last(std::min(rows.size(), hidden_size()));
    KITH_TRY(model_->stage->run({.sequence = cache_ ? *cache_ : engine::SequenceId{},
                                 .position = step.position,
                                 .layers = layers,
                                 .tokens = step.tokens,
                                 .hidden = rows,
                                 .logits = wants_token ? std::span(logits_) : std::span<float>{}},
                                cancel));
    if (!wants_token) return std::nullopt;
    return KITH_TRY(choose());
}

base::Result<infer::Choice> Sequence::choose() {
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
