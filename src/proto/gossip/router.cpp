#include "proto/gossip/router.h"

#include <algorithm>
#include <ranges>

#include "base/check.h"

namespace kith::proto::gossip {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Duration;
using base::fail;
using base::Instant;
using base::Result;
using base::Status;
using identity::PeerId;

std::optional<Version> version_of(std::string_view protocol) {
    if (protocol == protocol_v1_0) return Version::v1_0;
    if (protocol == protocol_v1_1) return Version::v1_1;
    if (protocol == protocol_v1_2) return Version::v1_2;
    return std::nullopt;
}

Router::Router(Options options, Instant now)
    : options_(std::move(options)),
      random_(options_.seed),
      score_(options_.score, now),
      seqno_next_(options_.first_seqno),
      heartbeat_next_(now + heartbeat_interval) {
    KITH_ASSERT(options_.policy == SignaturePolicy::strict_no_sign || options_.author);
    if (options_.author) self_ = options_.author->peer_id();
    if (!options_.message_id) options_.message_id = content_id;
}

// ---- peers ----

Status Router::on_peer_added(PeerId const& peer, Version version, Direction direction,
                             std::string ip, Instant now) {
    if (peers_.contains(peer)) return fail(Code::conflict, "gossip: the peer is here already");
    if (peers_.size() >= peers_max) return fail(Code::too_large, "gossip: too many peers");
    // One that comes back finds its messages from before: they are still in its share.
    auto const waiting = std::ranges::count_if(
        pending_, [&peer](auto const& entry) { return entry.second.relay == peer; });
    auto const added = peers_
                           .emplace(peer, Peer{.version = version,
                                               .direction = direction,
                                               .topics = {},
                                               .outbox = {},
                                               .pending = static_cast<std::size_t>(waiting),
                                               .idontwant = {}})
                           .first;
    score_.add(peer, std::move(ip), now);
    for (auto const& [topic, mesh] : topics_)
        settle(added, added->second.outbox.interest(topic, Interest::subscribed));
    return {};
}

void Router::on_peer_removed(PeerId const& peer, Instant now) {
    auto const found = peers_.find(peer);
    if (found == peers_.end()) return;
    for (auto& [topic, mesh] : topics_) mesh.erase(peer);
    for (auto& [topic, fanout] : fanouts_) fanout.peers.erase(peer);
    promises_.peer_gone(peer);
    score_.remove(peer, now);
    peers_.erase(found);
}

void Router::give_up(Peers::iterator peer, Misbehaviour what) {
    if (peer->second.standing == Peer::Standing::given_up) return;
    peer->second.standing = Peer::Standing::given_up;
    peer->second.outbox = {};
    outputs_.push_back(PeerMisbehaved{peer->first, what});
}

void Router::touch(Peers::iterator peer) {
    if (peer->second.transmit == Peer::Notice::sent || peer->second.outbox.empty()) return;
    peer->second.transmit = Peer::Notice::sent;
    outputs_.push_back(Transmit{peer->first});
}

void Router::settle(Peers::iterator peer, Queued queued) {
    if (queued == Queued::dropped) return give_up(peer, Misbehaviour::too_slow);
    touch(peer);
}

std::optional<Output> Router::poll_output() {
    if (outputs_.empty()) return std::nullopt;
    auto output = std::move(outputs_.front());
    outputs_.pop_front();
    return output;
}

std::optional<Bytes> Router::poll_transmit(PeerId const& peer) {
    auto const found = peers_.find(peer);
    if (found == peers_.end() || found->second.standing == Peer::Standing::given_up)
        return std::nullopt;
    found->second.stalled_heartbeats = 0;
    auto rpc = found->second.outbox.next();
    if (!rpc) found->second.transmit = Peer::Notice::none;
    return rpc;
}

void Router::set_owner_score(PeerId const& peer, double value) {
    score_.set_owner_score(peer, value);
}

// ---- our topics ----

Status Router::subscribe(std::string const& topic, Instant now) {
    if (topic.empty() || topic.size() > topic_bytes_max)
        return fail(Code::too_large, "gossip: the topic's name is empty or too long");
    if (topics_.contains(topic)) return {};
    if (topics_.size() >= topics_max) return fail(Code::too_large, "gossip: too many topics");
    topics_[topic];
    announce(topic, Interest::subscribed);
    auto const wanted =
        to_graft({}, candidates(topic, {}, 0, Want::graftable, now), options_.degrees, random_);
    for (auto const& peer : wanted) graft(topic, peer, now);
    fanouts_.erase(topic);
    return {};
}

void Router::unsubscribe(std::string const& topic, Instant now) {
    auto const found = topics_.find(topic);
    if (found == topics_.end()) return;
    announce(topic, Interest::unsubscribed);
    for (auto const& peer : PeerIds(found->second)) {
        leave(topic, peer, unsubscribe_backoff, now);
        send_prune(topic, peers_.find(peer), unsubscribe_backoff);
    }
    topics_.erase(topic);
}

void Router::announce(std::string const& topic, Interest interest) {
    for (auto peer = peers_.begin(); peer != peers_.end(); ++peer)
        if (peer->second.standing == Peer::Standing::good)
            settle(peer, peer->second.outbox.interest(topic, interest));
}

void Router::graft(std::string const& topic, PeerId const& peer, Instant now) {
    auto const found = peers_.find(peer);
    topics_.at(topic).insert(peer);
    score_.joined_mesh(peer, topic, now);
    settle(found, found->second.outbox.graft(topic));
}

void Router::leave(std::string const& topic, PeerId const& peer, Duration backoff, Instant now) {
    topics_.at(topic).erase(peer);
    score_.left_mesh(peer, topic, now);
    backoffs_.add(topic, peer, backoff, now);
}

void Router::send_prune(std::string const& topic, Peers::iterator peer, Duration backoff) {
    std::optional<std::uint64_t> seconds;
    if (peer->second.version != Version::v1_0)
        seconds = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::seconds>(backoff).count());
    settle(peer, peer->second.outbox.prune(topic, seconds));
}

