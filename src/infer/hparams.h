// infer/hparams.h: the numbers that describe a model's shape, read from GGUF metadata and checked
// against limits.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "infer/gguf.h"

namespace kith::infer {

inline constexpr std::size_t layers_count_max = 1024;
inline constexpr std::size_t hidden_size_max = 1U << 16U;
inline constexpr std::size_t feed_forward_size_max = 1U << 20U;
inline constexpr std::size_t heads_count_max = 1024;
inline constexpr std::size_t head_size_max = 1024;
inline constexpr std::size_t vocabulary_size_max = 1U << 21U;
inline constexpr std::size_t context_length_max = 1U << 24U;
inline constexpr std::size_t experts_count_max = 512;

using TokenId = std::int32_t;

enum class Architecture { llama, qwen2, qwen3, qwen3moe, gemma2, gemma3, phi3 };
char const* architecture_name(Architecture architecture);

// How rotary positions pair the elements of a head.
enum class RopeStyle {
    interleaved,  // (2i, 2i+1): llama, ggml's NORM
    halves,       // (i, i + size/2): qwen2, ggml's NEOX
};

// How positions beyond those of the training are brought back into its range (rope.h).
enum class RopeScaling { none, linear, yarn, longrope };

// Layers [begin, end).
struct LayerRange {
    std::size_t begin = 0;
    std::size_t end = 0;
    [[nodiscard]] std::size_t count() const { return end - begin; }
    bool operator==(LayerRange const&) const = default;
};

struct Hparams {
    Architecture architecture = Architecture::llama;
    std::string name;  // general.name, for people; not trusted
    std::size_t layers_count = 0;
    std::size_t hidden_size = 0;
    std::size_t feed_forward_size = 0;
    std::size_t heads_count = 0;
    std::size_t kv_heads_count = 0;  // divides heads_count
    std::size_t head_size = 0;
    std::size_t rope_size = 0;  // leading elements of a head that rotate; even
    std::size_t vocabulary_size = 0;
    std::size_t context_length = 0;
    double rope_base = 10000.0;
    double rope_base_windowed = 0;  // of layers with a window; 0: as the others
    double rope_scale = 1.0;        // positions are divided by it (linear scaling, yarn)
    RopeScaling rope_scaling = RopeScaling::none;
    std::size_t rope_original_context = 0;  // yarn, longrope: positions of the training
    double rope_magnitude = 1.0;            // what rotates is multiplied by it
    double yarn_beta_fast = 32.0;
    double yarn_beta_slow = 1.0;
    float norm_epsilon = 1e-5F;
    RopeStyle rope_style = RopeStyle::interleaved;

    float embedding_scale = 1.0F;  // the embedding's rows are multiplied by it
    float attention_scale = 1.0F;  // dots of queries and keys
    float attention_cap = 0;       // scores become cap * tanh(score / cap); 0: they stay
    float logits_cap = 0;          // the same for logits
    // Positions that a query sees, its own included, in layers with a window; 0: none has one.
    std::size_t window = 0;
    std::size_t window_period = 0;  // every so many layers the last has no window; 0: all have one

    std::size_t experts_count = 0;  // 0: none
    std::size_t experts_used = 0;   // for one token; 1 to experts_count
    std::size_t expert_size = 0;    // feed_forward_size of an expert

    [[nodiscard]] std::size_t query_size() const { return heads_count * head_size; }
    [[nodiscard]] std::size_t kv_size() const { return kv_heads_count * head_size; }
    [[nodiscard]] bool has_window(std::size_t layer) const {
        return window != 0 && (window_period == 0 || layer % window_period != window_period - 1);
    }
    bool operator==(Hparams const&) const = default;
};

// Refuses by name what is unknown (architecture, rope scaling) and what is out of limits.
base::Result<Hparams> read_hparams(Gguf const& file);

// The shard keys a file cut by infer/shard.h carries; a file without them is the whole model.
struct ShardMark {
    LayerRange layers;
    bool has_embedding = true;
    bool has_head = true;
};
base::Result<ShardMark> read_shard_mark(Gguf const& file, Hparams const& hparams);

}  // namespace kith::infer
