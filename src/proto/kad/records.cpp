#include "proto/kad/records.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::proto::kad {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Status;
using base::UnixTime;
using identity::PeerId;

bool RecordStore::Life::is_over(Now now) const {
    bool const kept = now.instant < until && now.wall < until_wall;
    return !KITH_GUARD("S26.store", kept);
}

RecordStore::Life RecordStore::life_of(std::optional<Stamp> const& stamp, Now now) {
    auto const since = stamp ? std::min(stamp->issued, now.wall) : now.wall;
    auto const end = base::seconds(since) + record_seconds_max;
    return {.until = now.instant + std::chrono::seconds(end - base::seconds(now.wall)),
            .until_wall = UnixTime{end}};
}

void RecordStore::use(Usage& usage, PeerId const& peer) {
    if (peer != self_) ++usage[peer];
}

void RecordStore::release(Usage& usage, PeerId const& peer) {
    if (peer == self_) return;
    auto const used = usage.find(peer);
    KITH_ASSERT(used != usage.end());
    if (--used->second == 0) usage.erase(used);
}

bool RecordStore::may_use(Usage const& usage, PeerId const& peer, std::size_t count_max) const {
    auto const used = usage.find(peer);
    return used == usage.end() || used->second < count_max;
}

Status RecordStore::put(VerifiedRecord record, PeerId const& from, RecordChecker const& checker,
                        Now now) {
    auto const known = values_.find(record.key());
    if (known != values_.end() && !known->second.life.is_over(now)) {
        auto& value = known->second;
        if (value.record.value() == record.value()) return {};
        if (!KITH_GUARD("S25.replay", checker.is_better(record, value.record)))
            return fail(Code::conflict, "record: older than the one we have");
    }
    if (known == values_.end() || known->second.from != from) {
        if (!may_use(values_used_, from, limits_.values_per_peer_max))
            return fail(Code::too_large, "record: this peer stores enough here");
    }
    if (known == values_.end() && values_.size() >= limits_.values_max) expire(now);
    if (known == values_.end() && values_.size() >= limits_.values_max)
        return fail(Code::too_large, "record: the store is full");
    if (known != values_.end()) release(values_used_, known->second.from);
    use(values_used_, from);
    auto const life = life_of(record.stamp(), now);
    auto key = record.key();
    values_.insert_or_assign(std::move(key),
                             Value{.record = std::move(record), .from = from, .life = life});
    return {};
}

VerifiedRecord const* RecordStore::find(ByteView key, Now now) const {
    auto const found = values_.find(base::to_bytes(key));
    if (found == values_.end() || found->second.life.is_over(now)) return nullptr;
    return &found->second.record;
}

Status RecordStore::add_provider(VerifiedProvider provider, PeerId const& from, Now now) {
    auto const id = provider.info().peer.id;
    auto of_key = providers_.find(provider.key());
    if (of_key == providers_.end() && providers_.size() >= limits_.provider_keys_max) expire(now);
    of_key = providers_.find(provider.key());
    if (of_key == providers_.end()) {
        if (providers_.size() >= limits_.provider_keys_max)
            return fail(Code::too_large, "provider: too many keys");
        if (!may_use(providers_used_, from, limits_.providers_per_peer_max))
            return fail(Code::too_large, "provider: this peer stores enough here");
        of_key = providers_.emplace(provider.key(), Providers{}).first;
    }
    auto const known = of_key->second.find(id);
    if (known != of_key->second.end()) {
        bool const older = provider.stamp() < known->second.provider.stamp();
        if (!KITH_GUARD("S25.provider_replay", !older || known->second.life.is_over(now)))
            return fail(Code::conflict, "provider: older than the one we have");
        release(providers_used_, known->second.from);
        of_key->second.erase(known);
    } else if (of_key->second.size() >= limits_.providers_per_key_max) {
        return fail(Code::too_large, "provider: too many for this key");
    } else if (!may_use(providers_used_, from, limits_.providers_per_peer_max)) {
        return fail(Code::too_large, "provider: this peer stores enough here");
    }
    use(providers_used_, from);
    auto const life = life_of(provider.stamp(), now);
    of_key->second.emplace(id,
                           Provider{.provider = std::move(provider), .from = from, .life = life});
    return {};
}

std::vector<ProviderInfo> RecordStore::providers(ByteView key, Now now) const {
    std::vector<ProviderInfo> out;
    auto const found = providers_.find(base::to_bytes(key));
    if (found == providers_.end()) return out;
    for (auto const& [id, entry] : found->second)
        if (!entry.life.is_over(now)) out.push_back(entry.provider.info());
    return out;
}

void RecordStore::forget_value(ByteView key) {
    auto const found = values_.find(base::to_bytes(key));
    if (found == values_.end() || found->second.from != self_) return;
    values_.erase(found);
}

void RecordStore::forget_provider(ByteView key, PeerId const& provider) {
    auto const of_key = providers_.find(base::to_bytes(key));
    if (of_key == providers_.end()) return;
    auto const entry = of_key->second.find(provider);
    if (entry == of_key->second.end()) return;
    release(providers_used_, entry->second.from);
    of_key->second.erase(entry);
    if (of_key->second.empty()) providers_.erase(of_key);
}

void RecordStore::expire(Now now) {
    std::erase_if(values_, [this, now](auto const& entry) {
        if (!entry.second.life.is_over(now)) return false;
        release(values_used_, entry.second.from);
        return true;
    });
    for (auto of_key = providers_.begin(); of_key != providers_.end();) {
        std::erase_if(of_key->second, [this, now](auto const& entry) {
            if (!entry.second.life.is_over(now)) return false;
            release(providers_used_, entry.second.from);
            return true;
        });
        of_key = of_key->second.empty() ? providers_.erase(of_key) : std::next(of_key);
    }
}

std::size_t RecordStore::providers_count() const {
    std::size_t count = 0;
    for (auto const& [key, of_key] : providers_) count += of_key.size();
    return count;
}

}  // namespace kith::proto::kad
