// node/link/host.h: all links of one process behind ports::NetworkCore: what the product's Node
// consumes and what io/ or sim/ drives.
//
// Owner's loop: on each turn call poll_event() until empty, act, and let the driver drain
// poll_output(). A connection ends in exactly one LinkDown event, whether it was dialled or
// accepted and however far it came. Connections beyond a limit are closed without an event: they
// never existed for the owner.
//
// A connection may run over a stream of another one (circuit relay): its bytes are then those of
// the stream, which the owner hands over with carry() or accept_relayed() and never hears of again.
// Everything else is the same: limits, proof of the peer, events, one LinkDown.
//
// Invariants: 1. links_count() <= connections_max, relayed ones included. 2. at most
// pending_inbound_max accepted links are unproven, at most pending_per_ip_max of them from one
// address (for a relayed one: its relay's). 3. after LinkDown{id} no event names id again. 4. no
// relayed connection carries another. 5. after poll_event() at most inbound_per_peer_max
// inbound connections of one peer are up; the oldest were ended.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "identity/identity.h"
#include "node/link/link.h"
#include "ports/network_core.h"
#include "ports/rng.h"
#include "trust/admission.h"

namespace kith::node {

inline constexpr std::size_t closing_links_max = 64;    // beyond it last words are dropped
inline constexpr std::size_t closing_streams_max = 64;  // of ended relayed connections; then reset

struct HostLimits {
    std::size_t connections_max = 300;
    std::size_t pending_inbound_max = 32;
    std::size_t pending_per_ip_max = 16;  // also of proved strangers: keys cost nothing
    std::size_t strangers_max = 96;       // inbound, whoever the owner has not vouched for
    // Inbound and proved, of one peer id. The newest stay: after a crash the old ones are dead and
    // do not know it yet.
    std::size_t inbound_per_peer_max = 8;
    base::Duration handshake_timeout = std::chrono::seconds(5);
    base::Duration dial_timeout = std::chrono::seconds(10);  // TCP connect and handshake together
};

struct HostOptions {
    HostLimits limits;
    // What a peer may open before the owner has judged it; see set_accepted_protocols.
    std::vector<std::string> accepted_protocols;
    EarlyMuxer early_muxer = EarlyMuxer::announce;
};

struct LinkDown {
    base::Error reason;  // unauthorized: wrong or unproven peer; timeout; unavailable: closed or
                         // unreachable; ...
    trust::LinkStage stage = trust::LinkStage::connecting;  // how far it had come
    ports::SocketAddress remote;
    Direction direction = Direction::outbound;
    std::optional<identity::PeerId> expected;  // who was dialled, if that was said
};
enum class Path { direct, relayed };

struct PeerConnected {  // the link is up and the peer proved
    AuthenticatedPeer peer;
    ports::SocketAddress remote;  // of the relay, when relayed
    Direction direction;          // outbound: this end is the client of every protocol
    Path path = Path::direct;
    ports::DialFrom from = ports::DialFrom::any_port;  // as asked for, when dialled
};

struct DialOptions {
    ports::DialFrom from = ports::DialFrom::any_port;
    // listener: the other end dials at the same moment (TCP simultaneous open) and is the client.
    // Once TCP stands, such a connection counts and is told of as an inbound one.
    LinkRole role = LinkRole::dialer;
};

// A stream that carries a relayed connection.
struct Carrier {
    ports::ConnectionId connection;
    StreamId stream{};
    auto operator<=>(Carrier const&) const = default;
};
struct HostEvent {
    ports::ConnectionId connection;
    std::variant<PeerConnected, StreamOpened, StreamData, StreamEnded, StreamReset, StreamWritable,
                 LinkDown>
        what;
};

class Host final : public ports::NetworkCore {
public:
    // Draws the static Noise key of this process and signs it. `identity` and `rng` must outlive
    // the host. Fails only when the generator does.
    static base::Result<std::unique_ptr<Host>> create(identity::Identity const& identity,
                                                      ports::Rng& rng, HostOptions options);
    ~Host() override;

    // The identity has other keys now: links made from here on prove those. Links that stand proved
    // the old ones; the owner ends them. Fails only when the generator does.
    base::Status prove(identity::Identity const& identity);

