#include "proto/identify/observed.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/encoding.h"

namespace kith::proto::identify {

using base::ByteView;
using base::Instant;

namespace {

constexpr std::size_t ip4_bytes = 4;
constexpr std::size_t ip6_bytes = 16;
constexpr base::ByteArray<12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// 4 or 16 bytes; an IPv4 address in IPv6 clothes as the 4 it is.
std::optional<base::Bytes> parse_ip(std::string_view text) {
    std::string const terminated(text);
    base::Bytes ip4(ip4_bytes);
    if (inet_pton(AF_INET, terminated.c_str(), ip4.data()) == 1) return ip4;
    base::Bytes ip6(ip6_bytes);
    if (inet_pton(AF_INET6, terminated.c_str(), ip6.data()) != 1) return std::nullopt;
    if (base::equal(ByteView(ip6).first(mapped_prefix.size()), mapped_prefix))
        return base::to_bytes(ByteView(ip6).subspan(mapped_prefix.size()));
    return ip6;
}

struct Range {
    std::uint32_t first;
    int bits;
};

// IANA special-purpose registry (RFC 6890 and later), what is not globally reachable, with
// multicast and above.
constexpr std::array<Range, 14> special_ip4{{{0x00000000, 8},
                                             {0x0a000000, 8},
                                             {0x64400000, 10},
                                             {0x7f000000, 8},
                                             {0xa9fe0000, 16},
                                             {0xac100000, 12},
                                             {0xc0000000, 24},
                                             {0xc0000200, 24},
                                             {0xc0a80000, 16},
                                             {0xc6120000, 15},
                                             {0xc6336400, 24},
                                             {0xcb007100, 24},
                                             {0xe0000000, 4},
                                             {0xf0000000, 4}}};

bool is_global_ip4(ByteView bytes) {
    auto const address = base::load_be<std::uint32_t>(bytes);
    return std::ranges::none_of(special_ip4, [address](Range const& range) {
        return (address ^ range.first) >> (32 - range.bits) == 0;
    });
}

// 2000::/3 is what is given out; without Teredo, 6to4 and documentation.
bool is_global_ip6(ByteView bytes) {
    auto const first = base::load_be<std::uint32_t>(bytes);
    return first >> 29 == 1 && first != 0x20010000 && first != 0x20010db8 && first >> 16 != 0x2002;
}

std::optional<std::string> ip_of(wire::Multiaddr const& address) {
    auto const parts = address.components();
    if (parts.empty() || parts.size() > 2) return std::nullopt;
    if (parts.size() == 2 && parts[1].protocol != wire::AddressProtocol::tcp) return std::nullopt;
    auto const& host = parts[0];
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (host.protocol == wire::AddressProtocol::ip4)
        inet_ntop(AF_INET, host.value.data(), text.data(), text.size());
    else if (host.protocol == wire::AddressProtocol::ip6)
        inet_ntop(AF_INET6, host.value.data(), text.data(), text.size());
    else
        return std::nullopt;
    return std::string(text.data());
}

}  // namespace

std::optional<std::string> network_of(std::string_view ip) {
    auto const bytes = parse_ip(ip);
    if (!bytes) return std::nullopt;
    bool const is_ip4 = bytes->size() == ip4_bytes;
    return base::to_hex(ByteView(*bytes).first(is_ip4 ? 3 : 8));
}

bool is_global(std::string_view ip) {
    auto const bytes = parse_ip(ip);
    if (!bytes) return false;
    return bytes->size() == ip4_bytes ? is_global_ip4(*bytes) : is_global_ip6(*bytes);
}

void ObservedAddresses::vote(std::string_view observer_ip, wire::Multiaddr const& seen,
                             Instant now) {
    auto const network = network_of(observer_ip);
    auto const ip = ip_of(seen);
    if (!network || !ip || !is_global(*ip)) return;
    auto& votes = votes_[*network];
    std::erase_if(votes, [&seen](Vote const& vote) { return vote.seen == seen; });
    if (votes.size() == votes_per_network_max) votes.pop_front();
    votes.push_back({.seen = seen, .at = now});
    if (votes_.size() <= networks_max) return;
    votes_.erase(std::ranges::min_element(
        votes_, {}, [](auto const& entry) { return entry.second.back().at; }));
}

std::vector<wire::Multiaddr> ObservedAddresses::believed(Instant now) const {
    std::vector<std::pair<wire::Multiaddr, std::size_t>> counted;
    for (auto const& [network, votes] : votes_)
        for (auto const& vote : votes) {
            if (now >= vote.at + vote_lives) continue;
            auto found =
                std::ranges::find(counted, vote.seen, &decltype(counted)::value_type::first);
            if (found == counted.end()) found = counted.insert(counted.end(), {vote.seen, 0});
            ++found->second;
        }
    std::vector<wire::Multiaddr> believed;
    for (auto& [seen, count] : counted)
        if (count >= observers_min) believed.push_back(std::move(seen));
    return believed;
}

}  // namespace kith::proto::identify
