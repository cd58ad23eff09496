// proto/identify/observed.h: what others say our own address is, counted as votes.
//
// One liar, or many behind one network, must not be able to have us announce an address: one is
// believed only while observers of at least observers_min different networks (IPv4 /24, IPv6 /64)
// have named it within vote_lives.
//
// Invariants: 1. one network has one vote per address. 2. at most networks_max networks and
// votes_per_network_max votes of each are kept; the oldest go.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "wire/multiaddr.h"

namespace kith::proto::identify {

inline constexpr std::size_t observers_min = 3;
inline constexpr std::size_t networks_max = 64;
inline constexpr std::size_t votes_per_network_max = 4;
inline constexpr base::Duration vote_lives = std::chrono::minutes(30);

// "/24" or "/64" of a numeric address, IPv4 inside IPv6 as IPv4; nullopt: not numeric.
std::optional<std::string> network_of(std::string_view ip);
// Can others on the internet reach this numeric address: not private, loopback, link-local,
// shared (100.64/10), documentation, multicast or unspecified.
bool is_global(std::string_view ip);

class ObservedAddresses {
public:
    // `observer` at `observer_ip` says that it sees us at `seen`: "/ip4|ip6/..." alone, or with
    // "/tcp/...". Everything else, and addresses that are not global, is ignored.
    void vote(std::string_view observer_ip, wire::Multiaddr const& seen, base::Instant now);
    [[nodiscard]] std::vector<wire::Multiaddr> believed(base::Instant now) const;

private:
    struct Vote {
        wire::Multiaddr seen;
        base::Instant at;
    };
    std::map<std::string, std::deque<Vote>> votes_;  // by network, the oldest vote first
};

}  // namespace kith::proto::identify
