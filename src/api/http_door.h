// api/http_door.h: what happens to a request after its head was parsed. The driver (io/http) moves
// bytes, this decides.
//
//   head -> admit() -> refusal                 Host, Origin, key, path, method, media type: before
//   any body is read
//                   -> Admitted -> handle()    with the body; answers now, or later through an
//                   exchange
//
// Everything happens on the loop thread. Order of the checks: a foreign Host or Origin learns
// nothing (403), then the key (401), then whether there is such a path (404, 405), then the form of
// the body (413, 415, 417).
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "api/http_auth.h"
#include "api/http_message.h"
#include "api/http_origin.h"
#include "api/http_routes.h"
#include "feature/ask/service.h"
#include "ports/clock.h"
#include "ports/rng.h"

namespace kith::api {

// Where an answer goes; implemented by the driver. Either one respond(), or one start_stream(), any
// number of stream(), one end_stream(). Calls after the last one, or after the client went away,
// are ignored.
class HttpReply {
public:
    virtual ~HttpReply() = default;
    virtual void respond(HttpResponse response) = 0;
    virtual void start_stream(HttpResponse head) = 0;
    virtual void stream(std::string_view bytes) = 0;
    virtual void end_stream() = 0;
};

// An answer in the making. Destroying it cancels the work behind it.
class HttpExchange {
public:
    virtual ~HttpExchange() = default;
    // The driver calls this when nothing was sent for heartbeat_interval.
    virtual void on_heartbeat() = 0;
};

// A request that passed every check that needs no body; made by HttpDoor::admit() only.
class Admitted {
public:
    [[nodiscard]] std::size_t body_bytes_max() const { return route_.route.body_bytes_max; }
    // The path is one that needs the key: whoever asks has shown it.
    [[nodiscard]] bool has_shown_key() const { return route_.route.access == Access::key; }

private:
    friend class HttpDoor;
    explicit Admitted(FoundRoute route) : route_(std::move(route)) {}
    FoundRoute route_;
};

class HttpDoor {
public:
    // `service`, `clock` and `rng` must outlive the door; the door must outlive its exchanges.
    HttpDoor(ApiKey key, HostNames hosts, ask::Service& service, ports::Clock const& clock,
             ports::Rng& rng);

    [[nodiscard]] std::expected<Admitted, HttpResponse> admit(HttpHead const& head,
                                                              HttpPeer const& peer) const;

    // Answers through `reply`, which must outlive the returned exchange. nullptr: it has been
    // answered already.
    [[nodiscard]] std::unique_ptr<HttpExchange> handle(Admitted const& admitted,
                                                       std::string const& body, HttpReply& reply);

private:
    std::unique_ptr<HttpExchange> handle_chat(std::string const& body, HttpReply& reply);
    HttpResponse model_response(std::string const& name) const;

    ApiKey key_;
    HostNames hosts_;
    ask::Service& service_;
    ports::Clock const& clock_;
    ports::Rng& rng_;
};

// The answer to bytes that never became a request, in the shape clients expect. Closes the
// connection.
HttpResponse refusal_response(unsigned status, std::string const& message);

}  // namespace kith::api
