// proto/kad/records.h: what others asked us to keep: values and provider entries, all verified, for
// an hour at most (S26), with a quota per peer so that nobody fills the store alone.
//
// Invariants: 1. every entry was checked by RecordChecker. 2. an entry is never handed out
// record_seconds_max after its author made it, nor after we got it. 3. a value is replaced only by
// a better one (S25). 4. the limits below hold; a full store refuses, it evicts nobody.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "proto/kad/record.h"

namespace kith::proto::kad {

struct StoreLimits {
    std::size_t values_max = 1024;
    std::size_t values_per_peer_max = 64;
    std::size_t provider_keys_max = 1024;
    std::size_t providers_per_key_max = 64;
    std::size_t providers_per_peer_max = 256;  // entries, of those one peer brought
};

class RecordStore {
public:
    // What `self` brings itself counts against no quota.
    RecordStore(StoreLimits limits, identity::PeerId const& self) : limits_(limits), self_(self) {}

    // Code::conflict: not better than the one we have; Code::too_large: a quota or limit is used
    // up. The one we have again is right and changes nothing.
    base::Status put(VerifiedRecord record, identity::PeerId const& from,
                     RecordChecker const& checker, Now now);
    [[nodiscard]] VerifiedRecord const* find(base::ByteView key, Now now) const;

    // As put; an entry of the same provider is replaced unless it is newer.
    base::Status add_provider(VerifiedProvider provider, identity::PeerId const& from, Now now);
    [[nodiscard]] std::vector<ProviderInfo> providers(base::ByteView key, Now now) const;

    void forget_value(base::ByteView key);  // only what we published ourselves
    void forget_provider(base::ByteView key, identity::PeerId const& provider);
    void expire(Now now);  // frees what is over; find() and providers() never show it anyway
    [[nodiscard]] std::size_t values_count() const { return values_.size(); }
    [[nodiscard]] std::size_t providers_count() const;

private:
    // Both ends count: a wall clock that was set back must not prolong anything.
    struct Life {
        base::Instant until;
        base::UnixTime until_wall;
        [[nodiscard]] bool is_over(Now now) const;
    };
    struct Value {
        VerifiedRecord record;
        identity::PeerId from;
        Life life;
    };
    struct Provider {
        VerifiedProvider provider;
        identity::PeerId from;
        Life life;
    };
    using Providers = std::map<identity::PeerId, Provider>;
    using Usage = std::map<identity::PeerId, std::size_t>;

    static Life life_of(std::optional<Stamp> const& stamp, Now now);
    void use(Usage& usage, identity::PeerId const& peer);
    void release(Usage& usage, identity::PeerId const& peer);
    [[nodiscard]] bool may_use(Usage const& usage, identity::PeerId const& peer,
                               std::size_t count_max) const;

    StoreLimits limits_;
    identity::PeerId self_;
    std::map<base::Bytes, Value> values_;
    std::map<base::Bytes, Providers> providers_;
    Usage values_used_, providers_used_;
};

}  // namespace kith::proto::kad
