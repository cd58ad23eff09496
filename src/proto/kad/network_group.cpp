#include "proto/kad/network_group.h"

#include <algorithm>

#include "base/check.h"

namespace kith::proto::kad {

namespace {

constexpr base::ByteArray<12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr base::ByteArray<16> loopback_ip6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

std::optional<NetworkGroup> group_of_ip4(base::ByteView ip) {
    if (ip[0] == 127) return std::nullopt;  // RFC 1122 3.2.1.3
    NetworkGroup group;
    group.prefix[0] = 4;
    std::copy_n(ip.begin(), 3, group.prefix.begin() + 1);
    return group;
}

std::optional<NetworkGroup> group_of_ip6(base::ByteView ip) {
    if (base::equal(ip, loopback_ip6)) return std::nullopt;
    if (base::equal(ip.first(mapped_prefix.size()), mapped_prefix))
        return group_of_ip4(ip.subspan(mapped_prefix.size()));
    NetworkGroup group;
    group.prefix[0] = 6;
    std::copy_n(ip.begin(), 8, group.prefix.begin() + 1);
    return group;
}

}  // namespace

std::optional<NetworkGroup> group_of(wire::Multiaddr const& address) {
    if (address.components().empty()) return std::nullopt;
    auto const& host = address.components().front();
    if (host.protocol == wire::AddressProtocol::ip4) return group_of_ip4(host.value);
    if (host.protocol == wire::AddressProtocol::ip6) return group_of_ip6(host.value);
    return std::nullopt;
}

std::vector<NetworkGroup> groups_of(std::span<wire::Multiaddr const> addresses,
                                    GroupExempt const& exempt) {
    std::vector<NetworkGroup> groups;
    for (auto const& address : addresses) {
        if (exempt && exempt(address)) continue;
        auto const group = group_of(address);
        if (group && std::ranges::find(groups, *group) == groups.end()) groups.push_back(*group);
    }
    return groups;
}

bool GroupCounter::has_room(std::span<NetworkGroup const> groups, std::size_t count_max) const {
    return std::ranges::all_of(groups, [this, count_max](auto const& group) {
        auto const found = counts_.find(group);
        return found == counts_.end() || found->second < count_max;
    });
}

void GroupCounter::add(std::span<NetworkGroup const> groups) {
    for (auto const& group : groups) ++counts_[group];
}

void GroupCounter::remove(std::span<NetworkGroup const> groups) {
    for (auto const& group : groups) {
        auto const found = counts_.find(group);
        KITH_ASSERT(found != counts_.end());
        if (--found->second == 0) counts_.erase(found);
    }
}

}  // namespace kith::proto::kad
