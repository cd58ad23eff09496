#include "trust/trust_manager.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::trust {
namespace {

std::int64_t step_of(TrustEvent event) {
    switch (event) {
        case TrustEvent::inference_success:
            return inference_success_step;
        case TrustEvent::valid_transaction:
            return valid_transaction_step;
        case TrustEvent::spot_check_fail:
            return spot_check_fail_step;
        case TrustEvent::invalid_gossip:
            return invalid_gossip_step;
        case TrustEvent::signature_violation:
            return signature_violation_step;
    }
    KITH_ASSERT(false);
    return 0;
}

// Half of it for each transaction with the same counterparty before; the sixth is worth nothing
// that would be worth the work.
constexpr std::uint32_t halvings_max = 5;

}  // namespace

TrustManager::TrustManager(Moment now)
    : cycle_began_(now.instant), earns_from_(base::seconds(now.unix_time)) {}

TrustManager::Record* TrustManager::find_or_add(PeerKey const& peer) {
    if (auto const found = peers_.find(peer); found != peers_.end()) return &found->second;
    if (peers_.size() >= peers_max && !forget_one()) return nullptr;
    return &peers_[peer];
}

bool TrustManager::forget_one() {
    auto nearest = peers_.end();
    for (auto entry = peers_.begin(); entry != peers_.end(); ++entry) {
        auto const& record = entry->second;
        if (record.connected) continue;
        if (!KITH_GUARD("S37.no_whitewash", !record.score.is_penalised())) continue;
        if (nearest == peers_.end() || record.score < nearest->second.score) nearest = entry;
    }
    if (nearest == peers_.end()) return false;
    peers_.erase(nearest);
    return true;
}

Counted TrustManager::record(PeerKey const& peer, Happened const& event, Moment now) {
    advance(now);
    auto const unix_now = base::seconds(now.unix_time);
    auto const at = base::seconds(event.at);
    bool const is_reward = step_of(event.kind) > 0;
    if (at > unix_now + event_future_max) return Counted::in_future;
    bool const is_fresh = at >= unix_now - event_age_max && (!is_reward || at >= earns_from_);
    if (!KITH_GUARD("S33.fresh", is_fresh)) return Counted::too_old;
    auto* const record = find_or_add(peer);
    if (record == nullptr) return Counted::no_room;

    std::erase_if(record->seen, [&](SeenEvent const& seen) {
        return seen.at < unix_now - event_age_max;  // too old to be taken again
    });
    bool const is_new =
        std::ranges::find(record->seen, event.id, &SeenEvent::id) == record->seen.end();
    if (!KITH_GUARD("S33.once", is_new)) return Counted::duplicate;
    if (record->seen.size() >= event_ids_max) {
        if (is_reward) return Counted::capped;
        // A flood of events must not shield from a penalty: it replaces the oldest id. A penalty is
        // reported by this node itself, so its id does not come back.
        record->seen.erase(std::ranges::min_element(record->seen, {}, &SeenEvent::at));
    }
    if (event.kind == TrustEvent::valid_transaction) {
        auto const counted = count_transaction(*record, peer, event, unix_now);
        if (counted != Counted::yes) return counted;
    } else {
        record->score = record->score.moved_by(step_of(event.kind));
    }
    record->seen.push_back({event.id, at});
    return Counted::yes;
}

Counted TrustManager::count_transaction(Record& record, PeerKey const& peer, Happened const& event,
                                        std::int64_t now) {
    if (!event.counterparty || *event.counterparty == peer) return Counted::self_dealing;
    if (now >= record.window_began + earning_window || now < record.window_began) {
        record.window_began = now;
        record.gained = 0;
        record.counterparties.clear();
    }
    auto other = std::ranges::find(record.counterparties, *event.counterparty, &Counterparty::key);
    if (other == record.counterparties.end()) {
        if (record.counterparties.size() >= counterparties_max) return Counted::capped;
        record.counterparties.push_back({*event.counterparty, 0});
        other = std::prev(record.counterparties.end());
    }
    if (!KITH_GUARD("S34.same_pair", other->times < halvings_max)) return Counted::capped;
    auto const step = valid_transaction_step >> std::min(other->times, halvings_max);
    bool const has_room = record.gained + step <= transactions_gain_max;
    if (!KITH_GUARD("S34.gain", has_room)) return Counted::capped;
    ++other->times;
    record.gained += step;
    record.score = record.score.moved_by(step);
    return Counted::yes;
}

Score TrustManager::score(PeerKey const& peer) const {
    if (auto const found = peers_.find(peer); found != peers_.end()) return found->second.score;
    if (peers_.size() < peers_max) return {};
    bool const could_be_met = std::ranges::any_of(peers_, [](auto const& entry) {
        return !entry.second.connected && !entry.second.score.is_penalised();
    });
    return could_be_met ? Score() : Score::from_deviation(-deviation_max);
}

void TrustManager::set_connected(PeerKey const& peer, Moment now) {
    advance(now);
    if (auto* const record = find_or_add(peer)) record->connected = true;
}

void TrustManager::set_disconnected(PeerKey const& peer) {
    auto const found = peers_.find(peer);
    if (found != peers_.end()) found->second.connected = false;
}

void TrustManager::carry_over(PeerKey const& from, PeerKey const& to) {
    auto moved = peers_.extract(from);
    if (moved.empty()) return;
    moved.mapped().connected = false;
    auto const known = peers_.find(to);
    if (known == peers_.end()) {
        moved.key() = to;
        peers_.insert(std::move(moved));
    } else if (moved.mapped().score < known->second.score) {
        known->second = std::move(moved.mapped());
    }
}

bool TrustManager::advance(Moment now) {
    if (now.instant < next_cycle()) return false;
    auto const cycles = (now.instant - cycle_began_) / health_cycle;
    cycle_began_ += cycles * health_cycle;
    bool changed = false;
    for (auto& [key, record] : peers_) {
        auto const before = record.score;
        record.score = before.decayed(static_cast<std::uint64_t>(cycles));
        changed = changed || record.score != before;
    }
    return changed;
}

Blame blame(Fault fault, PeerKey const& sender, std::optional<PeerKey> const& origin) {
    switch (fault) {
        case Fault::wrong_sender:
        case Fault::bad_signature:
            return {sender, TrustEvent::signature_violation};
        case Fault::nonsense_content:
            KITH_ASSERT(origin.has_value());
            return {*origin, TrustEvent::invalid_gossip};
    }
    KITH_ASSERT(false);
    return {sender, TrustEvent::signature_violation};
}

}  // namespace kith::trust
