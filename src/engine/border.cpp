#include "engine/border.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace kith::engine {
namespace {

using base::Code;
using base::fail;

constexpr std::size_t header_bytes = std::size_t{4} << 10U;
static_assert(sizeof(BorderHeader) <= header_bytes);

}  // namespace

base::Result<base::FileDescriptor> Border::create() {
    base::FileDescriptor memory(::memfd_create("kith-stage", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory.is_open() || ::ftruncate(memory.get(), border_bytes_max) != 0 ||
        ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return fail(Code::internal, "no shared memory for a worker");
    return memory;
}

std::size_t Border::data_bytes_for(std::size_t hidden_size, std::size_t vocabulary_size) {
    // One more for its id, and the logits of the last one.
    return (border_rows_max * (hidden_size + 1) + vocabulary_size) * sizeof(float);
}

base::Result<Border> Border::map(int memory, std::size_t data_bytes) {
    if (data_bytes > border_bytes_max - header_bytes)
        return fail(Code::too_large, "a model too wide for a worker");
    auto const bytes = header_bytes + data_bytes;
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (at == MAP_FAILED) return fail(Code::internal, "cannot map a worker's shared memory");
    return Border(at, bytes);
}

Border::Border(Border&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Border& Border::operator=(Border&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

Border::~Border() {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

std::span<float> Border::floats(std::size_t offset, std::size_t count) const {
    auto const room = (bytes_ - header_bytes) / sizeof(float);
    KITH_ASSERT(offset <= room && count <= room - offset);
    return {reinterpret_cast<float*>(static_cast<std::uint8_t*>(memory_) + header_bytes) + offset,
            count};
}

std::span<infer::TokenId> Border::ids(std::size_t offset, std::size_t count) const {
    static_assert(sizeof(infer::TokenId) == sizeof(float));
    return {reinterpret_cast<infer::TokenId*>(floats(offset, count).data()), count};
}

base::MutableByteView Border::bytes() const {
    return {static_cast<std::uint8_t*>(memory_) + header_bytes, bytes_ - header_bytes};
}

void sleep_while(std::atomic<std::uint32_t> const& word, std::uint32_t seen,
                 std::chrono::milliseconds at_most) {
    timespec const time{.tv_sec = at_most.count() / 1000,
                        .tv_nsec = at_most.count() % 1000 * 1'000'000};
    (void)::syscall(SYS_futex, &word, FUTEX_WAIT, seen, &time, nullptr, 0);
}

void wake(std::atomic<std::uint32_t>& word) {
    (void)::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

bool is_closed(int socket) {
    pollfd asked{.fd = socket, .events = POLLIN, .revents = 0};
    // Nothing is said on it any more, so whatever there is to read is its end.
    return ::poll(&asked, 1, 0) > 0;
}

}  // namespace kith::engine
