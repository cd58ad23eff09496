// proto/kad/network_group.h: which network an address is in, so that one network cannot fill a
// routing table or a lookup (S88): somebody with one /24 has millions of peer ids, but not millions
// of networks.
//
// Loopback is in no group, nor is what the owner exempts: a team behind one NAT, a test.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "wire/multiaddr.h"

namespace kith::proto::kad {

// IPv4: the first 24 bits, IPv6: the first 64; an IPv4-mapped address counts as IPv4.
struct NetworkGroup {
    base::ByteArray<9> prefix{};  // 4 or 6, then the bits
    auto operator<=>(NetworkGroup const&) const = default;
};

using GroupExempt = std::function<bool(wire::Multiaddr const&)>;  // may be empty: nothing is exempt

// nullopt: no numeric address in front, or loopback.
std::optional<NetworkGroup> group_of(wire::Multiaddr const& address);

// The groups of all addresses that are not exempt, each once.
std::vector<NetworkGroup> groups_of(std::span<wire::Multiaddr const> addresses,
                                    GroupExempt const& exempt);

// How many members of each group are in some set.
class GroupCounter {
public:
    // True when each of `groups` has fewer than `count_max` members now.
    [[nodiscard]] bool has_room(std::span<NetworkGroup const> groups, std::size_t count_max) const;
    void add(std::span<NetworkGroup const> groups);
    void remove(std::span<NetworkGroup const> groups);  // what was added before

private:
    std::map<NetworkGroup, std::size_t> counts_;
};

}  // namespace kith::proto::kad
