// io/nat/port_forwarder.h: keeps the port of this node open on the router, off the loop thread:
// asked for at the start, renewed at half of its lease, given back at the end.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "io/nat/port_keeper.h"
#include "ports/clock.h"

namespace boost::asio {
class io_context;
}

namespace kith::io {

// How the router is asked; both block. The product uses a process (router_process.h), so its main()
// calls router_main(); a test its own.
struct PortMapper {
    std::function<base::Result<PortMapping>(PortMapping const&)> map;
    std::function<void(PortMapping const&)> release;
    // How long the end of the forwarder waits for an answer that is under way.
    std::chrono::milliseconds farewell = std::chrono::seconds(5);
};
PortMapper router_port_mapper();

class PortForwarder {
public:
    // `changed` is called on the thread of `context` when others can dial another port than before,
    // or none any more. Everything named outlives the forwarder.
    PortForwarder(boost::asio::io_context& context, ports::Clock const& clock, std::uint16_t port,
                  PortMapper mapper, std::function<void(std::optional<std::uint16_t>)> changed);
    // Gives back what stands; waits for the router, at most mapper.farewell: a call that has not
    // come back by then is left to the end of the process. `changed` is not called any more.
    ~PortForwarder();
    PortForwarder(PortForwarder const&) = delete;
    PortForwarder& operator=(PortForwarder const&) = delete;

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // shared with handlers that the library may still hold
};

}  // namespace kith::io