    // The owner's side. Calls naming a connection that is gone do nothing (or return 0 /
    // Code::not_found). dial: Code::too_large at connections_max, Code::internal when the generator
    // fails. Without `expected`, anybody who proves any identity is accepted: look at
    // PeerConnected.
    base::Result<ports::ConnectionId> dial(ports::SocketAddress to,
                                           std::optional<identity::PeerId> expected,
                                           base::Instant now, DialOptions options = {});
    // A dialled connection that a relay will carry: counts from now on; LinkDown when carry() does
    // not come within dial_timeout. Errors as dial().
    base::Result<ports::ConnectionId> dial_relayed(identity::PeerId const& expected,
                                                   base::Instant now);
    // From now on `carrier` is the bytes of `id`, beginning with `first`, which arrived on it
    // already (and were not given to consumed()). When either is gone, the other is ended.
    void carry(ports::ConnectionId id, Carrier carrier, base::ByteView first, base::Instant now);
    // The same for a connection that somebody else dialled. Code::too_large: a limit;
    // Code::conflict: the carrier is relayed itself; Code::not_found: it is gone. The stream is
    // then reset.
    base::Result<ports::ConnectionId> accept_relayed(Carrier carrier, base::ByteView first,
                                                     base::Instant now);
    // Closes after what is buffered was handed to the driver; LinkDown{reason} follows.
    void disconnect(ports::ConnectionId id, base::Error const& reason);
    void set_accepted_protocols(ports::ConnectionId id, std::vector<std::string> protocols);
    // This peer is known: its connection does not count among those of strangers any more.
    void vouch(ports::ConnectionId id);
    base::Result<StreamId> open_stream(ports::ConnectionId id, std::string protocol,
                                       base::Instant now);
    std::size_t write(ports::ConnectionId id, StreamId stream, base::ByteView bytes);
    void close_write(ports::ConnectionId id, StreamId stream);
    void reset(ports::ConnectionId id, StreamId stream);
    void consumed(ports::ConnectionId id, StreamId stream, std::size_t size);
    std::optional<HostEvent> poll_event();
    [[nodiscard]] std::size_t links_count() const;
    // Link::round_trip; nullopt also for a connection that is gone.
    [[nodiscard]] std::optional<base::Duration> round_trip(ports::ConnectionId id) const;

    // The driver's side: ports/network_core.h.
    void on_accepted(ports::ConnectionId id, ports::SocketAddress remote,
                     base::Instant now) override;
    void on_connected(ports::ConnectionId id, base::Instant now) override;
    void on_bytes(ports::ConnectionId id, base::ByteView bytes, base::Instant now) override;
    void on_closed(ports::ConnectionId id, base::Error reason, base::Instant now) override;
    void on_deadline(base::Instant now) override;
    bool poll_transmit(ports::ConnectionId id, base::Bytes& out, base::Instant now) override;
    std::optional<ports::NetworkOutput> poll_output() override;
    [[nodiscard]] std::optional<base::Instant> deadline() const override;

private:
    struct Connection;
    using Connections = std::map<ports::ConnectionId, Connection>;

    Host(proto::noise::Credentials credentials, ports::Rng& rng, HostOptions options);
    base::Result<Link> make_link(LinkOptions options, base::Instant now);
    Link* link_of(ports::ConnectionId id);
    void drain(Connections::iterator connection, base::Instant now);
    void take_down(Connections::iterator connection, base::Error const& reason);
    void end_surplus();
    [[nodiscard]] static LinkDown describe_down(Connection const& connection, base::Error reason);
    void touch(Connections::iterator connection);
    void start(Connections::iterator connection, LinkRole role, base::Instant now);
    void on_link_event(Connections::iterator connection, LinkEvent&& event);

    // host_relayed.cpp
    [[nodiscard]] base::Status check_carrier(Carrier const& carrier) const;
    void attach(Connections::iterator connection, Carrier const& carrier, LinkRole role,
                base::ByteView first, base::Instant now);
    bool on_carried(Connections::iterator below, LinkEvent const& event, base::Instant now);
    void feed_carried(Carrier const& carrier, base::ByteView bytes, base::Instant now);
    void pump_carried(ports::ConnectionId below, base::Instant now);
    void pump_into(Connection& connection, base::Instant now);
    void end_carrier(Carrier const& carrier);
    void end_carried_by(ports::ConnectionId below, base::Error const& reason);
    [[nodiscard]] bool has_room_for(ports::SocketAddress const& remote) const;

    proto::noise::Credentials credentials_;
    ports::Rng& rng_;
    HostOptions options_;
    Connections connections_;
    std::map<ports::ConnectionId, Link>
        closing_;  // down for the owner; the driver still fetches last words
    std::map<Carrier, ports::ConnectionId> carried_;  // which connection a stream carries
    std::deque<Carrier> closing_streams_;  // their connection is down; what still comes is dropped
    base::Instant now_{};                  // of the last input
    std::uint64_t next_dial_ = 2;          // even ids are ours, odd ones the driver's
    std::deque<ports::NetworkOutput> outputs_;
    std::deque<HostEvent> events_;
    std::uint64_t proved_count_ = 0;               // connections so far
    std::deque<identity::PeerId> proved_inbound_;  // since the last poll_event()
};

}  // namespace kith::node
