// node/services/swarm_discovery.h: where the other members are, when nobody near knows it: a
// Kademlia of the swarm's members (node/services/kad_service.h), in which each of them keeps one
// record with its addresses, signed by itself (S23).
//
//   /member/<node id, 32 bytes>  ->  frames (varint length, then bytes), each one binary multiaddr
//
// It makes no connections: whom to dial, and when, is the owner's business. It finds and decides
// nothing: what comes out is tried like any other address, and whoever answers
// there must prove the member's key. Only members are asked, answered or named (S88), and
// records of others are not taken (S25), so a table has no room for Sybils without invites.
//
// Owner's loop: pass every HostEvent to on_event(), call set_members() and set_addresses() as they
// change, on_identified() for links of members; after each call drain poll_found().
//
// Invariants: 1. a record is believed only when its member signed it for this swarm within the last
// hour. 2. of one member at most one lookup runs, and one is begun in lookup_interval.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "node/services/gossip_service.h"
#include "node/services/kad_service.h"
#include "ports/clock.h"
#include "proto/identify/identify.h"

namespace kith::node {

inline constexpr std::string_view discovery_namespace = "member";
inline constexpr base::Duration lookup_interval = std::chrono::seconds(10);  // for one member
// Between two publications: what changed meanwhile, an address of ours or the members there are to
// tell, goes out with the next one.
inline constexpr base::Duration publish_interval = std::chrono::minutes(1);
inline constexpr std::size_t member_addresses_max = proto::kad::addresses_kept_max;
inline constexpr std::size_t address_bytes_max = 256;  // of one multiaddr in a record

// The body of a record and back. encode: at most member_addresses_max, the first ones. decode:
// Code::invalid, too_large when the bytes are anything else than such a body.
base::Bytes encode_addresses(std::span<wire::Multiaddr const> addresses);
base::Result<std::vector<wire::Multiaddr>> decode_addresses(base::ByteView body);
base::Bytes member_key(identity::NodeId const& member);

struct MemberFound {
    identity::NodeId member;
    std::vector<wire::Multiaddr> addresses;  // as it signed them itself
};

class SwarmDiscovery {
public:
    struct Edges {  // all outlive it
        Host& host;
        identity::Identity const& identity;
        ports::Rng& rng;
        ports::Clock const& clock;
    };
    SwarmDiscovery(Edges const& edges, base::ByteView swarm_id);

    void set_members(std::span<identity::NodeId const> members);
    // Publishes them as soon as a member is there to tell, for each new one, and as kad does (S26).
    void set_addresses(std::vector<wire::Multiaddr> addresses, base::Instant now);

    // What identify says of a link of a member; again when it has changed.
    void on_identified(ports::ConnectionId connection, proto::identify::Info const& said,
                       base::Instant now);
    Handled on_event(HostEvent const& event, base::Instant now);
    void on_deadline(base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;

    // Asks the others where it is, unless that was done just now.
    void look_for(identity::NodeId const& member, base::Instant now);
    std::optional<MemberFound> poll_found();

    struct Counts {
        std::size_t known = 0;    // members in the routing table
        std::size_t records = 0;  // kept here, our own among them
        std::uint64_t lookups = 0, found = 0, refused = 0;
    };
    [[nodiscard]] Counts counts() const;

private:
    [[nodiscard]] proto::kad::Now both(base::Instant now) const;
    [[nodiscard]] bool is_member(identity::PeerId const& peer) const;
    [[nodiscard]] proto::kad::KadOptions options();
    void publish_soon(base::Instant now);
    void publish(base::Instant now);
    void drain();

    Edges edges_;
    std::string domain_;
    std::set<identity::NodeId> members_;
    KadService kad_;
    std::vector<wire::Multiaddr> addresses_;
    std::optional<base::Instant> publish_at_;  // something has to be said
    std::optional<base::Instant> published_;   // when it was said last, and somebody took it
    std::optional<proto::kad::QueryId> publication_;
    std::map<proto::kad::QueryId, identity::NodeId> lookups_;
    std::map<identity::NodeId, base::Instant> looked_;  // when a lookup began
    std::deque<MemberFound> found_;
    Counts counts_;
};

}  // namespace kith::node
