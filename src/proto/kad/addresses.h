// proto/kad/addresses.h: which addresses named by strangers are dialled (wire/reach.h), and where a
// peer was not found before.
#pragma once

#include <map>
#include <vector>

#include "base/time.h"
#include "identity/peer_id.h"
#include "wire/multiaddr.h"
#include "wire/reach.h"

namespace kith::proto::kad {

using wire::AddressScope;
using wire::is_reachable;
using wire::keep_reachable;
using wire::Reach;
using wire::scope_of;

inline constexpr std::size_t failed_addresses_max = 512;
inline constexpr base::Duration failed_address_ttl = std::chrono::minutes(2);

// Remembers where a peer was not found. By peer and address together: a false address told about an
// honest peer must not make us forget its real one.
class FailedAddresses {
public:
    void add(identity::PeerId const& peer, wire::Multiaddr const& address, base::Instant now);
    [[nodiscard]] bool has(identity::PeerId const& peer, wire::Multiaddr const& address,
                           base::Instant now) const;
    void expire(base::Instant now);
    [[nodiscard]] std::size_t size() const { return until_.size(); }

private:
    std::map<std::pair<identity::PeerId, base::Bytes>, base::Instant> until_;
};

}  // namespace kith::proto::kad