std::vector<Candidate> Router::candidates(std::string const& topic, PeerIds const& without,
                                          double score_min, Want want, Instant now) const {
    std::vector<Candidate> found;
    for (auto const& [id, peer] : peers_) {
        if (peer.standing != Peer::Standing::good || !peer.topics.contains(topic) ||
            without.contains(id))
            continue;
        if (want == Want::graftable && !backoffs_.may_graft(topic, id, now)) continue;
        auto const score = score_.score(id, now);
        if (score >= score_min)
            found.push_back({.peer = id, .score = score, .direction = peer.direction});
    }
    return found;
}

// ---- our messages ----

Result<MessageId> Router::publish(std::string const& topic, ByteView data, Instant now) {
    if (topic.empty() || topic.size() > topic_bytes_max)
        return fail(Code::too_large, "gossip: the topic's name is empty or too long");
    if (data.size() > message_bytes_max)
        return fail(Code::too_large, "gossip: message is too large");
    libp2p::PubsubMessage message;
    std::optional<Origin> origin;
    if (options_.policy == SignaturePolicy::strict_sign) {
        origin = Origin{self_, seqno_next_++};
        message = sign_message(topic, data, origin->seqno, *options_.author);
    } else {
        message.set_data(base::to_text(data));
        message.set_topic(topic);
    }
    if (message.ByteSizeLong() > message_bytes_max)
        return fail(Code::too_large, "gossip: message is too large");
    auto id = id_of(message, origin);
    if (seen_.contains(id)) return fail(Code::conflict, "gossip: the message was sent before");
    seen_.add(id, origin, now);
    auto const encoded = std::make_shared<Encoded const>(
        Encoded{.id = id, .topic = topic, .publish = encode_publish(message)});
    cache_.put(encoded);
    send(encoded, publish_targets(topic, now), {});
    return id;
}

Router::PeerIds Router::publish_targets(std::string const& topic, Instant now) {
    auto const subscribers = candidates(topic, {}, options_.score.publish, Want::subscriber, now);
    PeerIds targets;
    if (options_.flood_publish == FloodPublish::on) {
        for (auto const& one : subscribers) targets.insert(one.peer);
        return targets;
    }
    if (auto const ours = topics_.find(topic); ours != topics_.end()) {
        targets = ours->second;
        if (targets.size() >= options_.degrees.low) return targets;
    } else {
        if (fanouts_.size() >= fanouts_max && !fanouts_.contains(topic))
            fanouts_.erase(std::ranges::min_element(
                fanouts_, {}, [](auto const& entry) { return entry.second.last_used; }));
        auto& fanout = fanouts_[topic];
        fanout.last_used = now;
        if (fanout.peers.empty()) {
            auto const chosen = pick(subscribers, options_.degrees.target, random_);
            fanout.peers.insert(chosen.begin(), chosen.end());
        }
        return fanout.peers;
    }
    // A mesh that is still being built would lose the message.
    for (auto const& peer : pick(subscribers, options_.degrees.target, random_))
        targets.insert(peer);
    return targets;
}

void Router::send(SharedMessage const& message, PeerIds const& to, PeerIds const& without) {
    for (auto const& id : to) {
        if (without.contains(id)) continue;
        auto const peer = peers_.find(id);
        if (peer == peers_.end() || peer->second.standing == Peer::Standing::given_up) continue;
        if (peer->second.idontwant.contains(message->id)) continue;
        // Dropped for a peer that is slow: it can still ask for it with IWANT.
        if (peer->second.outbox.message(message) == Queued::dropped) {
            ++counters_.messages_dropped;
            continue;
        }
        ++counters_.messages_forwarded;
        touch(peer);
    }
}

// ---- views ----

std::set<PeerId> Router::mesh(std::string const& topic) const {
    auto const found = topics_.find(topic);
    return found == topics_.end() ? PeerIds{} : found->second;
}

std::size_t Router::subscribers_count(std::string const& topic) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        peers_, [&topic](auto const& entry) { return entry.second.topics.contains(topic); }));
}

double Router::score(PeerId const& peer, Instant now) const {
    return score_.score(peer, now);
}

}  // namespace kith::proto::gossip
