// node/membership/join_desk.h: the coordinator's end of the streams of /kith/join/1.0.0: requests
// as they arrive, and answers until their link has taken them. Whoever completed Noise may open
// one, so everything is bounded for each link, and nothing here says who is asking.
//
// Sans-IO. The owner resets a stream for which open() or feed() says Asked::refused, calls flush()
// whenever links may take bytes, and tells of the end of streams and links.
//
// Invariants: 1. a link asks join_requests_max times in its life. 2. of a link at most one answer
// waits to be read: a member list may have megabytes.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "node/link/host.h"
#include "wire/frame.h"

namespace kith::node {

inline constexpr std::size_t join_message_bytes_max = 16 * 1024;  // a request
// A joiner asks once, and so does a member that lacks the list.
inline constexpr std::size_t join_requests_max = 8;

class JoinDesk {
public:
    struct Refused {};                                       // reset the stream
    struct More {};                                          // of the request is to come
    using Asked = std::variant<Refused, More, base::Bytes>;  // the whole request
    using Write = std::function<std::size_t(Carrier const&, base::ByteView)>;
    using Finish = std::function<void(Carrier const&)>;

    [[nodiscard]] bool open(Carrier const& at);  // false: reset the stream
    // The stream was opened here, and its request is not complete.
    [[nodiscard]] bool expects(Carrier const& at) const;
    // Of a stream that expects() more; afterwards it does not, unless the answer is More.
    Asked feed(Carrier const& at, base::ByteView bytes);
    // The framed reply to the request that came on this stream.
    void answer(Carrier const& at, base::Bytes framed);
    // Gives every answer to `write`, which returns how much was taken; `finish` after the last
    // byte.
    void flush(Write const& write, Finish const& finish);

    void on_stream_gone(Carrier const& at);
    void on_link_down(ports::ConnectionId id) { links_.erase(id); }

    [[nodiscard]] bool is_asking(ports::ConnectionId id) const;
    [[nodiscard]] bool has_unread_answer(ports::ConnectionId id) const;

private:
    struct Link {
        std::size_t requests_count = 0;
        std::map<StreamId, wire::FrameReader> requests;
        std::optional<std::pair<StreamId, base::Bytes>> answer;
    };
    std::map<ports::ConnectionId, Link> links_;  // that opened a stream
};

}  // namespace kith::node
