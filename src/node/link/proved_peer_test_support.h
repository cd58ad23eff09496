// node/link/proved_peer_test_support.h: a peer whose identity is proved, for tests of what trusts
// it.
#pragma once

#include <variant>

#include "node/link/host.h"
#include "ports/rng.h"

namespace kith::node {

// Who holds `who`, proved by a whole Noise handshake: nothing else makes an AuthenticatedPeer.
inline AuthenticatedPeer proved(identity::Identity const& who, ports::Rng& rng) {
    auto const dialler = Host::create(who, rng, {}).value();
    auto const listener = Host::create(who, rng, {}).value();
    auto const id = dialler->dial({"10.0.0.1", 8810}, std::nullopt, {}).value();
    ports::ConnectionId const far{1};
    listener->on_accepted(far, {"10.0.0.2", 1}, {});
    dialler->on_connected(id, {});
    for (;;) {
        while (auto const event = listener->poll_event())
            if (auto const* up = std::get_if<PeerConnected>(&event->what)) return up->peer;
        base::Bytes bytes;
        while (dialler->poll_transmit(id, bytes, {})) {
        }
        listener->on_bytes(far, bytes, {});
        bytes.clear();
        while (listener->poll_transmit(far, bytes, {})) {
        }
        dialler->on_bytes(id, bytes, {});
    }
}

}  // namespace kith::node
