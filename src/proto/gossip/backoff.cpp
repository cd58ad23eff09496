#include "proto/gossip/backoff.h"

#include <algorithm>

#include "proto/gossip/limits.h"

namespace kith::proto::gossip {

using base::Duration;
using base::Instant;

Duration clamped_backoff(std::optional<std::uint64_t> seconds) {
    constexpr std::uint64_t seconds_max =
        std::chrono::duration_cast<std::chrono::seconds>(backoff_max).count();
    if (!seconds || *seconds == 0) return prune_backoff;
    return std::chrono::seconds(std::min(*seconds, seconds_max));
}

void Backoffs::add(std::string const& topic, identity::PeerId const& peer, Duration duration,
                   Instant now) {
    auto const end = now + duration;
    auto& kept = ends_.try_emplace({topic, peer}, end).first->second;
    kept = std::max(kept, end);
    if (ends_.size() > backoffs_max)
        ends_.erase(
            std::ranges::min_element(ends_, {}, [](auto const& entry) { return entry.second; }));
}

std::optional<Instant> Backoffs::until(std::string const& topic,
                                       identity::PeerId const& peer) const {
    auto const found = ends_.find({topic, peer});
    if (found == ends_.end()) return std::nullopt;
    return found->second;
}

bool Backoffs::may_graft(std::string const& topic, identity::PeerId const& peer,
                         Instant now) const {
    auto const end = until(topic, peer);
    return !end || now >= *end + backoff_slack;
}

void Backoffs::expire(Instant now) {
    std::erase_if(ends_, [now](auto const& entry) { return now >= entry.second + backoff_slack; });
}

}  // namespace kith::proto::gossip
