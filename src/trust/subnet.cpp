#include "trust/subnet.h"

#include <algorithm>
#include <set>

#include "base/sabotage.h"
#include "wire/multiaddr.h"

namespace kith::trust {
namespace {

// RFC 4291 2.5.5.2: ::ffff:a.b.c.d is the IPv4 address a.b.c.d.
constexpr base::ByteArray<12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t ip4_prefix_bytes = 3;
constexpr std::size_t ip6_prefix_bytes = 8;

}  // namespace

std::optional<Subnet> Subnet::of(std::string_view ip) {
    auto const address = wire::Multiaddr::tcp(ip, 1);
    if (!address) return std::nullopt;
    base::ByteView bytes = address->components().front().value;
    bool const is_mapped =
        bytes.size() == 16 && base::equal(bytes.first(mapped_prefix.size()), mapped_prefix);
    if (is_mapped) bytes = bytes.subspan(mapped_prefix.size());
    bool const is_ip4 = bytes.size() == 4;
    base::ByteArray<8> prefix{};
    std::ranges::copy(bytes.first(is_ip4 ? ip4_prefix_bytes : ip6_prefix_bytes), prefix.begin());
    return Subnet(is_ip4 ? Family::ip4 : Family::ip6, prefix);
}

std::size_t peers_in(Subnet const& subnet, std::span<Neighbour const> neighbours) {
    std::set<base::ByteArray<32>> peers;
    for (auto const& neighbour : neighbours)
        if (neighbour.subnet == subnet) peers.insert(neighbour.peer);
    return peers.size();
}

unsigned spot_check_rate(SpotCheckFacts const& facts) {
    bool const is_small = facts.peers_in_subnet <= subnet_peers_max;
    if (KITH_GUARD("S40.crowd", is_small)) return spot_check_percent;
    return facts.trust_class == TrustClass::others ? spot_check_crowd_percent : spot_check_percent;
}

}  // namespace kith::trust
