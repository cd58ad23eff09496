// io/grpc/control_server.h: the gRPC door of the control API (schema/control.proto) on a Unix
// socket.
//
// There is no TCP listener and no abstract socket (claim M2): the server accepts on one socket
// file, asks the kernel which user is calling, and hands only connections of our own uid to gRPC.
// gRPC 1.51 never faces the network.
//
// Threads: gRPC's own threads read and write; every call of a handler is posted to the loop thread.
// Unary calls wait there for `done`; streams go through a bounded queue per call.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>

#include "api/control.h"
#include "base/result.h"

namespace kith::io {

inline constexpr std::size_t control_calls_max = 64;               // at once; more are refused
inline constexpr int control_message_bytes_max = 8 * 1024 * 1024;  // one request (a long chat)
inline constexpr std::size_t control_stream_messages_max = 1024;   // waiting for a slow reader

class ControlServer {
public:
    // Runs the function on the loop thread, later; first posted, first run. Callable from any
    // thread.
    using Post = std::function<void(std::function<void()>)>;

    // Listens on `socket` (rules: io/grpc/unix_socket.h). `control` and what `post` needs must
    // outlive the server. Code::conflict when another daemon answers there.
    static base::Result<std::unique_ptr<ControlServer>> start(std::filesystem::path const& socket,
                                                              api::Control& control, Post post);
    // Stops.
    ~ControlServer();

    // Ends every call with Code::unavailable, cancels their work, removes the socket file and waits
    // for gRPC's threads. Call it on the loop thread or while the loop does not run. Afterwards no
    // handler is called, and a late `done` is ignored. Idempotent.
    void stop();

private:
    class Implementation;
    explicit ControlServer(std::unique_ptr<Implementation> implementation);
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace kith::io
