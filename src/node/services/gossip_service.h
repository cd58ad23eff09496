// node/services/gossip_service.h: GossipSub on streams: one outbound stream to each peer, RPCs
// framed by a varint length, steered by the events of a Host (node/link/host.h).
//
//   admitted -> opening 1.2 -refused-> 1.1 -refused-> 1.0 -refused-> silent (speaks no gossip)
//                  | agreed
//                  v
//               speaking (the router knows the peer) --reset--> opening again, reopen_max times
//
// Owner's loop: pass every HostEvent to on_event(); call admit() for a peer that may gossip, behind
// its own admission; after each call drain poll_event(). What arrives before our own stream is
// agreed waits in the peer's flow-control window and is not lost.
//
// Invariants: 1. at most one inbound and one outbound stream of a peer count; the newer inbound one
// replaces the older. 2. at most one RPC per peer is cut out of the router ahead of the stream.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "node/link/host.h"
#include "proto/gossip/router.h"
#include "wire/frame.h"

namespace kith::node {

inline constexpr std::size_t gossip_reopen_max = 3;

// Drop the connection: the peer broke the protocol or is of no use. Its gossip has ended already.
struct GossipFault {
    identity::PeerId peer;
    ports::ConnectionId connection;
    base::Error reason;
};
using GossipEvent = std::variant<proto::gossip::Deliver, GossipFault>;

enum class Handled {
    yes,
    no
};  // no: the event is about somebody else's stream, or of interest to all

class GossipService {
public:
    // `host` must outlive the service.
    GossipService(Host& host, proto::gossip::Options options, base::Instant now);

    // What peers may open: the owner adds them to the accepted protocols of those it admits.
    static std::vector<std::string> protocols();

    // The peer may gossip. A second connection of one peer waits until the first is gone.
    void admit(ports::ConnectionId connection, PeerConnected const& peer, base::Instant now);
    Handled on_event(HostEvent const& event, base::Instant now);
    void on_deadline(base::Instant now);
    [[nodiscard]] base::Instant deadline() const { return router_.deadline(); }
    std::optional<GossipEvent> poll_event();

    // proto/gossip/router.h
    base::Status subscribe(std::string const& topic, base::Instant now);
    void unsubscribe(std::string const& topic, base::Instant now);
    base::Result<proto::gossip::MessageId> publish(std::string const& topic, base::ByteView data,
                                                   base::Instant now);
    void validated(proto::gossip::MessageHandle handle, proto::gossip::Verdict verdict,
                   base::Instant now);
    [[nodiscard]] proto::gossip::Router const& router() const { return router_; }

private:
    struct Connection {
        identity::PeerId peer;
        proto::gossip::Direction direction;
        std::string ip;
    };
    struct Inbound {
        ports::ConnectionId connection;
        StreamId stream;
        wire::FrameReader frames{proto::gossip::rpc_bytes_max};
        base::Bytes held;  // not yet credited back to the peer
    };
    struct Session {
        ports::ConnectionId connection;  // that of the outbound stream
        enum class State { opening, speaking, silent } state = State::opening;
        std::size_t protocol = 0;  // index into the list that is proposed from
        std::size_t reopened = 0;
        std::optional<StreamId> outbound;
        base::Bytes unsent;  // the rest of one framed RPC
        std::optional<Inbound> inbound;
    };
    using Sessions = std::map<identity::PeerId, Session>;

    void open(Sessions::iterator session, base::Instant now);
    void agreed(Sessions::iterator session, std::string_view protocol, base::Instant now);
    void outbound_reset(Sessions::iterator session, base::Error const& reason, base::Instant now);
    void inbound_opened(Sessions::iterator session, ports::ConnectionId connection,
                        StreamId stream);
    void read(Sessions::iterator session, base::Instant now);
    void fail(Sessions::iterator session, base::Error reason, base::Instant now);
    void link_down(ports::ConnectionId connection, base::Instant now);
    void write(Sessions::iterator session);
    void pump(base::Instant now);
    [[nodiscard]] Sessions::iterator session_of(ports::ConnectionId connection);
    Handled on_stream(ports::ConnectionId connection, StreamOpened const& opened,
                      base::Instant now);
    Handled on_stream(ports::ConnectionId connection, StreamData const& data, base::Instant now);
    Handled on_stream(ports::ConnectionId connection, StreamEnded const& ended, base::Instant now);
    Handled on_stream(ports::ConnectionId connection, StreamReset const& reset, base::Instant now);
    Handled on_stream(ports::ConnectionId connection, StreamWritable const& writable,
                      base::Instant now);

    Host& host_;
    proto::gossip::Router router_;
    std::map<ports::ConnectionId, Connection> connections_;
    Sessions sessions_;
    std::deque<GossipEvent> events_;
};

}  // namespace kith::node
