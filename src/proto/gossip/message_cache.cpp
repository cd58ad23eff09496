#include "proto/gossip/message_cache.h"

#include "proto/gossip/limits.h"

namespace kith::proto::gossip {

void MessageCache::put(SharedMessage message) {
    auto const id = message->id;
    auto const size = message->publish.size();
    if (!messages_.try_emplace(id, Entry{std::move(message), {}}).second) return;
    windows_.back().push_back(id);
    bytes_ += size;
    while (bytes_ > cache_bytes_max || messages_.size() > cache_messages_max) drop_oldest();
}

SharedMessage MessageCache::take_for(MessageId const& id, identity::PeerId const& peer) {
    auto const found = messages_.find(id);
    if (found == messages_.end()) return nullptr;
    auto& asked = found->second.asked[peer];
    if (asked >= retransmissions_max) return nullptr;
    ++asked;
    return found->second.message;
}

std::vector<MessageId> MessageCache::gossip_ids(std::string_view topic) const {
    std::vector<MessageId> ids;
    auto const first = windows_.size() > history_gossip ? windows_.size() - history_gossip : 0;
    for (std::size_t window = first; window < windows_.size(); ++window)
        for (auto const& id : windows_[window])
            if (messages_.at(id).message->topic == topic) ids.push_back(id);
    return ids;
}

void MessageCache::shift() {
    windows_.emplace_back();
    if (windows_.size() <= history_length) return;
    for (auto const& id : windows_.front()) drop(id);
    windows_.pop_front();
}

void MessageCache::drop(MessageId const& id) {
    auto const found = messages_.find(id);
    bytes_ -= found->second.message->publish.size();
    messages_.erase(found);
}

void MessageCache::drop_oldest() {
    for (auto& window : windows_) {
        if (window.empty()) continue;
        drop(window.front());
        window.pop_front();
        return;
    }
}

}  // namespace kith::proto::gossip
