// tests/interop/interop_kad.h: the Kademlia part of interop_peer: a node::KadService for the public
// libp2p protocol, steered by lines.
//
//   <- kad-put KEY TEXT          -> kad_stored {peers}
//   <- kad-get KEY               -> kad_value {value} | kad_value {}
//   <- kad-provide HEX           -> kad_stored {peers}
//   <- kad-find-providers HEX    -> kad_providers {peers: [{id, addresses}]}
//   <- kad-find-peer PEER_ID     -> kad_peer {addresses} | kad_peer {}
//   without a line: kad_ready {peer, serves, table} when a peer was identified, kad_bad_record
//   {code}
#pragma once

#include <functional>
#include <string>

#include "identity/identity.h"
#include "node/services/kad_service.h"
#include "ports/clock.h"
#include "proto/identify/identify.h"

namespace kith::interop {

using Say = std::function<void(std::string const& event, std::string const& fields)>;

class KadPart {
public:
    KadPart(node::Host& host, identity::Identity const& self, ports::Rng& rng,
            ports::Clock const& clock, Say say);

    void set_address(wire::Multiaddr const& address);
    node::Taken on_event(node::HostEvent const& event);
    void on_identified(ports::ConnectionId id, identity::PeerId const& peer,
                       proto::identify::Info const& info);
    // False: not one of the lines above.
    bool command(std::string const& verb, std::string const& first, std::string const& second);
    void report();  // says what happened
    void on_deadline() { service_.on_deadline(now()); }
    [[nodiscard]] std::optional<base::Instant> deadline() const { return service_.deadline(); }

private:
    [[nodiscard]] proto::kad::Now now() const {
        return {.instant = clock_.now(), .wall = clock_.unix_now()};
    }
    void say(proto::kad::PeerFound const& found);
    void say(proto::kad::ValueFound const& found);
    void say(proto::kad::ProvidersFound const& found);
    void say(proto::kad::Stored const& stored);

    ports::Clock const& clock_;
    Say say_;
    node::KadService service_;
};

}  // namespace kith::interop
