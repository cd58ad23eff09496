#include "infer/packed/weights.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <new>
#include <system_error>

namespace kith::infer {
namespace {

enum State : std::uint8_t { unpacked, busy, ready };

constexpr int background_nice = 10;
constexpr std::size_t huge_page = std::size_t{2} << 20U;

std::size_t chunks_of(Matrix const& matrix) {
    return (matrix.rows + chunk_rows - 1) / chunk_rows;
}

}  // namespace

std::size_t chunk_bytes(Matrix const& matrix) {
    return chunk_groups * packed_group_bytes(matrix.type, matrix.columns);
}

void pack_chunk(Matrix const& matrix, std::size_t index, std::byte* out) {
    auto const group_bytes = packed_group_bytes(matrix.type, matrix.columns);
    auto const end = std::min((index + 1) * chunk_rows, matrix.rows);
    for (auto row = index * chunk_rows; row < end; row += packed_rows, out += group_bytes)
        pack_group({.type = matrix.type,
                    .rows = matrix.data + row * matrix.row_stride,
                    .row_stride = matrix.row_stride,
                    .rows_count = std::min(packed_rows, end - row),
                    .columns = matrix.columns,
                    .out = out});
}

std::unique_ptr<PackedWeights> PackedWeights::create(std::shared_ptr<Model const> model) {
    try {
        std::unique_ptr<PackedWeights> out(new PackedWeights());
        out->model_ = std::move(model);
        out->places_.resize(out->model_->matrices_count());
        for (auto const* const matrix : out->model_->multiplied_matrices())
            out->add_place(*matrix, false);
        for (auto const* const matrix : out->model_->expert_matrices())
            out->add_place(*matrix, true);
        if (out->size_ == 0 || !out->take_memory()) return nullptr;
        out->thread_ = std::thread([self = out.get()] { self->pack_all(); });
        return out;
    } catch (std::bad_alloc const&) {
        return nullptr;
    } catch (std::system_error const&) {
        return nullptr;
    }
}

void PackedWeights::add_place(Matrix const& matrix, bool is_expert) {
    if (!can_pack(matrix.type)) return;
    auto place = std::make_unique<Place>();
    place->matrix = &matrix;
    place->offset = size_;
    place->chunks_count = chunks_of(matrix);
    place->is_expert = is_expert;
    place->left = place->chunks_count;
    place->states = std::make_unique<std::atomic<std::uint8_t>[]>(place->chunks_count);
    size_ += place->chunks_count * chunk_bytes(matrix);
    places_[matrix.index] = std::move(place);
}

bool PackedWeights::take_memory() {
    void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    memory_ = static_cast<std::byte*>(memory);
    // Streaming through weights misses the TLB less often. Small models would pay for whole pages.
    if (size_ >= 8 * huge_page) (void)::madvise(memory, size_, MADV_HUGEPAGE);
    return true;
}

PackedWeights::~PackedWeights() {
    stopping_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
    if (memory_ != nullptr) ::munmap(memory_, size_);
}

std::byte const* PackedWeights::chunk(Matrix const& matrix, std::size_t index) {
    auto const& place = places_[matrix.index];
    return place == nullptr ? nullptr : chunk_of(*place, index);
}

std::byte const* PackedWeights::chunk_of(Place& place, std::size_t index) {
    auto* const out = memory_ + place.offset + index * chunk_bytes(*place.matrix);
    auto& state = place.states[index];
    auto seen = state.load(std::memory_order_acquire);
    if (seen == ready) return out;
    if (seen == busy || !state.compare_exchange_strong(seen, busy, std::memory_order_acquire))
        return seen == ready ? out : nullptr;
    pack_chunk(*place.matrix, index, out);
    state.store(ready, std::memory_order_release);
    if (place.left.fetch_sub(1, std::memory_order_acq_rel) == 1) model_->give_back(*place.matrix);
    return out;
}

bool PackedWeights::complete() const {
    return std::ranges::all_of(places_, [](auto const& place) {
        return place == nullptr || place->is_expert ||
               place->left.load(std::memory_order_acquire) == 0;
    });
}

void PackedWeights::pack_all() {
    (void)::setpriority(PRIO_PROCESS, 0, background_nice);  // of this thread only, on Linux
    for (auto place = places_.rbegin(); place != places_.rend(); ++place) {
        if (*place == nullptr || (*place)->is_expert) continue;
        for (std::size_t index = (*place)->chunks_count; index-- > 0;) {
            if (stopping_.load(std::memory_order_relaxed)) return;
            (void)chunk_of(**place, index);
        }
    }
}

}  // namespace kith::infer
