// wire/frame.h: messages delimited by an unsigned varint length, the framing of multistream,
// identify, kad and gossipsub. The one way to read a delimited message, so that no length is ever
// trusted for an allocation.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::wire {

// Appends varint(message.size()) and the message.
void append_frame(base::Bytes& out, base::ByteView message);

// Cuts a byte stream into messages of at most `size_max` bytes. Memory grows with what has arrived,
// never with what a length promises. Invariant: holds at most size_max + varint_bytes_max bytes.
class FrameReader {
public:
    explicit FrameReader(std::size_t size_max) : size_max_(size_max) {}

    // Consumes from the front of `in` up to the end of one message. nullopt: everything was
    // consumed, more is needed. Bytes behind the message stay in `in`. Code::invalid (bad varint)
    // and Code::too_large (length above size_max, refused when the length is complete, before its
    // body) are final: do not call again.
    base::Result<std::optional<base::Bytes>> next(base::ByteView& in);

    // True when the stream may end here: no message has been begun.
    [[nodiscard]] bool at_boundary() const { return !length_ && header_.empty(); }

private:
    base::Status read_length(base::ByteView& in);

    std::size_t size_max_;
    base::Bytes header_;  // the bytes of an incomplete length
    std::optional<std::size_t> length_;
    base::Bytes body_;
};

}  // namespace kith::wire
