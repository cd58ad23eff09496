// engine/border.h: the memory that a node and its stage worker share, and how they take turns.
//
// One page range of a memfd, whose size is sealed, so that neither can cut it under the other's
// feet: a header, then numbers (token ids, rows of floats) whose place the operation gives. The
// parent writes a command, adds one to `asked` and wakes the worker (futex(2)); the worker computes
// in place, writes its reply and sets `answered` to the same number. The worker's side may be in
// hostile hands: the parent copies each value out once, checks the copy, and waits in a loop with
// an end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "infer/hparams.h"
#include "infer/stage.h"

namespace kith::engine {

inline constexpr std::size_t border_rows_max = 512;  // of one exchange
inline constexpr std::size_t border_message_bytes = 188;
inline constexpr std::size_t border_bytes_max = std::size_t{1}
                                                << 30U;  // only what is touched costs

enum class Operation : std::uint32_t {
    run,         // step: rows, in place, then their ids, then logits of the last row
    make_cache,  // step.cache, for `layers`, of `size` positions
    drop,        // step.cache
};

struct BorderStep {
    std::uint64_t position = 0;
    std::uint32_t cache = 0;
    std::uint32_t rows = 0;
};

// What Operation::run does besides the layers, which may be none.
inline constexpr std::uint32_t part_embed = 1;   // the rows are made of the ids first
inline constexpr std::uint32_t part_logits = 2;  // the head, at the end

struct BorderCommand {
    Operation operation = Operation::run;
    std::uint32_t parts = 0;
    std::uint64_t size = 0;
    std::uint64_t layers_begin = 0;
    std::uint64_t layers_end = 0;
    BorderStep step;
};

struct BorderReply {
    std::uint32_t code = 0;  // 0: ok; otherwise 1 + base::Code
    char message[border_message_bytes] = {};
};

struct BorderHeader {
    alignas(64) std::atomic<std::uint32_t> asked;
    alignas(64) std::atomic<std::uint32_t> answered;
    alignas(64) std::atomic<bool> cancel;
    alignas(64) BorderCommand command;
    alignas(64) BorderReply reply;
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

class Border {
public:
    // The memory, not mapped yet.
    static base::Result<base::FileDescriptor> create();
    // Code::too_large past border_bytes_max, Code::internal when it cannot be mapped.
    static base::Result<Border> map(int memory, std::size_t data_bytes);
    // What stages of such a model exchange at most.
    static std::size_t data_bytes_for(std::size_t hidden_size, std::size_t vocabulary_size);

    Border(Border&& other) noexcept;
    Border& operator=(Border&& other) noexcept;
    ~Border();

    [[nodiscard]] BorderHeader& header() const { return *static_cast<BorderHeader*>(memory_); }
    // Asserts that it is inside: callers check sizes against the limits above first.
    [[nodiscard]] std::span<float> floats(std::size_t offset, std::size_t count) const;
    [[nodiscard]] std::span<infer::TokenId> ids(std::size_t offset, std::size_t count) const;
    // All of the numbers' place, for what is exchanged before the first turn (words_message.h).
    [[nodiscard]] base::MutableByteView bytes() const;

private:
    Border(void* memory, std::size_t bytes) : memory_(memory), bytes_(bytes) {}
    void* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

// Sleeps while `word` is `seen`, or for so long, or for no reason. Shared between processes.
void sleep_while(std::atomic<std::uint32_t> const& word, std::uint32_t seen,
                 std::chrono::milliseconds at_most);
void wake(std::atomic<std::uint32_t>& word);

// Whether the other end of the socket is gone (its process ended).
bool is_closed(int socket);

}  // namespace kith::engine
