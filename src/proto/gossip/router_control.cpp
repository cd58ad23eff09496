// RPCs of others: subscriptions, GRAFT and PRUNE, IHAVE, IWANT and IDONTWANT.
#include <algorithm>

#include "proto/gossip/router.h"

namespace kith::proto::gossip {

using base::ByteView;
using base::Code;
using base::fail;
using base::Instant;
using base::Status;
using identity::PeerId;

Status Router::on_rpc(PeerId const& peer, ByteView bytes, Instant now) {
    auto const from = peers_.find(peer);
    if (from == peers_.end()) return fail(Code::not_found, "gossip: unknown peer");
    if (from->second.standing == Peer::Standing::given_up) return {};
    ++counters_.rpcs_received;
    auto rpc = KITH_TRY(decode_rpc(bytes));
    // Its subscriptions are heard even from a peer that nothing else is heard from: it must not
    // look unsubscribed when its score has recovered.
    for (auto const& subscription : rpc.subscriptions())
        KITH_TRY(on_subscription(from, subscription, now));
    if (score_.score(peer, now) < options_.score.graylist) {
        give_up(from, Misbehaviour::low_score);
        return {};
    }
    for (auto& message : *rpc.mutable_publish()) on_message(from, message, now);
    if (rpc.has_control()) on_control(from, rpc.control(), now);
    return {};
}

Status Router::on_subscription(Peers::iterator from,
                               libp2p::PubsubRpc::Subscription const& subscription, Instant now) {
    auto const& topic = subscription.topic();
    if (topic.empty() || topic.size() > topic_bytes_max)
        return fail(Code::invalid, "gossip: a topic's name is empty or too long");
    auto& topics = from->second.topics;
    if (!subscription.subscribe()) {
        topics.erase(topic);
        if (auto const ours = topics_.find(topic);
            ours != topics_.end() && ours->second.erase(from->first) > 0)
            score_.left_mesh(from->first, topic, now);
        if (auto const fanout = fanouts_.find(topic); fanout != fanouts_.end())
            fanout->second.peers.erase(from->first);
        return {};
    }
    if (topics.size() >= topics_per_peer_max && !topics.contains(topic))
        return fail(Code::too_large, "gossip: a peer subscribes to too many topics");
    topics.insert(topic);
    return {};
}

void Router::on_control(Peers::iterator from, libp2p::PubsubControl const& control, Instant now) {
    on_idontwant(from, control);
    for (auto const& graft : control.graft()) on_graft(from, graft.topic(), now);
    for (auto const& prune : control.prune()) on_prune(from, prune, now);
    if (score_.score(from->first, now) < options_.score.gossip) return;
    on_ihave(from, control, now);
    on_iwant(from, control, now);
}

// ---- the mesh ----

void Router::on_graft(Peers::iterator from, std::string const& topic, Instant now) {
    auto const ours = topics_.find(topic);
    // No PRUNE for topics we do not have: that would answer any name somebody makes up.
    if (ours == topics_.end() || ours->second.contains(from->first) ||
        from->second.standing == Peer::Standing::given_up)
        return;
    auto const refuse = [&] {
        backoffs_.add(topic, from->first, prune_backoff, now);
        send_prune(topic, from, prune_backoff);
    };
    if (auto const until = backoffs_.until(topic, from->first); until && now < *until) {
        // Right behind the PRUNE it is not a clock that runs fast: it counts twice.
        bool const flood = now < *until - prune_backoff + graft_flood;
        score_.misbehaved(from->first, flood ? 2 : 1);
        return refuse();
    }
    if (score_.score(from->first, now) < 0) return refuse();
    // Peers we dialled are let in beyond Dhi, or whoever fills the mesh could lock us in.
    if (ours->second.size() >= options_.degrees.high &&
        from->second.direction == Direction::inbound)
        return refuse();
    ours->second.insert(from->first);
    from->second.topics.insert(topic);
    score_.joined_mesh(from->first, topic, now);
}

void Router::on_prune(Peers::iterator from, libp2p::PubsubControl::Prune const& prune,
                      Instant now) {
    if (!topics_.contains(prune.topic())) return;
    std::optional<std::uint64_t> seconds;
    if (prune.has_backoff()) seconds = prune.backoff();
    leave(prune.topic(), from->first, clamped_backoff(seconds), now);
    // Peer exchange (prune.peers) is not used: whom to dial is not for a peer to say.
}

// ---- gossip ----

void Router::on_ihave(Peers::iterator from, libp2p::PubsubControl const& control, Instant now) {
    auto& peer = from->second;
    if (control.ihave().empty() || ++peer.ihave_messages > ihave_messages_per_heartbeat_max) return;
    std::vector<MessageId> wanted;
    std::set<MessageId> known;
    for (auto const& have : control.ihave()) {
        if (!topics_.contains(have.topic())) continue;
        for (auto const& id : have.ids())
            if (!id.empty() && id.size() <= message_id_bytes_max && !seen_.contains(id) &&
                known.insert(id).second)
                wanted.push_back(id);
    }
    for (std::size_t left = wanted.size(); left > 1; --left)
        std::swap(wanted[left - 1], wanted[random_() % left]);
    wanted.resize(std::min(wanted.size(), ihave_ids_per_heartbeat_max - peer.ids_asked));
    if (wanted.empty()) return;
    auto const queued = peer.outbox.iwant(wanted);
    wanted.resize(queued);
    peer.ids_asked += queued;
    promises_.watch(from->first, wanted, now, random_);
    touch(from);
}

void Router::on_iwant(Peers::iterator from, libp2p::PubsubControl const& control, Instant) {
    for (auto const& want : control.iwant()) {
        for (auto const& id : want.ids()) {
            auto const message = cache_.take_for(id, from->first);
            if (!message) continue;
            ++counters_.iwant_served;
            send(message, {from->first}, {});
        }
    }
}

void Router::on_idontwant(Peers::iterator from, libp2p::PubsubControl const& control) {
    auto& peer = from->second;
    for (auto const& has : control.idontwant()) {
        for (auto const& id : has.ids()) {
            if (++peer.idontwant_count > idontwant_per_heartbeat_max) return;
            if (id.size() > message_id_bytes_max) continue;
            ++counters_.idontwant_received;
            peer.idontwant[id] = ticks_;
            peer.outbox.forget(id);
        }
    }
}

}  // namespace kith::proto::gossip
