// node/peers/peer_table.h: the other members: where they were last seen, whether there is a link,
// when to dial again. Holds state; decides nothing about trust.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/link/host.h"
#include "node/peers/peer_channel.h"
#include "ports/network_core.h"
#include "wire/multiaddr.h"

namespace kith::node {

inline constexpr base::Duration redial_first = std::chrono::seconds(1);
inline constexpr base::Duration redial_max = std::chrono::seconds(30);
inline constexpr base::Duration wait_to_be_dialled =
    std::chrono::seconds(3);  // the higher node id waits first

// For `kith peers`.
struct PeerView {
    identity::NodeId node;
    identity::Address address;
    bool is_self = false;
    bool is_operator = false;
    bool connected = false;           // link up and admitted
    bool session = false;             // Tier 1 stands
    Path path = Path::direct;         // of the link, when connected
    std::string remote_ip;            // where the direct link goes; empty: none
    std::uint32_t round_trip_us = 0;  // over the link, as last measured; 0: not yet
    std::string nickname;             // empty: none known; anybody's may be the same
    double trust = 0.5;
    std::vector<std::string> addresses;
    std::string last_error;
};

// A direct connection that is to carry on a session which runs over a relayed one
// (node/node_handover.cpp). Each side speaks on the new stream once its session is ready, and
// closes its half of the old one behind the last message there; what comes on the new one waits
// until the peer has done the same. So nothing is lost and nothing overtakes.
struct Handover {
    ports::ConnectionId link;
    StreamId stream{};
    std::unique_ptr<PeerChannel> channel;
    base::Instant since;
    bool left = false;      // our half of the old stream is closed
    bool followed = false;  // the peer's is
    std::size_t held = 0;   // bytes that came on the new one and are not credited back yet
};

struct Peer {
    std::vector<std::string> addresses;  // multiaddrs, as the coordinator or the token told
    std::vector<std::string> found;      // as the member itself signed them, by discovery
    std::size_t next_address = 0;
    std::optional<ports::ConnectionId> dialling;
    std::optional<ports::ConnectionId> link;  // admitted
    base::Instant link_since;
    std::optional<StreamId> stream;
    std::unique_ptr<PeerChannel> channel;
    std::optional<Handover> handover;  // only while `channel` stands
    bool announced = false;            // features were told on_peer_up
    // Of the process at the other end, now and before it: see Node::note_process().
    std::optional<proto::noise::PublicKey> process;
    std::optional<proto::noise::PublicKey> process_before;
    base::Instant process_since{};  // when the connection began that showed `process` first
    bool has_twin = false;
    std::uint64_t dropped_messages = 0;
    base::Instant dial_at;
    base::Duration backoff = redial_first;
    std::size_t failures = 0;  // in a row
    std::string last_error;

    // Where to say things now; nullptr: no session.
    [[nodiscard]] PeerChannel* speaks_on() const {
        bool const moved = handover && handover->channel->ready();
        return moved ? handover->channel.get() : channel.get();
    }
    void failed(std::string reason, base::Instant now);
    // The next address to dial, round robin: begins with a numeric "/ip4|ip6/.../tcp/...".
    std::optional<wire::Multiaddr> pick_address();
};

struct LinkState {  // one proved connection
    AuthenticatedPeer peer;
    Direction direction;
    ports::SocketAddress remote;
    Path path = Path::direct;
    base::Instant since;
    bool admitted = false;                    // as a member
    bool tolerated = false;                   // as a stranger, by [trust] policy
    std::optional<base::Instant> retires_at;  // its session goes on over another connection
};

class PeerTable {
public:
    // Keeps exactly `wanted` (self excluded); returns the links of peers that are gone.
    std::vector<ports::ConnectionId> keep(std::vector<identity::NodeId> const& wanted,
                                          identity::NodeId const& self, base::Instant now);
    Peer* find(identity::NodeId const& node);
    Peer const* find(identity::NodeId const& node) const;
    std::optional<identity::NodeId> by_connection(ports::ConnectionId id) const;

    auto begin() { return peers_.begin(); }
    auto end() { return peers_.end(); }
    auto begin() const { return peers_.begin(); }
    auto end() const { return peers_.end(); }

private:
    std::map<identity::NodeId, Peer>
        peers_;  // at most membership::members_max, from a verified list
};

}  // namespace kith::node
