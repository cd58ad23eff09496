#include "proto/kad/routing_table.h"

#include <algorithm>

#include "base/sabotage.h"

namespace kith::proto::kad {

using base::Instant;
using identity::PeerId;

namespace {

auto const peer_of = [](auto const& entry) -> PeerId const& { return entry.peer.id; };

}  // namespace

Offered RoutingTable::offer(PeerInfo peer, std::optional<wire::Multiaddr> const& remote,
                            Instant now) {
    if (peer.id == self_) return Offered::refused;
    Entry entry{.peer = std::move(peer), .key = {}, .groups = {}, .heard = now};
    entry.key = Key::of(entry.peer.id);
    entry.groups =
        remote ? groups_of({&*remote, 1}, exempt_) : groups_of(entry.peer.addresses, exempt_);
    auto& bucket = buckets_[common_prefix_length(self_key_, entry.key)];
    auto const known = std::ranges::find(bucket.entries, entry.peer.id, peer_of);
    if (known != bucket.entries.end()) {
        if (known->groups == entry.groups) {
            known->peer = std::move(entry.peer);
            known->heard = now;
            known->failures = 0;
            return Offered::refreshed;
        }
        take(bucket, known);
    }
    if (!has_room(bucket, entry)) return Offered::refused;
    if (bucket.entries.size() < bucket_peers_max) {
        if (size_ >= table_peers_max) return Offered::refused;
        add(bucket, std::move(entry));
        return Offered::added;
    }
    bucket.waiting = std::move(entry);
    bool const oldest_failed = bucket.entries.front().failures > 0;
    if (!KITH_GUARD("S88.keep_old", oldest_failed)) return Offered::waiting;
    replace(bucket, bucket.entries.begin());
    return Offered::added;
}

bool RoutingTable::has_room(Bucket const& bucket, Entry const& entry) const {
    bool const fits = groups_.has_room(entry.groups, group_table_max) &&
                      bucket.groups.has_room(entry.groups, group_bucket_max);
    return KITH_GUARD("S88.table_groups", fits);
}

void RoutingTable::add(Bucket& bucket, Entry entry) {
    groups_.add(entry.groups);
    bucket.groups.add(entry.groups);
    bucket.entries.push_back(std::move(entry));
    ++size_;
}

RoutingTable::Entry RoutingTable::take(Bucket& bucket, std::vector<Entry>::iterator position) {
    auto entry = std::move(*position);
    bucket.entries.erase(position);
    groups_.remove(entry.groups);
    bucket.groups.remove(entry.groups);
    --size_;
    return entry;
}

// The one that waited gets the place, if its network still has room.
void RoutingTable::replace(Bucket& bucket, std::vector<Entry>::iterator entry) {
    take(bucket, entry);
    if (bucket.waiting && has_room(bucket, *bucket.waiting)) add(bucket, *bucket.waiting);
    bucket.waiting.reset();
}

RoutingTable::Bucket* RoutingTable::bucket_of(PeerId const& peer) {
    auto const bucket = buckets_.find(common_prefix_length(self_key_, Key::of(peer)));
    return bucket == buckets_.end() ? nullptr : &bucket->second;
}

void RoutingTable::on_alive(PeerId const& peer, Instant now) {
    auto* const bucket = bucket_of(peer);
    if (!bucket) return;
    auto const entry = std::ranges::find(bucket->entries, peer, peer_of);
    if (entry == bucket->entries.end()) return;
    entry->heard = now;
    entry->failures = 0;
    // The oldest answers: the newcomer has to come back another time, and find another oldest.
    if (entry == bucket->entries.begin() && bucket->waiting) {
        bucket->waiting.reset();
        std::rotate(bucket->entries.begin(), bucket->entries.begin() + 1, bucket->entries.end());
    }
}

void RoutingTable::on_failed(PeerId const& peer, Instant) {
    auto* const bucket = bucket_of(peer);
    if (!bucket) return;
    auto const entry = std::ranges::find(bucket->entries, peer, peer_of);
    if (entry == bucket->entries.end()) return;
    ++entry->failures;
    if (bucket->waiting || entry->failures >= failures_max) replace(*bucket, entry);
}

void RoutingTable::remove(PeerId const& peer) {
    auto* const bucket = bucket_of(peer);
    if (!bucket) return;
    if (bucket->waiting && bucket->waiting->peer.id == peer) bucket->waiting.reset();
    auto const entry = std::ranges::find(bucket->entries, peer, peer_of);
    if (entry != bucket->entries.end()) replace(*bucket, entry);
}

void RoutingTable::remove_if(std::function<bool(PeerId const&)> const& is_unwanted) {
    std::vector<PeerId> unwanted;
    for (auto const& [length, bucket] : buckets_) {
        if (bucket.waiting && is_unwanted(bucket.waiting->peer.id))
            unwanted.push_back(bucket.waiting->peer.id);
        for (auto const& entry : bucket.entries)
            if (is_unwanted(entry.peer.id)) unwanted.push_back(entry.peer.id);
    }
    for (auto const& peer : unwanted) remove(peer);
}

std::optional<PeerId> RoutingTable::poll_probe(Instant now) {
    for (auto& [length, bucket] : buckets_) {
        if (!bucket.waiting || bucket.entries.empty()) continue;
        if (bucket.probed && now < *bucket.probed + probe_interval) continue;
        bucket.probed = now;
        return bucket.entries.front().peer.id;
    }
    return std::nullopt;
}

std::vector<PeerId> RoutingTable::stale(Instant now, std::size_t count) const {
    std::vector<std::pair<Instant, PeerId>> silent;
    for (auto const& [length, bucket] : buckets_)
        for (auto const& entry : bucket.entries)
            if (entry.heard + stale_after <= now) silent.emplace_back(entry.heard, entry.peer.id);
    std::ranges::sort(silent);
    std::vector<PeerId> peers;
    for (auto const& [heard, peer] : silent) {
        if (peers.size() == count) break;
        peers.push_back(peer);
    }
    return peers;
}

std::vector<PeerInfo> RoutingTable::closest(Key const& target, std::size_t count) const {
    std::vector<std::pair<Distance, PeerInfo const*>> peers;
    peers.reserve(size_);
    for (auto const& [length, bucket] : buckets_)
        for (auto const& entry : bucket.entries)
            peers.emplace_back(distance(entry.key, target), &entry.peer);
    auto const wanted = std::min(count, peers.size());
    std::partial_sort(peers.begin(), peers.begin() + static_cast<std::ptrdiff_t>(wanted),
                      peers.end());
    std::vector<PeerInfo> out;
    for (auto const& [far, peer] : std::span(peers).first(wanted)) out.push_back(*peer);
    return out;
}

PeerInfo const* RoutingTable::find(PeerId const& peer) const {
    auto const bucket = buckets_.find(common_prefix_length(self_key_, Key::of(peer)));
    if (bucket == buckets_.end()) return nullptr;
    auto const entry = std::ranges::find(bucket->second.entries, peer, peer_of);
    return entry == bucket->second.entries.end() ? nullptr : &entry->peer;
}

}  // namespace kith::proto::kad
