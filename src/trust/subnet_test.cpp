#include "trust/subnet.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace kith;
using namespace kith::trust;

namespace {

base::ByteArray<32> peer(std::uint8_t number) {
    return {number};
}

std::vector<Neighbour> crowd(std::size_t count, auto const& address_of) {
    std::vector<Neighbour> neighbours;
    for (std::size_t i = 1; i <= count; ++i)
        neighbours.push_back(
            {peer(static_cast<std::uint8_t>(i)), Subnet::of(address_of(i)).value()});
    return neighbours;
}

unsigned rate_in(std::string_view ip, std::vector<Neighbour> const& neighbours,
                 TrustClass trust_class = TrustClass::others) {
    return spot_check_rate({.peers_in_subnet = peers_in(Subnet::of(ip).value(), neighbours),
                            .trust_class = trust_class});
}

std::string in_slash24(std::size_t i) {
    return "203.0.113." + std::to_string(i * 40);
}

}  // namespace

TEST_CASE("S40: five peers in one /24 are checked at 5 percent, six at 25") {
    CHECK(rate_in("203.0.113.1", crowd(5, in_slash24)) == 5);
    CHECK(rate_in("203.0.113.1", crowd(6, in_slash24)) == 25);
    CHECK(rate_in("203.0.114.1", crowd(6, in_slash24)) == 5);  // the network next door
}

TEST_CASE("S40: an IPv6 crowd is counted by /64, and a mapped IPv4 address by its /24") {
    auto const in_64 = [](std::size_t i) { return "2001:db8:0:1:" + std::to_string(i) + "::1"; };
    CHECK(rate_in("2001:db8:0:1::9", crowd(5, in_64)) == 5);
    CHECK(rate_in("2001:db8:0:1::9", crowd(6, in_64)) == 25);
    CHECK(rate_in("2001:db8:0:2::9", crowd(6, in_64)) == 5);
    auto const mixed = [](std::size_t i) {
        return i % 2 == 0 ? in_slash24(i) : "::ffff:" + in_slash24(i);
    };
    CHECK(rate_in("203.0.113.1", crowd(6, mixed)) == 25);
    CHECK(rate_in("::ffff:203.0.113.1", crowd(6, mixed)) == 25);
    // Two mapped addresses of different /24s are not neighbours because both begin with zeros.
    CHECK(Subnet::of("::ffff:203.0.113.1") != Subnet::of("::ffff:203.0.114.1"));
    CHECK(Subnet::of("203.0.113.1") != Subnet::of("cb00:7100::"));  // same bytes, other family
}

TEST_CASE("S40: one peer with six connections is one peer") {
    std::vector<Neighbour> neighbours;
    for (int i = 0; i < 6; ++i) neighbours.push_back({peer(1), Subnet::of("203.0.113.7").value()});
    CHECK(peers_in(Subnet::of("203.0.113.7").value(), neighbours) == 1);
}

TEST_CASE(
    "S40: a team behind one address keeps the usual rate for the peers that were chosen by name") {
    auto const team = crowd(9, [](std::size_t) { return std::string("198.51.100.4"); });
    CHECK(rate_in("198.51.100.4", team) == 25);
    CHECK(rate_in("198.51.100.4", team, TrustClass::chosen) == 5);
    CHECK(rate_in("198.51.100.4", team, TrustClass::own) == 5);
}

TEST_CASE("what is no numeric address has no subnet") {
    for (auto const* const text : {"", "example.org", "1.2.3", "1.2.3.4.5", "::g", "1.2.3.4:80"})
        CHECK_FALSE(Subnet::of(text).has_value());
}
