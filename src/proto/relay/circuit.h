// proto/relay/circuit.h: the raw part of one relayed connection: bytes of one end go to the other,
// unread, until both ends have closed or a limit is reached.
//
// What one end sent waits here until the other's stream takes it, and only then is credit given
// back to the sender: so a circuit holds at most the stream windows of its two ends.
//
// Invariants: 1. bytes come out in the order they went in, and none is lost or added. 2. at most
// `data_bytes` of the limit pass in each direction.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "proto/relay/message.h"

namespace kith::proto::relay {

enum class End { source, target };
constexpr End other(End end) {
    return end == End::source ? End::target : End::source;
}

class Circuit {
public:
    explicit Circuit(Limit limit) : limit_(limit) {}

    // Code::too_large: more than the limit in this direction; the circuit must be reset.
    base::Status feed(End from, base::ByteView bytes);
    void ended(End from) { way(from).ended = true; }

    // What waits to be written to `to`; sent() says how much its stream took.
    [[nodiscard]] base::ByteView pending(End to) const;
    void sent(End to, std::size_t size);
    // True once, when everything for `to` was written and its partner has closed.
    bool take_close(End to);
    [[nodiscard]] bool is_over() const;

private:
    struct Way {
        base::Bytes bytes;
        std::size_t taken = 0;    // of `bytes`
        std::uint64_t total = 0;  // that came
        bool ended = false, closed = false;
    };
    [[nodiscard]] Way& way(End from) { return from == End::source ? up_ : down_; }
    [[nodiscard]] Way const& way(End from) const { return from == End::source ? up_ : down_; }

    Limit limit_;
    Way up_, down_;  // from the source, from the target
};

}  // namespace kith::proto::relay
