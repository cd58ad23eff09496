// node/node_services.cpp: how Node uses relays and identify: members relay for members, without
// limits, and each member is reachable through the coordinator, where everybody has a link anyway.
#include <algorithm>

#include "base/sabotage.h"
#include "node/node.h"

namespace kith::node {

using base::Code;
using base::fail;

std::vector<std::string> member_protocols(SwarmServices services) {
    std::vector<std::string> protocols{std::string(protocol_peer),
                                       std::string(proto::relay::hop_protocol),
                                       std::string(proto::relay::stop_protocol),
                                       std::string(proto::identify::protocol),
                                       std::string(proto::identify::push_protocol),
                                       std::string(proto::ping::protocol)};
    if (services.hole_punching == Use::yes) protocols.emplace_back(proto::dcutr::protocol);
    if (services.gossip == Use::yes)
        for (auto& protocol : GossipService::protocols()) protocols.push_back(std::move(protocol));
    if (services.discovery == Use::yes) protocols.emplace_back(proto::kad::kith_protocol);
    return protocols;
}

void Node::make_services() {
    relay_ = std::make_unique<RelayService>(
        RelayService::Edges{.host = *host_,
                            .identity = edges_.identity,
                            .clock = edges_.clock,
                            .grant = [this](auto const& peer) { return relay_grant(peer); }});
    identify_ = std::make_unique<IdentifyService>(
        IdentifyService::Edges{.host = *host_, .identity = edges_.identity, .clock = edges_.clock});
    make_hole_punching();
}

// To carry bytes for somebody is to serve him: members with a fresh list, and nobody else.
proto::relay::Grant Node::relay_grant(identity::PeerId const& peer) const {
    bool const served =
        registry_ && registry_->serveable(peer.node_id(), edges_.clock.now()) != nullptr;
    if (!KITH_GUARD("P5.relay", served)) return proto::relay::Grant::refused;
    return proto::relay::Grant::unlimited;
}

Path Node::path_to(Peer const& peer) const {
    auto const link = peer.link ? links_.find(*peer.link) : links_.end();
    return link == links_.end() ? Path::direct : link->second.path;
}

// What a proved peer may open from now on, and what it is told about us.
void Node::welcome(ports::ConnectionId id, Audience audience, base::Instant now) {
    auto protocols = member_protocols(edges_.services);
    if (audience == Audience::stranger)
        protocols = {std::string(proto::identify::protocol), std::string(proto::ping::protocol)};
    if (coordinator_) protocols.emplace_back(protocol_join);  // a member may have to ask there too
    host_->set_accepted_protocols(id, protocols);
    identify_->set_audience(id, audience, std::move(protocols), now);
}

// A relay that is no member would learn who speaks with whom, and when.
base::Result<ports::ConnectionId> Node::dial(wire::Multiaddr const& address,
                                             identity::NodeId const& peer, base::Instant now) {
    if (!address.circuit()) {
        auto const endpoint = address.tcp_endpoint();
        if (!endpoint) return fail(Code::invalid, "an address without IP and port");
        // How a router shows this port outside is what the relay can tell (IdentifyService::seen).
        bool const punches = edges_.services.hole_punching == Use::yes;
        bool const is_relay = swarm_ && peer == swarm_->coordinator.node_id();
        DialOptions options;
        if (punches && is_relay) options.from = ports::DialFrom::listen_port_if_possible;
        return host_->dial({endpoint->ip, endpoint->port}, identity::PeerId(peer), now, options);
    }
    auto const through = KITH_TRY(parse_circuit(address));
    if (peers_.find(through.relay.node_id()) == nullptr || through.relay.node_id() == peer)
        return fail(Code::forbidden, "the relay of that address is no other member");
    return relay_->dial(through, identity::PeerId(peer), now);
}

std::vector<wire::Multiaddr> Node::direct_addresses(base::Instant now) const {
    std::vector<wire::Multiaddr> addresses;
    for (auto const& text : listen_addresses_)
        if (auto address = wire::Multiaddr::from_text(text)) addresses.push_back(*address);
    if (!mapped_port_) return addresses;
    for (auto const& seen : identify_->observed(now)) {
        auto const text = seen.to_text() + "/tcp/" + std::to_string(*mapped_port_);
        auto outside = wire::Multiaddr::from_text(text);
        if (seen.components().size() != 1 || !outside || !outside->tcp_endpoint()) continue;
        if (std::ranges::find(addresses, *outside) == addresses.end())
            addresses.insert(addresses.begin(), std::move(*outside));
    }
    return addresses;
}

// The coordinator keeps a few addresses of each member, so the last place is for a relay.
std::vector<std::string> Node::announced_addresses(base::Instant now) const {
    std::vector<std::string> announced;
    for (auto const& address : direct_addresses(now)) announced.push_back(address.to_text());
    auto const relays = relay_->addresses(now);
    if (relays.empty()) return announced;
    auto const places = proto::membership::token_addresses_max - 1;
    if (announced.size() > places) announced.resize(places);
    announced.push_back(relays.front().to_text());
    return announced;
}

void Node::addresses_changed(base::Instant now) {
    relay_->set_addresses(direct_addresses(now));
    std::vector<wire::Multiaddr> all;
    for (auto const& text : announced_addresses(now))
        if (auto address = wire::Multiaddr::from_text(text)) all.push_back(std::move(*address));
    identify_->set_addresses(std::move(all), now);
    tell_discovery_addresses(now);
}

void Node::set_mapped_port(std::optional<std::uint16_t> port, base::Instant now) {
    mapped_port_ = port;
    addresses_changed(now);
}

}  // namespace kith::node
