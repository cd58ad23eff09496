#include "wire/reach.h"

#include <algorithm>

namespace kith::wire {

using base::ByteView;

namespace {

AddressScope scope_of_ip4(ByteView ip) {
    if (ip[0] == 127) return AddressScope::loopback;
    if (ip[0] == 0 || ip[0] >= 224) return AddressScope::unusable;     // RFC 1122 3.2.1.3
    if (ip[0] == 169 && ip[1] == 254) return AddressScope::unusable;   // RFC 3927
    bool const is_private = ip[0] == 10 ||                             // RFC 1918
                            (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||  // RFC 1918
                            (ip[0] == 192 && ip[1] == 168) ||          // RFC 1918
                            (ip[0] == 100 && (ip[1] & 0xc0) == 64);    // RFC 6598
    return is_private ? AddressScope::private_network : AddressScope::public_network;
}

AddressScope scope_of_ip6(ByteView ip) {
    auto const zeros = static_cast<std::size_t>(
        std::ranges::find_if(ip, [](std::uint8_t byte) { return byte != 0; }) - ip.begin());
    if (zeros == ip.size()) return AddressScope::unusable;
    if (zeros == 15 && ip[15] == 1) return AddressScope::loopback;
    if (zeros == 10 && ip[10] == 0xff && ip[11] == 0xff) return scope_of_ip4(ip.subspan(12));
    if (ip[0] == 0xff || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)) return AddressScope::unusable;
    // NAT64 and 6to4 lead to any IPv4 address, private ones included: nobody needs to be told them.
    if (ip[0] == 0x00 || (ip[0] == 0x20 && ip[1] == 0x02)) return AddressScope::unusable;
    return (ip[0] & 0xfe) == 0xfc ? AddressScope::private_network : AddressScope::public_network;
}

}  // namespace

AddressScope scope_of(Multiaddr const& address) {
    auto const endpoint = address.tcp_endpoint();
    if (!endpoint || endpoint->port == 0) return AddressScope::unusable;
    // Behind ip and tcp only the peer's own name: a circuit's ip is that of its relay.
    auto const parts = address.components();
    if (parts.size() > 3 || (parts.size() == 3 && parts[2].protocol != AddressProtocol::p2p))
        return AddressScope::unusable;
    auto const& ip = parts.front().value;
    return ip.size() == 4 ? scope_of_ip4(ip) : scope_of_ip6(ip);
}

bool is_reachable(Reach reach, Multiaddr const& address) {
    switch (scope_of(address)) {
        case AddressScope::unusable:
            return false;
        case AddressScope::loopback:
            return reach == Reach::loopback;
        case AddressScope::private_network:
            return reach != Reach::public_network;
        case AddressScope::public_network:
            return true;
    }
    return false;
}

void keep_reachable(Reach reach, std::vector<Multiaddr>& addresses) {
    std::erase_if(addresses,
                  [reach](auto const& address) { return !is_reachable(reach, address); });
}

}  // namespace kith::wire
