// wire/reach.h: which addresses named by somebody else are dialled. Without this, what a peer says
// makes every node a port scanner of its own network (research/libp2p.md section 3).
#pragma once

#include <vector>

#include "wire/multiaddr.h"

namespace kith::wire {

enum class AddressScope {
    unusable,  // not just numeric IP, TCP port and peer; unspecified, multicast, link-local, port 0
    loopback,
    private_network,  // RFC 1918, RFC 6598, RFC 4193
    public_network,
};
AddressScope scope_of(Multiaddr const& address);

// What may be dialled because somebody else named it.
enum class Reach {
    public_network,   // nothing but public addresses
    private_network,  // those of the local networks too: a team in one office
    loopback,         // loopback too: tests, several nodes on one machine
};
bool is_reachable(Reach reach, Multiaddr const& address);
void keep_reachable(Reach reach, std::vector<Multiaddr>& addresses);  // drops the others

}  // namespace kith::wire
