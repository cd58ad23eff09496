// proto/ping/ping.h: is the peer's program there, and how far away (libp2p/specs ping/ping.md):
// /ipfs/ping/1.0.0, 32 random bytes, echoed, in a loop on one stream.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace kith::proto::ping {

inline constexpr std::string_view protocol = "/ipfs/ping/1.0.0";
inline constexpr std::size_t payload_bytes = 32;
inline constexpr std::size_t inbound_streams_max = 2;  // per peer, for the owner to enforce
inline constexpr std::size_t echo_backlog_max = 64 * payload_bytes;
inline constexpr base::Duration timeout = std::chrono::seconds(10);

using Payload = base::ByteArray<payload_bytes>;

// The answering side of one stream: echoes whole payloads.
class Responder {
public:
    // Code::too_large: the peer asks faster than the stream takes our answers (echo_backlog_max
    // waiting).
    base::Status feed(base::ByteView in);
    // The bytes to write; call sent() with how many the stream took.
    [[nodiscard]] base::ByteView pending() const;
    void sent(std::size_t size);

private:
    base::Bytes buffer_;        // received, not yet echoed; the last payload may be incomplete
    std::size_t position_ = 0;  // in its payload, of the first byte of buffer_
};

// The asking side of one stream: one ping at a time.
class Requester {
public:
    // Begins a round and returns what to write; asserts that none is under way. `payload` must be
    // random.
    Payload start(Payload const& payload, base::Instant now);
    // nullopt: the echo is not complete. Code::invalid: it differs, or bytes came that nobody asked
    // for.
    base::Result<std::optional<base::Duration>> feed(base::ByteView in, base::Instant now);
    [[nodiscard]] bool is_waiting() const { return started_.has_value(); }
    // When the round counts as lost.
    [[nodiscard]] std::optional<base::Instant> deadline() const;

private:
    Payload payload_{};
    std::size_t received_ = 0;
    std::optional<base::Instant> started_;
};

}  // namespace kith::proto::ping
