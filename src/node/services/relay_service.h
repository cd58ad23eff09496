// node/services/relay_service.h: circuit relay v2 on a Host: relays for others, keeps reservations
// at relays, dials through them, and is dialled through them. The machines are in proto/relay; this
// is their driver by HostEvents. What it makes are connections of the Host like any other, with
// Noise and yamux of their own inside: a relay sees ciphertext only.
//
// The owner hands every HostEvent to on_event() first and goes on only when that says false. It
// lets peers open hop_protocol and stop_protocol with Host::set_accepted_protocols.
//
// Invariants: 1. nobody is relayed for whom `grant` says refused. 2. a relay brings somebody to us
// only while we hold a reservation there. 3. no relayed connection leads through another.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "node/link/host.h"
#include "ports/clock.h"
#include "proto/relay/client.h"
#include "proto/relay/server.h"

namespace kith::node {

inline constexpr std::size_t relays_max = 4;          // where reservations are kept at one time
inline constexpr std::size_t stop_requests_max = 16;  // unanswered, of one relay

struct CircuitAddress {
    ports::SocketAddress relay_at;
    identity::PeerId relay;
    std::optional<identity::PeerId> target;
};
// Code::invalid: another shape than ".../p2p/RELAY/p2p-circuit[/p2p/TARGET]"; unsupported: a peer
// whose key is not Ed25519.
base::Result<CircuitAddress> parse_circuit(wire::Multiaddr const& address);

class RelayService {
public:
    struct Edges {  // all outlive the service
        Host& host;
        identity::Identity const& identity;
        ports::Clock const& clock;
        // May this peer use us as a relay? Asked once for each of its requests.
        std::function<proto::relay::Grant(identity::PeerId const&)> grant;
    };
    explicit RelayService(Edges edges, proto::relay::ServerLimits limits = {});

    // Where this node can be reached directly; told to those who make a reservation.
    void set_addresses(std::vector<wire::Multiaddr> const& addresses) {
        server_.set_addresses(addresses);
    }

    // --- as a client
    // Dials `target` through the relay, over the link to it that stands or a new one. The result is
    // a connection of the host: PeerConnected or LinkDown follow. Code::conflict: the only link to
    // the relay is relayed itself; else as Host::dial.
    base::Result<ports::ConnectionId> dial(CircuitAddress const& through,
                                           identity::PeerId const& target, base::Instant now);
    // Keeps a reservation at the peer of this direct link until the link ends. Code::too_large:
    // relays_max; Code::not_found; Code::conflict: the link is relayed.
    base::Status reserve_at(ports::ConnectionId relay, base::Instant now);
    // Where we can be reached through relays now: ".../p2p/RELAY/p2p-circuit".
    [[nodiscard]] std::vector<wire::Multiaddr> addresses(base::Instant now) const;
    // True once after addresses() may have changed.
    bool take_changed() { return std::exchange(changed_, false); }

    // --- for the owner's loop
    // True: the event was about a stream of this service, and is dealt with.
    bool on_event(HostEvent const& event, base::Instant now);
    void on_deadline(base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;

    [[nodiscard]] proto::relay::Server const& server() const { return server_; }

private:
    struct Peer {  // of a link that is up
        identity::PeerId peer;
        ports::SocketAddress remote;
        Direction direction;
        Path path;
    };
    struct Reserving {
        proto::relay::HopRequest request;
    };
    struct Connecting {
        proto::relay::HopRequest request;
        ports::ConnectionId connection;  // that it is for
    };
    struct Asked {
        proto::relay::StopAnswer request;
    };
    using Request = std::variant<Reserving, Connecting, Asked>;
    struct Waiting {  // for the link to its relay
        ports::ConnectionId connection;
        identity::PeerId relay, target;
    };

    bool on_stream_opened(ports::ConnectionId id, StreamOpened const& opened, base::Instant now);
    bool on_stream_data(Carrier const& at, base::ByteView bytes, base::Instant now);
    void on_answer(Carrier const& at, Reserving& reserving, base::ByteView bytes,
                   base::Instant now);
    void on_answer(Carrier const& at, Connecting& connecting, base::ByteView bytes,
                   base::Instant now);
    void on_answer(Carrier const& at, Asked& asked, base::ByteView bytes, base::Instant now);
    void on_connected(ports::ConnectionId id, PeerConnected const& connected, base::Instant now);
    void on_down(ports::ConnectionId id, base::Error const& reason, base::Instant now);
    void give_up(Carrier const& at, base::Error const& reason, base::Instant now);
    void ask_connect(ports::ConnectionId relay, Waiting const& wanted, base::Instant now);
    void ask_reservations(base::Instant now);
    void drive(base::Instant now);
    void carry_out(proto::relay::Action const& action, base::Instant now);
    void transmit(proto::relay::StreamRef stream);

    Edges edges_;
    proto::relay::Server server_;
    std::map<ports::ConnectionId, Peer> peers_;
    std::map<Carrier, Request> requests_;
    std::map<ports::ConnectionId, proto::relay::ReservationKeeper> keepers_;
    std::multimap<ports::ConnectionId, Waiting> waiting_;  // by the dialled link to the relay
    bool changed_ = false;
};

}  // namespace kith::node
