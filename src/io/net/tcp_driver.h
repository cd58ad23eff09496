// io/net/tcp_driver.h: drives a ports::NetworkCore over real TCP sockets (Boost.Asio), on one
// io_context and its one thread.
//
// A turn: something happened (bytes, a connection, a deadline, pump()) -> the core is told -> its
// outputs are carried out -> `on_turn` lets the core's owner poll events and act -> again, until
// there is nothing left to carry out. At most one read and one write are under way per connection;
// TCP_NODELAY is set on all.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/result.h"
#include "ports/clock.h"
#include "ports/network_core.h"

namespace boost::asio {
class io_context;
}

namespace kith::io {

inline constexpr std::size_t sockets_max = 1024;  // accepted ones above it are closed at once
inline constexpr std::size_t listeners_max = 16;
inline constexpr std::size_t read_bytes_max = 256 * 1024;  // per event
inline constexpr int listen_backlog = 128;
inline constexpr std::size_t turn_rounds_max = 64;  // then other sockets get their turn
inline constexpr std::chrono::seconds close_linger_max{
    2};  // for bytes the core still had when it said Close

class TcpDriver {
public:
    // All references must outlive the driver. `on_turn` may be empty; it may call pump(), which
    // then has no effect, but must not destroy the driver.
    TcpDriver(boost::asio::io_context& context, ports::NetworkCore& core, ports::Clock const& clock,
              std::function<void()> on_turn);
    ~TcpDriver();  // as stop()
    TcpDriver(TcpDriver const&) = delete;
    TcpDriver& operator=(TcpDriver const&) = delete;

    // Listens there; port 0 picks a free one. Returns the bound address. Code::invalid: the address
    // is not numeric; Code::too_large: listeners_max; Code::io: the system refused (in use, no
    // permission), with its words.
    base::Result<ports::SocketAddress> listen(ports::SocketAddress const& address);
    // To be called after the owner changed the core outside on_turn.
    void pump();
    // Closes everything at once, unsent bytes included; the core hears nothing more from this
    // driver.
    void stop();

private:
    struct Impl;
    // Asio's completion handlers may run after stop(); they share the state and find it stopped.
    // This is the one place where ownership is shared: a handler's lifetime is the library's to
    // decide.
    std::shared_ptr<Impl> impl_;
};

}  // namespace kith::io
