#include "proto/kad/addresses.h"

#include <algorithm>

namespace kith::proto::kad {

void FailedAddresses::add(identity::PeerId const& peer, wire::Multiaddr const& address,
                          base::Instant now) {
    if (until_.size() >= failed_addresses_max) expire(now);
    if (until_.size() >= failed_addresses_max)
        until_.erase(
            std::ranges::min_element(until_, {}, [](auto const& entry) { return entry.second; }));
    until_.insert_or_assign({peer, address.to_bytes()}, now + failed_address_ttl);
}

bool FailedAddresses::has(identity::PeerId const& peer, wire::Multiaddr const& address,
                          base::Instant now) const {
    auto const found = until_.find({peer, address.to_bytes()});
    return found != until_.end() && now < found->second;
}

void FailedAddresses::expire(base::Instant now) {
    std::erase_if(until_, [now](auto const& entry) { return entry.second <= now; });
}

}  // namespace kith::proto::kad
