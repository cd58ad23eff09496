// Messages of others: seen before, well signed, judged by the owner, passed on.
#include "proto/gossip/router.h"

namespace kith::proto::gossip {

using base::Instant;
using identity::PeerId;

MessageId Router::id_of(libp2p::PubsubMessage const& message,
                        std::optional<Origin> const& origin) const {
    if (origin) return signed_id(*origin);
    auto id = options_.message_id(message.topic(), base::as_bytes(message.data()));
    id.resize(std::min(id.size(), message_id_bytes_max));
    return id;
}

void Router::on_message(Peers::iterator from, libp2p::PubsubMessage& message, Instant now) {
    ++counters_.messages_received;
    // Not subscribed: it may just have crossed our unsubscription.
    if (!topics_.contains(message.topic())) return;
    auto const origin = read_origin(message, options_.policy);
    if (!origin) return invalid(from->first, message.topic());
    auto const id = id_of(message, *origin);
    if (seen_.contains(id)) return on_duplicate(from, id, message.topic(), now);
    if (*origin) {
        // Not a fault: after a restart honest relays still send us what we said before it.
        if ((*origin)->author == self_ || seen_.is_replay(**origin)) return;
        // Only behind the signature does an id count as seen, or a forgery could shadow the message
        // whose number it guessed.
        if (!verify_signature(message, (*origin)->author))
            return invalid(from->first, message.topic());
    }
    promises_.kept(id);
    auto encoded = std::make_shared<Encoded const>(
        Encoded{.id = id, .topic = message.topic(), .publish = encode_publish(message)});
    if (!has_room(from->second, encoded->publish.size())) {
        ++counters_.messages_dropped;  // not marked as seen: it may come again when there is room
        return;
    }
    seen_.add(id, *origin, now);
    tell_idontwant(encoded, from->first);

    MessageHandle const handle{handle_next_++};
    ++from->second.pending;
    pending_bytes_ += encoded->publish.size();
    pending_by_id_[id] = handle;
    pending_.emplace(handle, Pending{.message = std::move(encoded),
                                     .origin = *origin,
                                     .relay = from->first,
                                     .senders = {from->first},
                                     .since = now});
    std::optional<PeerId> author;
    if (*origin) author = (*origin)->author;
    outputs_.push_back(Deliver{.handle = handle,
                               .topic = message.topic(),
                               .relay = from->first,
                               .author = author,
                               .data = base::to_bytes(base::as_bytes(message.data()))});
}

bool Router::has_room(Peer const& from, std::size_t bytes) const {
    return pending_.size() < pending_max && from.pending < pending_per_peer_max &&
           pending_bytes_ + bytes <= pending_bytes_max;
}

void Router::on_duplicate(Peers::iterator from, MessageId const& id, std::string const& topic,
                          Instant now) {
    ++counters_.duplicates_received;
    from->second.outbox.forget(id);  // it has the message: our copy for it would be waste
    if (seen_.is_rejected(id)) return invalid(from->first, topic);
    if (auto const waiting = pending_by_id_.find(id); waiting != pending_by_id_.end())
        pending_.at(waiting->second).senders.insert(from->first);
    score_.delivered_again(from->first, topic, seen_.age(id, now).value_or(base::Duration{}));
}

void Router::invalid(PeerId const& from, std::string const& topic) {
    ++counters_.messages_invalid;
    score_.delivered_invalid(from, topic);
}

void Router::tell_idontwant(SharedMessage const& message, PeerId const& from) {
    if (message->publish.size() < idontwant_min_bytes) return;
    for (auto const& id : topics_.at(message->topic)) {
        auto const peer = peers_.find(id);
        if (id == from || peer->second.version != Version::v1_2 ||
            peer->second.standing == Peer::Standing::given_up)
            continue;
        peer->second.outbox.idontwant(message->id);
        ++counters_.idontwant_sent;
        touch(peer);
    }
}

void Router::validated(MessageHandle handle, Verdict verdict, Instant) {
    auto const found = pending_.find(handle);
    if (found == pending_.end()) return;
    auto const pending = std::move(found->second);
    pending_.erase(found);
    pending_by_id_.erase(pending.message->id);
    pending_bytes_ -= pending.message->publish.size();
    if (auto const relay = peers_.find(pending.relay); relay != peers_.end())
        --relay->second.pending;
    auto const& topic = pending.message->topic;
    switch (verdict) {
        case Verdict::ignore:
            return;
        case Verdict::reject:
            seen_.mark_rejected(pending.message->id);
            for (auto const& sender : pending.senders) invalid(sender, topic);
            return;
        case Verdict::accept:
            break;
    }
    auto const mesh = topics_.find(topic);
    if (mesh == topics_.end()) return;  // unsubscribed meanwhile
    score_.delivered_first(pending.relay, topic);
    cache_.put(pending.message);
    auto without = pending.senders;
    if (pending.origin) without.insert(pending.origin->author);
    send(pending.message, mesh->second, without);
}

}  // namespace kith::proto::gossip
