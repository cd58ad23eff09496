// node/node_discovery.cpp: how Node uses discovery: a member that no known address leads to is
// looked for among the others.
#include <algorithm>

#include "node/node.h"

namespace kith::node {

void Node::begin_discovery(base::Instant now) {
    discovery_.reset();
    if (edges_.services.discovery == Use::no) return;
    discovery_ = std::make_unique<SwarmDiscovery>(
        SwarmDiscovery::Edges{
            .host = *host_, .identity = edges_.identity, .rng = edges_.rng, .clock = edges_.clock},
        swarm_->id);
    tell_discovery_members();
    tell_discovery_addresses(now);
}

void Node::tell_discovery_members() {
    if (!discovery_ || registry_->list() == nullptr) return;
    std::vector<identity::NodeId> members;
    for (auto const& member : registry_->list()->members()) members.push_back(member.node_id());
    discovery_->set_members(members);
}

void Node::tell_discovery_addresses(base::Instant now) {
    if (!discovery_) return;
    std::vector<wire::Multiaddr> addresses;
    for (auto const& text : announced_addresses(now))
        if (auto address = wire::Multiaddr::from_text(text))
            addresses.push_back(std::move(*address));
    discovery_->set_addresses(std::move(addresses), now);
}

void Node::hear_identities(base::Instant now) {
    for (auto const id : identify_->take_heard()) {
        auto const link = links_.find(id);
        auto const* peer = identify_->peer(id);
        if (!discovery_ || link == links_.end() || !link->second.admitted || peer == nullptr)
            continue;
        discovery_->on_identified(id, peer->said, now);
    }
}

// The first failure may be a member that just starts anew.
void Node::look_for(identity::NodeId const& node, Peer const& peer, base::Instant now) {
    bool const is_lost = peer.failures >= 2 || (peer.addresses.empty() && peer.found.empty());
    if (discovery_ && is_lost) discovery_->look_for(node, now);
}

void Node::hear_discovery(base::Instant now) {
    while (auto found = discovery_ ? discovery_->poll_found() : std::nullopt) {
        auto* peer = peers_.find(found->member);
        if (peer == nullptr || peer->link) continue;
        std::vector<std::string> texts;
        for (auto const& address : found->addresses)
            if (address.tcp_endpoint() || address.circuit()) texts.push_back(address.to_text());
        if (texts.empty() || texts == peer->found) continue;
        peer->found = std::move(texts);
        peer->next_address = 0;
        peer->dial_at = std::min(peer->dial_at, now + redial_first);
        edges_.log("member " + found->member.to_short() + ": found other addresses of it");
    }
}

SwarmDiscovery::Counts Node::discovery_counts() const {
    return discovery_ ? discovery_->counts() : SwarmDiscovery::Counts{};
}

}  // namespace kith::node
