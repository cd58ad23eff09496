#include "proto/gossip/promises.h"

#include "proto/gossip/limits.h"

namespace kith::proto::gossip {

using base::Instant;
using identity::PeerId;

void Promises::watch(PeerId const& peer, std::span<MessageId const> asked, Instant now,
                     Generator& random) {
    if (asked.empty() || count_ >= promises_max) return;
    auto const& id = asked[random() % asked.size()];
    if (due_[id].emplace(peer, now + iwant_followup).second) ++count_;
}

void Promises::kept(MessageId const& id) {
    auto const found = due_.find(id);
    if (found == due_.end()) return;
    count_ -= found->second.size();
    due_.erase(found);
}

void Promises::peer_gone(PeerId const& peer) {
    for (auto& [id, peers] : due_) count_ -= peers.erase(peer);
    std::erase_if(due_, [](auto const& entry) { return entry.second.empty(); });
}

std::map<PeerId, std::size_t> Promises::take_broken(Instant now) {
    std::map<PeerId, std::size_t> broken;
    for (auto& [id, peers] : due_) {
        count_ -= std::erase_if(peers, [&broken, now](auto const& entry) {
            if (entry.second > now) return false;
            ++broken[entry.first];
            return true;
        });
    }
    std::erase_if(due_, [](auto const& entry) { return entry.second.empty(); });
    return broken;
}

}  // namespace kith::proto::gossip
