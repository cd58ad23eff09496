#include "proto/gossip/seen.h"

#include <algorithm>

#include "proto/gossip/limits.h"

namespace kith::proto::gossip {

using base::Duration;
using base::Instant;

std::optional<Duration> Seen::age(MessageId const& id, Instant now) const {
    auto const found = ids_.find(id);
    if (found == ids_.end()) return std::nullopt;
    return now - found->second.at;
}

bool Seen::is_replay(Origin const& origin) const {
    auto const floor = floors_.find(origin.author);
    return floor != floors_.end() && origin.seqno <= floor->second.seqno;
}

void Seen::mark_rejected(MessageId const& id) {
    if (auto const found = ids_.find(id); found != ids_.end())
        found->second.fate = Record::Fate::rejected;
}

bool Seen::is_rejected(MessageId const& id) const {
    auto const found = ids_.find(id);
    return found != ids_.end() && found->second.fate == Record::Fate::rejected;
}

void Seen::add(MessageId const& id, std::optional<Origin> const& origin, Instant now) {
    if (!ids_.emplace(id, Record{now}).second) return;
    entries_.push_back({id, origin, now});
    if (entries_.size() > seen_max) drop_oldest();
}

void Seen::expire(Instant now) {
    while (!entries_.empty() && now - entries_.front().at >= seen_for) drop_oldest();
}

void Seen::drop_oldest() {
    auto const& oldest = entries_.front();
    if (oldest.origin) raise_floor(*oldest.origin);
    ids_.erase(oldest.id);
    entries_.pop_front();
}

void Seen::raise_floor(Origin const& origin) {
    auto const [floor, is_new] = floors_.try_emplace(origin.author, Floor{origin.seqno, 0});
    if (!is_new) by_age_.erase(floor->second.order);
    floor->second.seqno = std::max(floor->second.seqno, origin.seqno);
    floor->second.order = order_next_++;
    by_age_.emplace(floor->second.order, origin.author);
    if (floors_.size() <= authors_max) return;
    floors_.erase(by_age_.begin()->second);
    by_age_.erase(by_age_.begin());
}

}  // namespace kith::proto::gossip
