// infer/kv_cache.h: keys and values of one sequence for a range of layers, as float16.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "infer/hparams.h"
#include "infer/kv_layout.h"

namespace kith::infer {

inline constexpr std::size_t kv_cache_bytes_max = std::size_t{16} << 30U;

// All memory is taken at creation: bytes() does not change afterwards. Wiped when destroyed,
// because keys and values tell the prompt to who has the weights. Not thread-safe.
class KvCache {
public:
    // Room for positions_max tokens (1 to the model's context length). Code::too_large past
    // kv_cache_bytes_max or when memory is refused; Code::invalid for an empty or foreign range.
    static base::Result<KvCache> create(Hparams const& hparams, LayerRange layers,
                                        std::size_t positions_max);

    KvCache(KvCache&&) noexcept = default;
    KvCache& operator=(KvCache&& other) noexcept;
    KvCache(KvCache const&) = delete;
    KvCache& operator=(KvCache const&) = delete;
    ~KvCache();

    // Bytes of such a cache (kv_layout.h rounds positions up); within the limits of create().
    static std::size_t bytes_for(Hparams const& hparams, std::size_t layers_count,
                                 std::size_t positions_max);
    // The same by hparams.kv_size() alone.
    static std::size_t bytes_for(std::size_t kv_size, std::size_t layers_count,
                                 std::size_t positions_max);

    [[nodiscard]] LayerRange layers() const { return layers_; }
    [[nodiscard]] std::size_t positions_max() const { return positions_max_; }
    [[nodiscard]] std::size_t bytes() const { return data_.size() * sizeof(std::uint16_t); }

    // Tokens that every layer of the cache has seen. After a cancelled forward() layers can differ;
    // truncate() brings them back together.
    [[nodiscard]] std::size_t length() const;
    // Forgets everything from `length` on; a longer one than the present is harmless.
    void truncate(std::size_t length);

private:
    friend class Stage;
    KvCache(Hparams const& hparams, LayerRange layers, std::size_t positions_max);
    void wipe();
    // Of one head; kv_layout.h has the order of elements.
    std::uint16_t* keys(std::size_t layer, std::size_t kv_head);
    std::uint16_t* values(std::size_t layer, std::size_t kv_head);

    LayerRange layers_;
    std::size_t heads_count_ = 0;
    std::size_t head_size_ = 0;
    std::size_t positions_max_ = 0;
    std::vector<std::size_t> lengths_;  // per layer
    std::vector<std::uint16_t> data_;
};

}  // namespace kith::infer
