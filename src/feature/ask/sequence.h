// feature/ask/sequence.h: one sequence on one machine: the KV cache of a contiguous range of layers
// and the work done on it. Everything here runs on the worker thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "feature/ask/model_store.h"
#include "feature/ask/planner.h"
#include "infer/sampler.h"
#include "infer/token_grammar.h"

namespace kith::ask {

class Sequence {
public:
    struct Part {
        Span layers;
        bool does_embedding = false;
        bool does_head = false;
    };
    // How tokens are chosen; with does_head.
    struct Sampling {
        infer::SamplerOptions options;
        std::optional<infer::grammar::Grammar> grammar{};
        std::vector<infer::TokenId> prompt{};  // for the repetition penalty
    };
    // Takes the memory of the KV cache at once (positions_max tokens). Code::unsupported when the
    // model does not hold the part.
    static base::Result<Sequence> create(LoadedModelPtr model, Part part, std::size_t positions_max,
                                         std::optional<Sampling> sampling);

    // What the KV cache of such a sequence will take; `layers` and `positions` are within the
    // model's and the caller's limits.
    static std::size_t cache_bytes(LoadedModel const& model, Span layers, std::size_t positions);

    // Token ids -> hidden rows; only with does_embedding.
    base::Status embed(std::vector<infer::TokenId> const& tokens, std::vector<float>& hidden);
    // Through this part's layers, in place; nothing to do for a part without layers.
    base::Status forward(std::vector<float>& hidden, std::size_t position,
                         std::atomic<bool> const& cancel);
    // The next token after the last row of `hidden`; only with does_head.
    base::Result<infer::Choice> sample(std::vector<float> const& hidden);

    [[nodiscard]] Part const& part() const { return part_; }
    [[nodiscard]] std::size_t hidden_size() const { return model_->manifest.hidden_size; }
    [[nodiscard]] std::size_t bytes() const { return cache_ ? cache_->bytes() : 0; }
    [[nodiscard]] LoadedModelPtr const& model() const { return model_; }

private:
    Sequence(LoadedModelPtr model, Part part) : model_(std::move(model)), part_(part) {}

    LoadedModelPtr model_;
    Part part_;
    std::optional<infer::KvCache> cache_;
    std::optional<infer::Sampler> sampler_;
    std::optional<infer::grammar::Grammar> form_;  // until the first token
    std::unique_ptr<infer::TokenGrammar> grammar_;
    std::vector<float> logits_;
};

// [rows, hidden] F32 little endian, as it travels. Code::invalid when the size does not fit.
base::Result<std::vector<float>> decode_tensor(base::ByteView bytes, std::size_t rows,
                                               std::size_t hidden);
base::ByteView tensor_bytes(std::vector<float> const& hidden);

}  // namespace kith::ask
