// Once per second: scores fade, promises fall due, meshes are mended, gossip goes out.
#include <algorithm>

#include "proto/gossip/router.h"

namespace kith::proto::gossip {

using base::Instant;
using identity::PeerId;

void Router::on_deadline(Instant now) {
    if (now < heartbeat_next_) return;
    // After a long sleep one heartbeat, not all that were missed.
    heartbeat_next_ = now + heartbeat_interval;
    heartbeat(now);
}

void Router::heartbeat(Instant now) {
    ++ticks_;
    score_.decay(now);
    seen_.expire(now);
    backoffs_.expire(now);
    for (auto const& [peer, count] : promises_.take_broken(now))
        score_.misbehaved(peer, static_cast<double>(count));
    while (!pending_.empty() && now - pending_.begin()->second.since >= verdict_within)
        validated(pending_.begin()->first, Verdict::ignore, now);
    refresh_peers(now);
    for (auto const& [topic, mesh] : topics_) {
        maintain_mesh(topic, now);
        emit_gossip(topic, mesh, now);
    }
    maintain_fanouts(now);
    cache_.shift();
}

void Router::refresh_peers(Instant now) {
    constexpr std::uint64_t stalled_max = slow_peer_after / heartbeat_interval;
    for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
        auto& state = peer->second;
        state.ihave_messages = state.ids_asked = state.idontwant_count = 0;
        std::erase_if(state.idontwant, [this](auto const& entry) {
            return entry.second + history_length <= ticks_;
        });
        if (state.outbox.empty())
            state.stalled_heartbeats = 0;
        else if (++state.stalled_heartbeats >= stalled_max)
            give_up(peer, Misbehaviour::too_slow);
        if (score_.score(peer->first, now) < options_.score.graylist)
            give_up(peer, Misbehaviour::low_score);
    }
}

void Router::maintain_mesh(std::string const& topic, Instant now) {
    auto const drop = [&](PeerId const& peer) {
        leave(topic, peer, prune_backoff, now);
        auto const found = peers_.find(peer);
        if (found->second.standing == Peer::Standing::good) send_prune(topic, found, prune_backoff);
    };
    auto& mesh = topics_.at(topic);
    std::vector<PeerId> unwanted;
    for (auto const& peer : mesh)
        if (peers_.at(peer).standing == Peer::Standing::given_up || score_.score(peer, now) < 0)
            unwanted.push_back(peer);
    for (auto const& peer : unwanted) drop(peer);
    auto const members = [&] {
        std::vector<Candidate> found;
        for (auto const& peer : mesh)
            found.push_back({.peer = peer,
                             .score = score_.score(peer, now),
                             .direction = peers_.at(peer).direction});
        return found;
    };
    if (mesh.size() > options_.degrees.high)
        for (auto const& peer : to_prune(members(), options_.degrees, random_)) drop(peer);
    if (auto const kept = members(); lacks_members(kept, options_.degrees)) {
        auto const others = candidates(topic, mesh, 0, Want::graftable, now);
        for (auto const& peer : to_graft(kept, others, options_.degrees, random_))
            graft(topic, peer, now);
    }
    if (ticks_ % opportunistic_ticks != 0 || mesh.size() < 2) return;
    auto const median = median_score(members());
    if (median >= options_.score.opportunistic) return;
    auto better = candidates(topic, mesh, median, Want::graftable, now);
    std::erase_if(better, [median](auto const& one) { return one.score <= median; });
    for (auto const& peer : pick(std::move(better), opportunistic_peers, random_))
        graft(topic, peer, now);
}

void Router::maintain_fanouts(Instant now) {
    std::erase_if(fanouts_,
                  [now](auto const& entry) { return now - entry.second.last_used >= fanout_for; });
    for (auto& [topic, fanout] : fanouts_) {
        std::erase_if(fanout.peers, [&](PeerId const& peer) {
            return peers_.at(peer).standing == Peer::Standing::given_up ||
                   score_.score(peer, now) < options_.score.publish;
        });
        if (fanout.peers.size() < options_.degrees.target) {
            auto const more =
                candidates(topic, fanout.peers, options_.score.publish, Want::subscriber, now);
            for (auto const& peer :
                 pick(more, options_.degrees.target - fanout.peers.size(), random_))
                fanout.peers.insert(peer);
        }
        emit_gossip(topic, fanout.peers, now);
    }
}

void Router::emit_gossip(std::string const& topic, PeerIds const& without, Instant now) {
    auto ids = cache_.gossip_ids(topic);
    if (ids.empty()) return;
    std::ranges::reverse(ids);  // the newest first: the outbox takes what fits
    auto const others = candidates(topic, without, options_.score.gossip, Want::subscriber, now);
    auto const share = static_cast<std::size_t>(gossip_factor * static_cast<double>(others.size()));
    for (auto const& id : pick(others, std::max(options_.degrees.lazy, share), random_)) {
        auto const peer = peers_.find(id);
        peer->second.outbox.ihave(topic, ids);
        touch(peer);
    }
}

}  // namespace kith::proto::gossip
