// io/http/http_server.h: the sockets of the HTTP door. Moves bytes between TCP connections,
// api::HttpParser and api::HttpDoor on the loop thread, and keeps every limit that has to do with
// time or with the number of clients.
//
//   api::HttpDoor door(...);
//   HttpServer server(io_context, door, {});
//   auto at = server.start(KITH_TRY(api::check_bind({.host = "127.0.0.1", .port = 8800, ...})));
//   ... io_context.run() ...
//   server.stop();
//
// A connection is one coroutine that owns its socket. A client that goes away, reads too slowly or
// waits too long loses its connection, and with it the question it asked.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/http_bind.h"
#include "base/result.h"
#include "ports/network_core.h"

namespace boost::asio {
class io_context;
}
namespace kith::api {
class HttpDoor;
}

namespace kith::io {

struct HttpServerOptions {
    using Milliseconds = std::chrono::milliseconds;

    // When these are reached, the oldest connection on which the key was never shown makes room for
    // a new one; if there is none, the new one is turned away (S60).
    std::size_t connections_max = 512;
    std::size_t connections_per_client_max = 64;  // a client: an IPv4 address or an IPv6 /64
    std::size_t stream_queue_bytes_max =
        1U << 20U;  // unsent bytes of one answer stream; then its reader is dropped

    Milliseconds head_deadline{
        10'000};  // from the first byte of a request (or the connection) to its empty line
    Milliseconds body_deadline{60'000};   // for the whole body
    Milliseconds idle_deadline{30'000};   // between two requests
    Milliseconds write_deadline{30'000};  // without a byte taken by the client
    Milliseconds answer_deadline{
        300'000};  // of an answer that is not a stream (S62); streams may take longer
    Milliseconds drain_deadline{2'000};  // reading on after a refusal, so that the client sees it
    Milliseconds heartbeat_interval{15'000};
};

// One line per request; never a body, a key, a query or a header. status 499: the client went away
// first.
struct HttpLogLine {
    std::string method;  // "-" for bytes that never became a request
    std::string path;    // without the query, at most 256 bytes, printable ASCII
    unsigned status = 0;
    std::int64_t duration_ms = 0;
};
using HttpLog = std::function<void(HttpLogLine const&)>;

class HttpServer {
public:
    // `context` and `door` must outlive the server. All calls on the thread that runs `context`, or
    // before it runs.
    HttpServer(boost::asio::io_context& context, api::HttpDoor& door, HttpServerOptions options,
               HttpLog log);
    ~HttpServer();  // as stop()
    HttpServer(HttpServer const&) = delete;
    HttpServer& operator=(HttpServer const&) = delete;

    // Listens; returns the address with the real port. Code::io when the system refuses (address in
    // use).
    base::Result<ports::SocketAddress> start(api::CheckedBind const& bind);

    // Closes the listener and every connection and cancels their questions before it returns.
    // Handlers that are still queued in `context` find nothing to do; it need not be run again.
    void stop();

    [[nodiscard]] std::size_t connections_count() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kith::io
