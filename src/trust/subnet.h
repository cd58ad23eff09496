// trust/subnet.h: which peers sit close together on the internet, and how often their work is
// recomputed because of it (S40, S70). Pure functions.
//
// One person can rent a /24 and run a crowd there, so a crowd in one /24 (IPv4, also written as
// ::ffff:a.b.c.d) or /64 (IPv6) is checked more often. A team that honestly sits behind one NAT
// looks the same from outside; the answer is the trust class: peers that the user has chosen by
// name keep the usual rate. It costs such a team some recomputation, never access or score.
#pragma once

#include <compare>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace kith::trust {

inline constexpr std::size_t subnet_peers_max = 5;  // more than so many is a crowd
inline constexpr unsigned spot_check_percent = 5;   // of requests
inline constexpr unsigned spot_check_crowd_percent = 25;

// The first 24 bits of an IPv4 address or the first 64 of an IPv6 one.
class Subnet {
public:
    // nullopt: not a numeric address.
    static std::optional<Subnet> of(std::string_view ip);
    auto operator<=>(Subnet const&) const = default;

private:
    enum class Family : std::uint8_t { ip4, ip6 };
    Subnet(Family family, base::ByteArray<8> prefix) : family_(family), prefix_(prefix) {}
    Family family_;
    base::ByteArray<8> prefix_;
};

struct Neighbour {
    base::ByteArray<32> peer;  // proved key
    Subnet subnet;             // of the connection it was proved on
};

// How many different peers of the list are in `subnet`; one peer with many connections is one.
std::size_t peers_in(Subnet const& subnet, std::span<Neighbour const> neighbours);

enum class TrustClass {
    own,     // a machine of the user
    chosen,  // somebody the user has named
    others,
};
struct SpotCheckFacts {
    std::size_t peers_in_subnet = 1;
    TrustClass trust_class = TrustClass::others;
};
// In percent of requests.
unsigned spot_check_rate(SpotCheckFacts const& facts);

}  // namespace kith::trust
