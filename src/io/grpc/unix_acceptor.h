// io/grpc/unix_acceptor.h: a thread that accepts connections on a Unix socket and keeps only those
// of our own user.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "base/result.h"
#include "io/grpc/unix_socket.h"

namespace kith::io {

class UnixAcceptor {
public:
    // Takes a connected, non-blocking socket; called on the accept thread.
    using OnConnection = std::function<void(FileDescriptor)>;

    // `listener` comes from listen_unix().
    static base::Result<std::unique_ptr<UnixAcceptor>> start(FileDescriptor listener,
                                                             OnConnection on_connection);
    // Stops accepting and joins the thread.
    ~UnixAcceptor();
    UnixAcceptor(UnixAcceptor const&) = delete;
    UnixAcceptor& operator=(UnixAcceptor const&) = delete;

private:
    UnixAcceptor(FileDescriptor listener, FileDescriptor wake, OnConnection on_connection);
    void loop();
    void accept_one();
    enum class Wait { connection, pause };
    // Waits for a connection, or for a short pause. False once the acceptor is told to stop.
    bool wait(Wait what);

    FileDescriptor listener_;
    FileDescriptor wake_;  // eventfd: readable means stop
    OnConnection on_connection_;
    std::thread thread_;
};

}  // namespace kith::io
