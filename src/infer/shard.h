// infer/shard.h: cuts a GGUF model by layers into shard files with a manifest, and checks both.
//
// Each shard is a GGUF file of its own: the model's shape, the mark `kith.shard.*`, and its tensors
// unchanged. shard_000 holds the embedding and the tokenizer, the last one the output norm and the
// head (its own copy of the embedding's rows where the head is tied). manifest.json names every
// file with layers, size and BLAKE3; the BLAKE3 of its canonical bytes is the model's id.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "infer/hparams.h"
#include "infer/model.h"

namespace kith::infer {

inline constexpr std::size_t manifest_bytes_max = 1U << 20U;
inline constexpr std::size_t manifest_shards_max = layers_count_max + 2;
inline constexpr std::uint32_t manifest_version = 1;
inline constexpr std::size_t path_component_bytes_max = 128;

using ShardHash = base::ByteArray<32>;  // BLAKE3

// A name from a manifest, a peer or a user as one component of a path: accepted unchanged, or
// refused with Code::invalid. Accepted are 1 to path_component_bytes_max of [A-Za-z0-9._-], first
// not '.' or '-', last not '.', and no device name of Windows (CON, NUL, COM1 ... whatever follows
// the dot). Claim S57.
base::Result<std::string> sanitize_path_component(std::string_view name);

struct ShardEntry {
    std::string file;  // sanitised
    LayerRange layers;
    bool has_embedding = false;
    bool has_head = false;
    std::uint64_t size = 0;
    ShardHash blake3{};
    bool operator==(ShardEntry const&) const = default;
};

struct Manifest {
    // Printable ASCII without '"' and '\\', at most path_component_bytes_max bytes.
    std::string name;
    std::string architecture;
    std::size_t layers_count = 0;
    std::size_t hidden_size = 0;
    std::size_t vocabulary_size = 0;
    std::size_t context_length = 0;
    std::uint64_t total_bytes = 0;   // sum of the sizes
    std::vector<ShardEntry> shards;  // ascending and without gap: together exactly all layers
    bool operator==(Manifest const&) const = default;
};

// Strict: exactly the known fields, once each; numbers in range; shards complete, in order, each
// file name once; the embedding only in the first, the head only in the last. Code::invalid,
// Code::too_large, Code::unsupported (version).
base::Result<Manifest> parse_manifest(base::ByteView json);
// Canonical bytes: the same manifest always gives the same ones. parse_manifest accepts other
// spacing and order.
std::string write_manifest(Manifest const& manifest);
// BLAKE3 of the canonical bytes, in hex: what names a model everywhere.
std::string model_id(Manifest const& manifest);

// The gate before Model::load_views: size and hash of exactly these bytes. Code::corrupt. Claim
// S87.
base::Status verify_shard(base::ByteView bytes, ShardEntry const& entry);

// [0,0) with the embedding, `parts` ranges as equal as can be, [n,n) with the head: remote members
// need no end.
std::vector<LayerRange> default_shard_plan(std::size_t layers_count, std::size_t parts);
// Parses "0,3,6": the layers at which new shards begin; a leading 0 (trailing layers_count) keeps
// the end separate.
base::Result<std::vector<LayerRange>> parse_cuts(std::string_view cuts, std::size_t layers_count);

using Progress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

}  // namespace kith::infer
