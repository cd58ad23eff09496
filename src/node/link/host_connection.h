// node/link/host_connection.h: inside of Host: what it knows about one connection.
#pragma once

#include "node/link/host.h"

namespace kith::node {

struct Host::Connection {
    std::optional<Link> link;  // from on_connected or on_accepted on
    ports::SocketAddress remote;
    Direction direction = Direction::outbound;
    std::optional<identity::PeerId> expected;
    DialOptions dialled;
    std::optional<base::Instant> dial_deadline;  // until the link is up
    Path path = Path::direct;
    std::optional<Carrier> carrier;  // of a relayed one, from carry() or accept_relayed() on
    base::Bytes unsent;              // of a relayed one: its carrier did not take it yet
    bool transmit_queued = false;    // a Transmit stands in outputs_
    std::optional<identity::PeerId> proved;  // PeerConnected was said
    std::uint64_t proved_nth = 0;            // a higher one is newer
    bool is_vouched = false;  // the owner knows the peer: no stranger's share is used up
};

}  // namespace kith::node
