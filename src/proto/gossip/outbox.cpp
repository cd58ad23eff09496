#include "proto/gossip/outbox.h"

#include <algorithm>

#include "proto/gossip/limits.h"

namespace kith::proto::gossip {

namespace {

constexpr std::size_t id_overhead = 4;  // tag and length on the wire, at most

// Everything but messages stays far below what any peer accepts as one RPC.
static_assert(2 * topics_max * (topic_bytes_max + 32) + 3 * outbox_gossip_bytes_max <
              control_bytes_max);
static_assert(topics_max <= subscriptions_per_rpc_max);
static_assert(batch_bytes + control_bytes_max < rpc_bytes_sent_max);

template <class Map, class Value>
Queued set(Map& map, std::string const& topic, Value value) {
    if (map.size() >= topics_max && !map.contains(topic)) return Queued::dropped;
    map[topic] = value;
    return Queued::yes;
}

// Appends as many ids as the limit allows.
void add_ids(std::vector<MessageId>& to, std::size_t& bytes, std::vector<MessageId> const& ids) {
    for (auto const& id : ids) {
        if (bytes + id.size() + id_overhead > outbox_gossip_bytes_max) return;
        bytes += id.size() + id_overhead;
        to.push_back(id);
    }
}

}  // namespace

Queued Outbox::interest(std::string const& topic, Interest interest) {
    return set(interests_, topic, interest);
}

Queued Outbox::graft(std::string const& topic) {
    return set(mesh_, topic, MeshChange{.is_graft = true, .backoff_seconds = {}});
}

Queued Outbox::prune(std::string const& topic, std::optional<std::uint64_t> backoff_seconds) {
    return set(mesh_, topic, MeshChange{.is_graft = false, .backoff_seconds = backoff_seconds});
}

void Outbox::ihave(std::string const& topic, std::vector<MessageId> const& ids) {
    if (!ihave_.contains(topic) && ihave_.size() >= topics_max) return;
    add_ids(ihave_[topic], ihave_bytes_, ids);
}

std::size_t Outbox::iwant(std::vector<MessageId> const& ids) {
    auto const before = iwant_.size();
    add_ids(iwant_, iwant_bytes_, ids);
    return iwant_.size() - before;
}

void Outbox::idontwant(MessageId const& id) {
    if (idontwant_.size() < idontwant_per_heartbeat_max &&
        idontwant_.size() * (message_id_bytes_max + id_overhead) < outbox_gossip_bytes_max)
        idontwant_.push_back(id);
}

Queued Outbox::message(SharedMessage message) {
    auto const size = message->publish.size();
    if (messages_.size() >= outbox_messages_max || message_bytes_ + size > outbox_bytes_max)
        return Queued::dropped;
    message_bytes_ += size;
    messages_.push_back(std::move(message));
    return Queued::yes;
}

void Outbox::forget(MessageId const& id) {
    auto const found = std::ranges::find(messages_, id, [](auto const& one) { return one->id; });
    if (found == messages_.end()) return;
    message_bytes_ -= (*found)->publish.size();
    messages_.erase(found);
}

bool Outbox::empty() const {
    return interests_.empty() && mesh_.empty() && ihave_.empty() && iwant_.empty() &&
           idontwant_.empty() && messages_.empty();
}

base::Bytes Outbox::take_control() {
    libp2p::PubsubRpc rpc;
    for (auto const& [topic, interest] : interests_) {
        auto* const one = rpc.add_subscriptions();
        one->set_subscribe(interest == Interest::subscribed);
        one->set_topic(topic);
    }
    for (auto const& [topic, change] : mesh_) {
        if (change.is_graft) {
            rpc.mutable_control()->add_graft()->set_topic(topic);
            continue;
        }
        auto* const prune = rpc.mutable_control()->add_prune();
        prune->set_topic(topic);
        if (change.backoff_seconds) prune->set_backoff(*change.backoff_seconds);
    }
    for (auto& [topic, ids] : ihave_) {
        auto* const have = rpc.mutable_control()->add_ihave();
        have->set_topic(topic);
        for (auto& id : ids) have->add_ids(std::move(id));
    }
    if (!iwant_.empty()) {
        auto* const want = rpc.mutable_control()->add_iwant();
        for (auto& id : iwant_) want->add_ids(std::move(id));
    }
    if (!idontwant_.empty()) {
        auto* const has = rpc.mutable_control()->add_idontwant();
        for (auto& id : idontwant_) has->add_ids(std::move(id));
    }
    interests_.clear();
    mesh_.clear();
    ihave_.clear();
    iwant_.clear();
    idontwant_.clear();
    ihave_bytes_ = iwant_bytes_ = 0;
    return base::to_bytes(base::as_bytes(rpc.SerializeAsString()));
}

std::optional<base::Bytes> Outbox::next() {
    if (empty()) return std::nullopt;
    auto rpc = take_control();
    // Messages are fields of the same RPC: appended bytes are one more field.
    while (!messages_.empty()) {
        auto const& publish = messages_.front()->publish;
        auto const size = rpc.size() + publish.size();
        if (!rpc.empty() && size > batch_bytes) break;
        base::append(rpc, publish);
        message_bytes_ -= publish.size();
        messages_.pop_front();
    }
    return rpc;
}

}  // namespace kith::proto::gossip
