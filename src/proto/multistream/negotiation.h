// proto/multistream/negotiation.h: agrees on one protocol for a byte stream: multistream-select 1.0
// (libp2p/specs connections/README.md).
//
// Message: uvarint(length including the newline), text, '\n'. Both sides send the header
// "/multistream/1.0.0"; the dialer then proposes, the listener echoes a protocol it accepts or
// answers "na".
//
//   dialer:    header+proposal sent -> header seen -> echo seen: finished
//                                                  -> "na": next proposal, or failed when none is
//                                                  left
//   listener:  header sent, header seen -> proposal: echo, finished; or "na", again, at most
//   proposals_max times
//
// Sans-IO. Bytes of the next layer may arrive together with the last message: feed() stops right
// behind its own and leaves them to the caller. Errors are final.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/frame.h"

namespace kith::proto::multistream {

inline constexpr std::string_view header_text = "/multistream/1.0.0";
inline constexpr std::size_t message_bytes_max = 1024;  // as js-libp2p
inline constexpr std::size_t protocol_chars_max = 140;  // of an id we propose or accept
inline constexpr std::size_t proposals_max =
    8;  // refused proposals a listener answers before it gives up
inline constexpr std::size_t dialer_protocols_max = 8;

enum class Progress { more, finished };

// Proposes protocols in order of preference. header and first proposal leave in one write, so the
// common case costs one round trip (or none, for a caller that sends on behind a single proposal).
class Dialer {
public:
    // Asserts 1 <= protocols.size() <= dialer_protocols_max, each a valid id.
    explicit Dialer(std::vector<std::string> protocols);

    // Consumes its own bytes from the front of `in`. Code::unsupported: the peer accepts none of
    // them.
    base::Result<Progress> feed(base::ByteView& in);
    // Appends what is to be sent; true when that was anything.
    bool poll_transmit(base::Bytes& out);
    // The agreed protocol; valid once feed() returned finished.
    [[nodiscard]] std::string const& protocol() const { return protocols_[current_]; }

private:
    enum class State { header, reply, finished };  // what is awaited

    base::Result<Progress> on_message(std::string_view text);

    std::vector<std::string> protocols_;
    std::size_t current_ = 0;
    State state_ = State::header;
    wire::FrameReader reader_{message_bytes_max};
    base::Bytes out_;
};

// Which proposals a listener takes.
using Accepts = std::function<bool(std::string_view)>;

// Accepts a protocol by asking the caller, whose answer may change while a peer thinks.
class Listener {
public:
    Listener();

    // As Dialer::feed; Code::invalid also after proposals_max refused proposals.
    base::Result<Progress> feed(base::ByteView& in, Accepts const& accepts);
    bool poll_transmit(base::Bytes& out);
    [[nodiscard]] std::string const& protocol() const { return protocol_; }

private:
    enum class State { header, proposal, finished };  // what is awaited

    base::Result<Progress> on_message(std::string_view text, Accepts const& accepts);

    std::string protocol_;
    std::size_t refused_count_ = 0;
    State state_ = State::header;
    wire::FrameReader reader_{message_bytes_max};
    base::Bytes out_;
};

}  // namespace kith::proto::multistream
