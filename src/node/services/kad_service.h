// node/services/kad_service.h: Kademlia over real links: dials, streams, frames and times for one
// proto::kad::Kad on one Host. Several of them (public, per swarm) may share a host, each under a
// protocol id of its own.
//
// The owner hands it every HostEvent and tells it what identify said; in turn it opens streams and
// dials on the host. It decides nothing about who may connect: events of a peer the owner does not
// admit need not be passed on.
//
//   request:  connection there? --no--> dial the addresses one after another
//                  | yes                        |
//                  +--> stream, frame out, frame in, close
//
// Invariants: 1. each SendRequest of the machine gets one answer or failure. 2. the limits below
// hold. 3. a stream on which nothing happens for kad_stream_idle_max is reset. 4. a connection that
// was dialled for Kademlia alone is closed kad_connection_idle_max after its last request.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "node/link/host.h"
#include "proto/kad/kad.h"

namespace kith::node {

inline constexpr std::size_t kad_dials_max = 32;
inline constexpr std::size_t kad_streams_per_connection_max = 32;  // inbound, as rust
inline constexpr std::size_t kad_streams_max = 512;                // inbound
// Answers a peer has not read yet; then it has asked enough on this stream.
inline constexpr std::size_t kad_unsent_bytes_max = std::size_t{256} * 1024;
inline constexpr std::size_t kad_events_max = 256;  // what is no QueryFinished is dropped beyond it
inline constexpr base::Duration kad_stream_idle_max = std::chrono::seconds(60);
inline constexpr base::Duration kad_connection_idle_max = std::chrono::minutes(2);

using KadEvent =
    std::variant<proto::kad::QueryFinished, proto::kad::Republished, proto::kad::BadRecord>;

// Whether it makes connections, or asks only whom the owner has one to.
enum class KadDials { yes, no };
enum class Taken { yes, no };  // whether an event was about a stream of this service

class KadService {
public:
    // `host` and `rng` must outlive the service. In server mode the owner lets the host accept
    // `protocol` (HostOptions::accepted_protocols, Host::set_accepted_protocols).
    KadService(Host& host, proto::kad::KadOptions options, std::string protocol, ports::Rng& rng,
               KadDials dials = KadDials::yes);
    ~KadService();
    KadService(KadService const&) = delete;
    KadService& operator=(KadService const&) = delete;

    // Every event of the host, in its order. Taken::yes: a stream of ours, nobody else's concern.
    Taken on_event(HostEvent const& event, proto::kad::Now now);
    // What the peer said about itself on this connection; a peer is asked nothing and told to
    // nobody before. `serves`: its protocols include ours.
    void on_identified(ports::ConnectionId id, std::vector<wire::Multiaddr> listen_addresses,
                       proto::kad::ServesKad serves, proto::kad::Now now);
    // Others use this connection too from now on: never close it for being idle here.
    void keep(ports::ConnectionId id);

    // For commands; call pump() behind them.
    [[nodiscard]] proto::kad::Kad& kad() { return kad_; }
    [[nodiscard]] proto::kad::Kad const& kad() const { return kad_; }
    void pump(proto::kad::Now now);

    std::optional<KadEvent> poll_event();
    void on_deadline(proto::kad::Now now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    [[nodiscard]] std::size_t streams_count() const { return streams_.size(); }
    [[nodiscard]] std::size_t dials_count() const { return dials_.size(); }

private:
    using StreamKey = std::pair<ports::ConnectionId, StreamId>;
    struct Connection;
    struct Stream;
    struct Dial;
    using Streams = std::map<StreamKey, Stream>;

    void on(ports::ConnectionId id, PeerConnected const& up, proto::kad::Now now);
    void on(ports::ConnectionId id, LinkDown const& down, proto::kad::Now now);
    Taken on_opened(StreamKey key, StreamOpened const& opened, proto::kad::Now now);
    void on_data(Streams::iterator stream, base::Bytes const& bytes, proto::kad::Now now);
    void on_ended(Streams::iterator stream, proto::kad::Now now);
    void on_reset(Streams::iterator stream, base::Error const& reason, proto::kad::Now now);

    void request(proto::kad::SendRequest request, proto::kad::Now now);
    void dial(proto::kad::SendRequest request, proto::kad::Now now);
    bool dial_next(Dial& dial, proto::kad::Now now);
    void send(ports::ConnectionId id, proto::kad::SendRequest request, proto::kad::Now now);
    void cancel(proto::kad::RequestId id);
    void answer(Streams::iterator stream, base::Bytes const& message, proto::kad::Now now);
    void write(Streams::iterator stream);
    void finish_response(Streams::iterator stream, base::Bytes const& message, proto::kad::Now now);
    void drop(Streams::iterator stream);
    [[nodiscard]] std::optional<ports::ConnectionId> connection_to(
        identity::PeerId const& peer) const;

    Host& host_;
    std::string protocol_;
    proto::kad::Mode mode_;
    KadDials dials_allowed_;
    proto::kad::Kad kad_;
    std::map<ports::ConnectionId, Connection> connections_;
    std::map<identity::PeerId, std::set<ports::ConnectionId>> by_peer_;
    std::map<identity::PeerId, Dial> dials_;
    std::map<ports::ConnectionId, identity::PeerId> dialling_;
    Streams streams_;
    std::map<proto::kad::RequestId, StreamKey> requests_;
    std::size_t inbound_count_ = 0;
    std::deque<KadEvent> events_;
};

}  // namespace kith::node
