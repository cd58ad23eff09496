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

using TokenId = std::int32_t;

enum class Architecture { llama, qwen2 };
char const* architecture_name(Architecture architecture);

// How rotary positions pair the elements of a head.
enum class RopeStyle {
    interleaved,  // (2i, 2i+1): llama, ggml's NORM
    halves,       // (i, i + size/2): qwen2, ggml's NEOX
};

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
    double rope_scale = 1.0;  // positions are divided by it (linear scaling)
    float norm_epsilon = 1e-5F;
    RopeStyle rope_style = RopeStyle::interleaved;

    [[nodiscard]] std::size_t query_size() const { return heads_count * head_size; }
    [[nodiscard]] std::size_t kv_size() const { return kv_heads_count * head_size; }
};

// Refuses by name what is unknown (architecture, rope scaling, experts) and what is out of limits.
base::Result<Hparams> read_hparams(Gguf const& file);

// The shard keys a file cut by infer/shard.h carries; a file without them is the whole model.
struct ShardMark {
    LayerRange layers;
    bool has_embedding = true;
    bool has_head = true;
};
base::Result<ShardMark> read_shard_mark(Gguf const& file, Hparams const& hparams);

}  // namespace kith::infer
