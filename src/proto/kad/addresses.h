// proto/kad/addresses.h: which addresses named by strangers are dialled. Without this, answers of
// the DHT make every node a port scanner of its own network (research/libp2p.md section 3).
#pragma once

#include <map>
#include <vector>

#include "base/time.h"
#include "identity/peer_id.h"
#include "wire/multiaddr.h"

namespace kith::proto::kad {

enum class AddressScope {
    unusable,  // not just numeric IP, TCP port and peer; unspecified, multicast, link-local, port 0
    loopback,
    private_network,  // RFC 1918, RFC 6598, RFC 4193
    public_network,
};
AddressScope scope_of(wire::Multiaddr const& address);

// What may be dialled because somebody else named it.
enum class Reach {
    public_network,   // nothing but public addresses
    private_network,  // those of the local networks too: a team in one office
    loopback,         // loopback too: tests, several nodes on one machine
};
bool is_reachable(Reach reach, wire::Multiaddr const& address);
void keep_reachable(Reach reach, std::vector<wire::Multiaddr>& addresses);  // drops the others

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
