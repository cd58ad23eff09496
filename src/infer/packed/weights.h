// infer/packed/weights.h: the packed copies of a stage's quantised matrices, made while they are
// used.
//
// Packing goes chunk by chunk (two groups of rows), whoever needs a chunk first: the products of
// the first tokens from the first layer on, and a thread of low priority from the last layer back.
// Nobody waits: a chunk that is being packed by another, or has no place of its own, is packed into
// the caller's scratch for this once. So results never depend on how far packing is, and the first
// token does not wait for it. When all of a matrix is packed, its pages in the model file are given
// back.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "infer/model.h"
#include "infer/packed/layout.h"

namespace kith::infer {

inline constexpr std::size_t chunk_groups = 2;
inline constexpr std::size_t chunk_rows = chunk_groups * packed_rows;

// Bytes of a chunk's scratch; can_pack(matrix.type).
std::size_t chunk_bytes(Matrix const& matrix);
// Packs chunk `index` of the matrix into `out` (chunk_bytes(), aligned to packed_alignment).
void pack_chunk(Matrix const& matrix, std::size_t index, std::byte* out);

class PackedWeights {
public:
    // Takes the address space for all matrices that can be packed, memory as they are packed, and
    // starts the thread. nullptr when the system refuses either: then all is packed into scratch.
    static std::unique_ptr<PackedWeights> create(std::shared_ptr<Model const> model);
    PackedWeights(PackedWeights const&) = delete;
    PackedWeights& operator=(PackedWeights const&) = delete;
    ~PackedWeights();  // stops packing after the present chunk

    // Chunk `index` of a matrix, packed now if nobody has begun to; nullptr: use scratch. Any
    // thread.
    std::byte const* chunk(Matrix const& matrix, std::size_t index);
    // All of it is packed, but for experts (tests and benchmarks wait for it).
    [[nodiscard]] bool complete() const;

private:
    struct Place {
        Matrix const* matrix = nullptr;
        std::size_t offset = 0;  // in memory_
        std::size_t chunks_count = 0;
        bool is_expert = false;  // packed when it is chosen, never ahead
        std::unique_ptr<std::atomic<std::uint8_t>[]> states;
        std::atomic<std::size_t> left{0};  // chunks not packed yet
    };

    PackedWeights() = default;
    void add_place(Matrix const& matrix, bool is_expert);
    bool take_memory();
    std::byte const* chunk_of(Place& place, std::size_t index);
    void pack_all();

    std::shared_ptr<Model const> model_;
    std::vector<std::unique_ptr<Place>> places_;  // by Matrix::index; nullptr: cannot be packed
    std::byte* memory_ = nullptr;
    std::size_t size_ = 0;
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace kith::infer
