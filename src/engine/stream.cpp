#include "engine/stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace kith::engine {
namespace {

using base::Code;
using base::fail;

constexpr std::size_t chunk_bytes = std::size_t{64} << 10U;
// An honest end writes a message in one go. Who lets it trickle is given up.
constexpr std::chrono::milliseconds part_patience{2000};
constexpr std::size_t message_parts_max = 64;

bool is_ready(int descriptor, std::chrono::milliseconds patience) {
    pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
    int const wait = patience.count() == 0 ? -1 : static_cast<int>(patience.count());
    int ready = 0;
    do ready = ::poll(&wanted, 1, wait);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

// `parts`: how many reads this message took so far. Only the first may take all of the patience.
base::Status read_exactly(int descriptor, base::MutableByteView out,
                          std::chrono::milliseconds patience, std::size_t& parts) {
    for (; !out.empty(); ++parts) {
        bool const is_late = patience.count() != 0 && parts > 0;
        if (is_late && parts >= message_parts_max)
            return fail(Code::timeout, "an answer in too many parts");
        if (!is_ready(descriptor, is_late ? std::min(patience, part_patience) : patience))
            return fail(Code::timeout, "no answer in time");
        auto const got = ::read(descriptor, out.data(), out.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return fail(Code::unavailable, "the other end is gone");
        out = out.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

}  // namespace

base::Result<SocketPair> SocketPair::create() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return fail(Code::internal, "no socket for a worker");
    return SocketPair{base::FileDescriptor(ends[0]), base::FileDescriptor(ends[1])};
}

base::Status write_all(Writer writer, int descriptor, base::ByteView bytes) {
    while (!bytes.empty()) {
        auto const written = writer == Writer::node
                                 ? ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                                 : ::write(descriptor, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return fail(Code::unavailable, "the other end is gone");
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
}

base::Result<base::Bytes> read_to_end(int descriptor, std::size_t size_max,
                                      std::chrono::milliseconds patience) {
    base::Bytes all;
    for (;;) {
        if (!is_ready(descriptor, patience)) return fail(Code::timeout, "no answer in time");
        std::array<std::uint8_t, chunk_bytes> chunk;
        auto const got = ::read(descriptor, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Code::unavailable, "the connection broke");
        if (got == 0) return all;
        if (all.size() + static_cast<std::size_t>(got) > size_max)
            return fail(Code::too_large, "the answer is too large");
        base::append(all, base::ByteView(chunk).first(static_cast<std::size_t>(got)));
    }
}

base::Status write_message(Writer writer, int descriptor, base::ByteView message) {
    base::ByteArray<4> length;
    base::store_be(length, static_cast<std::uint32_t>(message.size()));
    KITH_TRY(write_all(writer, descriptor, length));
    return write_all(writer, descriptor, message);
}

base::Result<base::Bytes> read_message(int descriptor, std::size_t size_max,
                                       std::chrono::milliseconds patience) {
    base::ByteArray<4> length;
    std::size_t parts = 0;
    KITH_TRY(read_exactly(descriptor, length, patience, parts));
    auto const size = base::load_be<std::uint32_t>(length);
    if (size > size_max) return fail(Code::too_large, "a message is too large");
    base::Bytes message(size);
    KITH_TRY(read_exactly(descriptor, message, patience, parts));
    return message;
}

}  // namespace kith::engine
