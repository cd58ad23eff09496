// node/protocols.h: the protocols of a swarm, who may open which, and how much a peer that is no
// member may take of a node.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace kith::node {

inline constexpr std::string_view protocol_join = "/kith/join/1.0.0";
inline constexpr std::string_view protocol_peer = "/kith/peer/2.0.0";
inline constexpr base::Duration housekeeping_interval = std::chrono::milliseconds(500);
inline constexpr base::Duration stranger_stays = std::chrono::seconds(10);
inline constexpr std::size_t pairings_max = 16;   // under way
inline constexpr std::size_t tolerated_max = 64;  // links of strangers that stay, by policy

enum class Use { yes, no };
// What a node does for its swarm besides sessions; everybody is best off when all do all.
struct SwarmServices {
    Use gossip = Use::yes;         // sealed gossip over GossipSub
    Use discovery = Use::yes;      // addresses of members in a Kademlia of theirs
    Use hole_punching = Use::yes;  // from relayed connections to direct ones
};

// What a member may open; a stranger gets identify and ping, and at the coordinator the join.
std::vector<std::string> member_protocols(SwarmServices services);

}  // namespace kith::node
