#include "infer/kv_cache.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

namespace kith::infer {

using base::Code;
using base::fail;

base::Result<KvCache> KvCache::create(Hparams const& hparams, LayerRange layers,
                                      std::size_t positions_max) {
    if (layers.begin >= layers.end || layers.end > hparams.layers_count)
        return fail(Code::invalid, "no such layers");
    if (positions_max == 0 || positions_max > hparams.context_length)
        return fail(Code::invalid, "a sequence of " + std::to_string(positions_max) +
                                       " tokens; the model's context is 1 to " +
                                       std::to_string(hparams.context_length));
    // No overflow: at most 2^10 layers x 2^24 positions x 2^20 elements x 4 bytes.
    static_assert(layers_count_max <= 1U << 10U && context_length_max <= 1U << 24U &&
                  heads_count_max * head_size_max <= 1U << 20U);
    if (bytes_for(hparams, layers.count(), positions_max) > kv_cache_bytes_max)
        return fail(Code::too_large, "the KV cache would exceed its limit");
    try {
        return KvCache(hparams, layers, positions_max);
    } catch (std::bad_alloc const&) {
        return fail(Code::too_large, "not enough memory for the KV cache");
    }
}

std::size_t KvCache::bytes_for(Hparams const& hparams, std::size_t layers_count,
                               std::size_t positions_max) {
    return bytes_for(hparams.kv_size(), layers_count, positions_max);
}

std::size_t KvCache::bytes_for(std::size_t kv_size, std::size_t layers_count,
                               std::size_t positions_max) {
    return layers_count * 2 * kv_positions(positions_max) * kv_size * sizeof(std::uint16_t);
}

KvCache::KvCache(Hparams const& hparams, LayerRange layers, std::size_t positions_max)
    : layers_(layers),
      heads_count_(hparams.kv_heads_count),
      head_size_(hparams.head_size),
      positions_max_(positions_max),
      lengths_(layers.count(), 0),
      data_(bytes_for(hparams, layers.count(), positions_max) / sizeof(std::uint16_t), 0) {}

KvCache& KvCache::operator=(KvCache&& other) noexcept {
    if (this == &other) return *this;
    wipe();
    layers_ = other.layers_;
    heads_count_ = other.heads_count_;
    head_size_ = other.head_size_;
    positions_max_ = other.positions_max_;
    lengths_ = std::move(other.lengths_);
    data_ = std::move(other.data_);
    return *this;
}

KvCache::~KvCache() {
    wipe();
}

std::size_t KvCache::length() const {
    return lengths_.empty() ? 0 : *std::ranges::min_element(lengths_);
}

void KvCache::truncate(std::size_t length) {
    for (auto& layer : lengths_) layer = std::min(layer, length);
}

void KvCache::wipe() {
    std::ranges::fill(data_, std::uint16_t{0});
    // Keeps the compiler from dropping stores to memory that is about to be freed.
    __asm__ volatile("" : : "r"(data_.data()) : "memory");
}

std::uint16_t* KvCache::keys(std::size_t layer, std::size_t kv_head) {
    auto const index = (layer - layers_.begin) * 2 * heads_count_ + kv_head;
    return data_.data() + index * kv_positions(positions_max_) * head_size_;
}

std::uint16_t* KvCache::values(std::size_t layer, std::size_t kv_head) {
    return keys(layer, heads_count_ + kv_head);
}

}  // namespace kith::infer
