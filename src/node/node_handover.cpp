// node/node_handover.cpp: from a relayed connection to a direct one: a hole is punched
// (services/dcutr_service.h), and the session that stands moves over without a break.
//
//   relayed session ready --direct link proved, same process--> seated beside it
//   --the client of the link opens the peer stream--> handover: a second session is made there
//   --ready--> we speak there and close our half of the old stream
//   --the peer closed its half too--> the new link is the peer's link; the old one retires
//
// Whatever fails before anything was said on the new stream costs the new link only. After that it
// ends the session like any loss of a link: what is on the way cannot be known.
#include "node/node.h"

namespace kith::node {

using base::Code;

namespace {

constexpr base::Duration handover_timeout = std::chrono::seconds(30);
// The end of our half of the old stream has to reach the peer, through a relay that may be slow.
constexpr base::Duration relayed_stays = std::chrono::seconds(30);

}  // namespace

void Node::make_hole_punching() {
    dcutr_ = std::make_unique<DcutrService>(DcutrService::Edges{
        .host = *host_,
        .own_addresses =
            [this] {
                auto own = identify_->seen();
                auto listening = direct_addresses(edges_.clock.now());
                own.insert(own.end(), listening.begin(), listening.end());
                return proto::dcutr::usable(wire::Reach::private_network, own);
            },
        .known_addresses =
            [this](ports::ConnectionId id) {
                auto const* heard = identify_->peer(id);
                return heard == nullptr ? std::vector<wire::Multiaddr>{}
                                        : heard->said.listen_addresses;
            },
        .may =
            [this](identity::PeerId const& peer) {
                return registry_ &&
                       registry_->serveable(peer.node_id(), edges_.clock.now()) != nullptr;
            }});
}

// A process that began anew has forgotten the session: nothing is left to be moved.
bool Node::may_take_over(Peer const& peer, LinkState const& link) const {
    auto const old = peer.link ? links_.find(*peer.link) : links_.end();
    if (old == links_.end() || !peer.announced) return false;
    bool const same_process = old->second.peer.process_key() == link.peer.process_key();
    return old->second.path == Path::relayed && link.path == Path::direct && same_process;
}

// Several ways may have come up at once; the client of them takes the first, and what is left over
// is ended when the handover is.
void Node::seat_beside(ports::ConnectionId id, Peer& peer, base::Instant now) {
    auto& link = links_.at(id);
    link.admitted = true;
    host_->vouch(id);
    if (peer.dialling == id) peer.dialling.reset();
    welcome(id, Audience::member, now);
    admit_to_gossip(id, link, now);
    if (link.direction == Direction::inbound || peer.handover) return;
    auto const stream = host_->open_stream(id, std::string(protocol_peer), now);
    if (!stream) return host_->disconnect(id, stream.error());
    begin_handover(id, *stream, peer, now);
    if (auto const offered = peer.handover->channel->offer(now); !offered)
        fail_handover(link.peer.peer().node_id(), offered.error(), now);
}

void Node::begin_handover(ports::ConnectionId id, StreamId stream, Peer& peer, base::Instant now) {
    auto const node = links_.at(id).peer.peer().node_id();
    peer.handover.emplace(
        Handover{.link = id, .stream = stream, .channel = make_channel(node, now), .since = now});
}

bool Node::on_handover_data(identity::NodeId const& node, ports::ConnectionId id,
                            StreamData const& data, base::Instant now) {
    auto* const peer = peers_.find(node);
    if (peer == nullptr || !peer->handover) return false;
    auto& next = *peer->handover;
    if (next.link != id || next.stream != data.id) return false;
    // The handshake needs its credit; of messages no more than a window waits here.
    if (next.channel->ready())
        next.held += data.bytes.size();
    else
        host_->consumed(id, data.id, data.bytes.size());
    if (auto const fed = next.channel->feed(data.bytes, now); !fed)
        fail_handover(node, fed.error(), now);
    return true;
}

bool Node::on_handover_stream_gone(identity::NodeId const& node, Carrier const& at,
                                   std::optional<base::Error> const& reason, base::Instant now) {
    auto* const peer = peers_.find(node);
    if (peer == nullptr || !peer->handover) return false;
    auto& next = *peer->handover;
    if (next.link == at.connection && next.stream == at.stream) {
        fail_handover(
            node, reason.value_or(base::Error{Code::unavailable, "the member closed the session"}),
            now);
        return true;
    }
    bool const is_old = peer->link == at.connection && peer->stream == at.stream;
    if (!is_old || reason) return false;
    next.followed = true;
    return true;
}

// True: one is finished, and what came on its new stream was delivered.
bool Node::advance_handovers(base::Instant now) {
    std::vector<identity::NodeId> over;
    for (auto& [node, peer] : peers_) {
        if (!peer.handover || !peer.handover->channel->ready()) continue;
        auto& next = *peer.handover;
        if (!next.left && peer.channel->outgoing().empty()) {
            host_->close_write(*peer.link, *peer.stream);
            next.left = true;
        }
        if (next.left && next.followed) over.push_back(node);
    }
    for (auto const& node : over) finish_handover(node, now);
    return !over.empty();
}

void Node::finish_handover(identity::NodeId const& node, base::Instant now) {
    auto* const peer = peers_.find(node);
    if (peer == nullptr || !peer->handover) return;  // a message of another one ended it
    if (auto const old = links_.find(*peer->link); old != links_.end())
        old->second.retires_at = now + relayed_stays;
    auto next = std::move(*peer->handover);
    peer->handover.reset();
    peer->link = next.link;
    peer->stream = next.stream;
    peer->channel = std::move(next.channel);
    peer->link_since = now;
    end_spare_links(node);
    host_->consumed(next.link, next.stream, next.held);
    edges_.log("member " + node.to_short() + ": the session goes on over a direct connection");
    deliver(node, now);
}

// Once something may have been said on the new stream, nobody knows what of it arrived.
void Node::fail_handover(identity::NodeId const& node, base::Error const& reason,
                         base::Instant now) {
    auto* const peer = peers_.find(node);
    if (peer == nullptr || !peer->handover) return;
    auto const& next = *peer->handover;
    if (next.left || next.followed || next.channel->ready()) return drop_channel(node, reason, now);
    peer->handover.reset();
    end_spare_links(node);
    edges_.log("member " + node.to_short() + ": stays on a relayed connection: " + reason.message);
}

void Node::end_spare_links(identity::NodeId const& node) {
    auto const* peer = peers_.find(node);
    for (auto const& [id, link] : links_)
        if (link.peer.peer().node_id() == node && link.admitted && link.path == Path::direct &&
            peer->link != id)
            host_->disconnect(id, {Code::cancelled, "another connection is in use"});
}

void Node::keep_handovers(base::Instant now) {
    std::vector<std::pair<identity::NodeId, base::Error>> failed;
    std::size_t in_use_count = 0;
    for (auto& [node, peer] : peers_) {
        if (peer.link) ++in_use_count;
        if (!peer.handover) continue;
        ++in_use_count;
        auto const alive = peer.handover->channel->on_deadline(now);
        if (!alive)
            failed.emplace_back(node, alive.error());
        else if (now >= peer.handover->since + handover_timeout)
            failed.emplace_back(
                node, base::Error{Code::timeout, "a member did not follow to a new connection"});
    }
    for (auto const& [node, reason] : failed) fail_handover(node, reason, now);
    if (failed.empty() && links_.size() <= in_use_count) return;  // as nearly always
    for (auto const& [id, link] : links_) {
        auto const* peer = peers_.find(link.peer.peer().node_id());
        bool const in_use = !link.admitted || peer == nullptr || peer->link == id ||
                            (peer->handover && peer->handover->link == id);
        auto const until = link.retires_at.value_or(link.since + handover_timeout);
        if (!in_use && now >= until)
            host_->disconnect(id, {Code::cancelled, "another connection is in use"});
    }
}

}  // namespace kith::node
