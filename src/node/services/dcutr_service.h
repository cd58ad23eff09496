// node/services/dcutr_service.h: hole punching on a Host: from a relayed connection to a direct
// one. The machines are in proto/dcutr; this is their driver by HostEvents. What it makes are
// connections of the Host like any other: the owner hears PeerConnected, with the same peer proved
// by Noise, and decides what becomes of the relayed one. A dial that leads nowhere is heard of by
// nobody.
//
// The owner hands every HostEvent to on_event() first, before other services, and goes on only when
// that says false. It lets peers open dcutr::protocol with Host::set_accepted_protocols, and calls
// upgrade() when a relayed link that the other side dialled is of use.
//
// Invariants: 1. nobody makes this node dial for whom `may` says no. 2. at most punch_dials_max
// dials are under way, and each expects the peer of the relayed link. 3. one peer gets at most
// punches_per_peer_max streams within punches_per.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "node/link/host.h"
#include "proto/dcutr/initiator.h"
#include "proto/dcutr/responder.h"

namespace kith::node {

inline constexpr std::size_t upgrades_max = 16;     // under way
inline constexpr std::size_t punch_dials_max = 32;  // under way, of all upgrades
inline constexpr std::size_t punches_per_peer_max = 6;
inline constexpr base::Duration punches_per = std::chrono::minutes(1);
inline constexpr std::size_t punchers_max = 256;  // peers whose streams are counted

class DcutrService {
public:
    struct Edges {
        Host& host;  // outlives the service
        // Where this node may be reached, or was seen; told to the peer.
        std::function<std::vector<wire::Multiaddr>()> own_addresses;
        // Where the peer of this link says that it listens.
        std::function<std::vector<wire::Multiaddr>(ports::ConnectionId)> known_addresses;
        // May this peer have us dial? Asked for each of its streams.
        std::function<bool(identity::PeerId const&)> may;
        wire::Reach reach = wire::Reach::private_network;  // of what peers name
    };
    explicit DcutrService(Edges edges) : edges_(std::move(edges)) {}

    // Looks for a direct way to the peer of this link. Does nothing when the link is not relayed,
    // was dialled by us (then the other side begins), or has its upgrade already; nor beyond
    // upgrades_max.
    void upgrade(ports::ConnectionId relayed, base::Instant now);

    // True: the event was about a stream or a dial of this service, and is dealt with.
    bool on_event(HostEvent const& event, base::Instant now);
    void on_deadline(base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;

    [[nodiscard]] std::size_t upgrades_count() const { return upgrades_.size(); }
    [[nodiscard]] std::size_t dials_count() const { return dials_.size(); }

private:
    struct Peer {  // of a link that is up
        identity::PeerId peer;
        Direction direction;
        Path path;
    };
    struct Upgrade {  // of one relayed link
        identity::PeerId peer;
        std::variant<proto::dcutr::Initiator, proto::dcutr::Responder> machine;
        std::optional<StreamId> stream;
    };
    using Upgrades = std::map<ports::ConnectionId, Upgrade>;

    bool on_connected(ports::ConnectionId id, PeerConnected const& connected, base::Instant now);
    bool on_down(ports::ConnectionId id, base::Instant now);
    bool on_stream_opened(ports::ConnectionId id, StreamOpened const& opened, base::Instant now);
    bool on_data(ports::ConnectionId id, StreamData const& data, base::Instant now);
    bool on_stream_gone(ports::ConnectionId id, StreamId stream, bool refused, base::Instant now);
    void accept(ports::ConnectionId id, StreamId stream, Peer const& peer, base::Instant now);
    bool counts_as_one_more(identity::PeerId const& peer, base::Instant now);
    void drive(ports::ConnectionId relayed, base::Instant now);
    void carry_out(ports::ConnectionId relayed, Upgrade& upgrade,
                   proto::dcutr::Action const& action, base::Instant now);
    void dial(ports::ConnectionId relayed, Upgrade& upgrade, proto::dcutr::Dial const& wanted,
              base::Instant now);
    void cancel_dials(ports::ConnectionId relayed);
    void leave_stream(ports::ConnectionId relayed, Upgrade& upgrade);
    void finish(Upgrades::iterator upgrade);
    Upgrade* with_stream(ports::ConnectionId id, StreamId stream);
    [[nodiscard]] proto::dcutr::Options options() const;

    Edges edges_;
    std::map<ports::ConnectionId, Peer> peers_;
    Upgrades upgrades_;                                         // by the relayed link
    std::map<ports::ConnectionId, ports::ConnectionId> dials_;  // for which relayed link
    std::set<ports::ConnectionId> cancelled_;  // dials whose LinkDown is still to come
    std::map<identity::PeerId, std::deque<base::Instant>> streams_;  // within punches_per
};

}  // namespace kith::node
