#include "node/peers/peer_table.h"

#include <algorithm>

namespace kith::node {

void Peer::failed(std::string reason, base::Instant now) {
    last_error = std::move(reason);
    ++failures;
    dialling.reset();
    dial_at = now + backoff;
    backoff = std::min(backoff * 2, redial_max);
}

std::optional<wire::Multiaddr> Peer::pick_address() {
    auto const all = addresses.size() + found.size();
    for (std::size_t tries = 0; tries < all; ++tries) {
        auto const at = next_address++ % all;
        auto const& text = at < found.size() ? found[at] : addresses[at - found.size()];
        auto parsed = wire::Multiaddr::from_text(text);
        if (parsed && parsed->tcp_endpoint()) return std::move(*parsed);
    }
    return std::nullopt;
}

std::vector<ports::ConnectionId> PeerTable::keep(std::vector<identity::NodeId> const& wanted,
                                                 identity::NodeId const& self, base::Instant now) {
    std::vector<ports::ConnectionId> gone;
    std::erase_if(peers_, [&](auto const& entry) {
        if (std::ranges::find(wanted, entry.first) != wanted.end()) return false;
        if (entry.second.link) gone.push_back(*entry.second.link);
        if (entry.second.dialling) gone.push_back(*entry.second.dialling);
        return true;
    });
    for (auto const& node : wanted) {
        if (node == self || peers_.contains(node)) continue;
        auto& peer = peers_[node];
        peer.dial_at = self < node ? now : now + wait_to_be_dialled;
    }
    return gone;
}

Peer* PeerTable::find(identity::NodeId const& node) {
    auto const found = peers_.find(node);
    return found == peers_.end() ? nullptr : &found->second;
}

Peer const* PeerTable::find(identity::NodeId const& node) const {
    auto const found = peers_.find(node);
    return found == peers_.end() ? nullptr : &found->second;
}

std::optional<identity::NodeId> PeerTable::by_connection(ports::ConnectionId id) const {
    for (auto const& [node, peer] : peers_)
        if (peer.link == id || peer.dialling == id) return node;
    return std::nullopt;
}

}  // namespace kith::node
