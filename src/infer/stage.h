// infer/stage.h: runs layers of a Model: token ids -> hidden rows -> hidden rows -> logits.
//
// A pipeline cuts a model anywhere between layers; each part is a Stage, on this or another
// machine, and what travels is `hidden`: [tokens][hidden_size] floats. Results do not depend on the
// cut, on how many tokens are given at once or on the number of threads: each number is computed by
// the same operations in the same order, bit for bit, by every table of kernels and with weights
// packed or not.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "infer/kernels.h"
#include "infer/kv_cache.h"
#include "infer/model.h"

namespace kith::infer {

inline constexpr std::size_t threads_count_max = 64;
inline constexpr std::size_t forward_tokens_max =
    65536;  // one call; more positions need more calls
inline constexpr std::size_t micro_batch_tokens =
    64;  // tokens that pass a layer together; bounds scratch memory

// Quantised weights are multiplied in a packed order (packed/layout.h). `on` keeps a packed copy in
// memory, made in the background, and gives the pages of the model file back; `off` packs them anew
// for each product, so that they stay in the file's mapping, at less than half the speed of
// decoding.
enum class Repack { on, off };

struct StageOptions {
    std::size_t threads = 1;  // including the caller; 1 to threads_count_max
    Isa isa = Isa::detected;
    Repack repack = Repack::on;
};

// Not thread-safe: one call at a time. Owns threads - 1 threads that sleep between calls, and one
// that packs weights and then ends.
class Stage {
public:
    static base::Result<Stage> create(std::shared_ptr<Model const> model,
                                      StageOptions options = {});
    Stage(Stage&&) noexcept;
    Stage& operator=(Stage&&) noexcept;
    ~Stage();

    [[nodiscard]] Model const& model() const;
    [[nodiscard]] bool packing() const;  // in the background, still

    // out[i] = row of tokens[i]. Code::invalid for an id outside the vocabulary or sizes that do
    // not fit together, Code::unsupported when the model has no embedding.
    base::Status embed(std::span<TokenId const> tokens, std::span<float> out);

    // Passes `hidden` ([n][hidden_size], n >= 1) through layers `range` in place. The rows are
    // positions position .. position+n-1 of the cache's sequence; each layer of the range must have
    // seen exactly `position` tokens. Rows that are not finite are refused, before and after
    // (Code::invalid): no peer's NaN gets further. Between layers `cancel` is looked at (nullptr:
    // never): Code::cancelled leaves `hidden` unspecified and wants cache.truncate(position).
    base::Status forward(KvCache& cache, std::span<float> hidden, std::size_t position,
                         LayerRange range, std::atomic<bool> const* cancel = nullptr);

    // forward() of several sequences at once, as decoding many requests needs it: the weights are
    // read once for all. Each sequence gets the bits it would get alone, and its own result, with
    // the errors of forward(); one that is refused does not disturb the others. Together at most
    // micro_batch_tokens rows (Code::too_large for those past it); a cache that is in `steps` twice
    // is refused the second time (Code::conflict).
    struct Step {
        KvCache* cache = nullptr;
        std::size_t position = 0;
        std::span<float> hidden = {};  // [n][hidden_size], n >= 1
    };
    std::vector<base::Status> forward_many(std::span<Step const> steps, LayerRange range,
                                           std::atomic<bool> const* cancel = nullptr);

    // Final norm and head of 1 to micro_batch_tokens rows: out[n][vocabulary_size].
    // Code::unsupported without a head.
    base::Status logits(std::span<float const> hidden_rows, std::span<float> out);

private:
    struct State;
    explicit Stage(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace kith::infer
