// ports/network_core.h: what a TCP driver (io/) or a simulated network (sim/) needs from the
// protocol core.
//
// The core never touches a socket. The driver reports what happened, then drains poll_output()
// until it is empty, then waits for the next socket event or deadline(). Bytes to send are pulled,
// never pushed: after an output Transmit{id}, and again each time the socket has taken everything,
// the driver calls poll_transmit(id); so a slow peer stops the core from producing more for it
// (backpressure), without a second queue.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace kith::ports {

// Names one transport connection for its whole life; the driver allocates odd ids (accepted), the
// core even ones (dialled). Never reused within a process.
struct ConnectionId {
    std::uint64_t value = 0;
    auto operator<=>(ConnectionId const&) const = default;
};

// A numeric address and port; no names, so no DNS inside the core.
struct SocketAddress {
    std::string ip;  // "127.0.0.1" or "::1"
    std::uint16_t port = 0;
    auto operator<=>(SocketAddress const&) const = default;
};

// Where a dialled connection begins. A router shows one from the port that is listened on under the
// outside address where others may dial this machine; one from any other port tells nothing about
// that, and lets nobody in.
enum class DialFrom {
    any_port,
    listen_port,              // fails where that is not possible
    listen_port_if_possible,  // else any
};

struct Dial {
    ConnectionId id;
    SocketAddress to;
    DialFrom from = DialFrom::any_port;
};
struct Transmit {  // poll_transmit(id) has bytes
    ConnectionId id;
};
struct Close {  // after pending bytes of this connection were sent; nothing more is reported about
                // id
    ConnectionId id;
};
using NetworkOutput = std::variant<Dial, Transmit, Close>;

class NetworkCore {
public:
    virtual ~NetworkCore() = default;
    virtual void on_accepted(ConnectionId id, SocketAddress remote, base::Instant now) = 0;
    virtual void on_connected(ConnectionId id, base::Instant now) = 0;
    virtual void on_bytes(ConnectionId id, base::ByteView bytes, base::Instant now) = 0;
    // The connection failed to open, broke, or reached end of file.
    virtual void on_closed(ConnectionId id, base::Error reason, base::Instant now) = 0;
    virtual void on_deadline(base::Instant now) = 0;

    // Appends bytes for the connection to `out` (at most about 256 KiB a call); false: nothing to
    // send now.
    virtual bool poll_transmit(ConnectionId id, base::Bytes& out, base::Instant now) = 0;
    virtual std::optional<NetworkOutput> poll_output() = 0;
    // When on_deadline() must be called at the latest; nullopt: nothing to wait for.
    virtual std::optional<base::Instant> deadline() const = 0;
};

}  // namespace kith::ports
