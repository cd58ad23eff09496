// feature/ask/sequence.h: one sequence on one machine: the KV cache of a contiguous range of layers
// and the work done on it. The cache is in the model's worker (confined_stage.h); the tokens are
// chosen here. Made on the loop thread, used on the compute thread.
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
    // Code::unsupported when the model does not hold the part. The memory of the KV cache is taken
    // with the first step.
    static base::Result<Sequence> create(LoadedModelPtr model, Part part, std::size_t positions_max,
                                         std::optional<Sampling> sampling);

    // What the KV cache of such a sequence will take; `layers` and `positions` are within the
    // model's and the caller's limits.
    static std::size_t cache_bytes(LoadedModel const& model, Span layers, std::size_t positions);

    enum class Output { rows, token };
    // What a step begins with, token ids where the part embeds, else rows; and what it is for.
    struct Step {
        std::vector<infer::TokenId> const& tokens;  // empty: `hidden` has rows already
        std::vector<float>& hidden;                 // [n][hidden_size]; with Output::rows, after it
        std::size_t position = 0;
        Output output = Output::rows;  // token: the next one after the last row, with does_head
    };
    // Through this part's embedding, layers and head, as far as it has them and the step wants
    // them: one crossing of the border to the worker. The choice is there with Output::token.
    base::Result<std::optional<infer::Choice>> run(Step const& step,
                                                   std::atomic<bool> const& cancel);

    [[nodiscard]] Part const& part() const { return part_; }
    [[nodiscard]] std::size_t hidden_size() const { return model_->manifest.hidden_size; }
    [[nodiscard]] LoadedModelPtr const& model() const { return model_; }

private:
    Sequence(LoadedModelPtr model, Part part, std::size_t positions_max)
        : model_(std::move(model)), part_(part), positions_max_(positions_max) {}
    base::Result<infer::Choice> choose();

    LoadedModelPtr model_;
    Part part_;
    std::size_t positions_max_ = 0;
    ConfinedStage::Sequence cache_;  // of a part with layers, from its first step on
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
