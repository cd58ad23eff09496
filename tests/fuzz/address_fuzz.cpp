// tests/fuzz/address_fuzz.cpp: addresses that peers, files and people name: libp2p multiaddrs in
// both forms, circuits through a relay, the list in a member's discovery record.
//
// First byte: 0 binary, 1 text, 2 the body of a record (varint length and multiaddr, each).
// Checked: both forms are canonical and say the same; a circuit names what it was built from;
// nothing but what may be dialled passes the rule for its reach; a record's body has one spelling.
#include "base/check.h"
#include "node/services/relay_service.h"
#include "node/services/swarm_discovery.h"
#include "wire/multiaddr.h"
#include "wire/reach.h"

using namespace kith;
using wire::Multiaddr;

namespace {

void check_circuit(Multiaddr const& address) {
    auto const circuit = address.circuit();
    auto const named = node::parse_circuit(address);
    if (!circuit) {
        KITH_ASSERT(!named.has_value());
        return;
    }
    auto relay = Multiaddr::tcp(circuit->relay_at.ip, circuit->relay_at.port);
    auto again = relay->with_peer(circuit->relay)->with_circuit();
    if (!circuit->target.empty()) again = again->with_peer(circuit->target);
    KITH_ASSERT(again.has_value() && *again == address);
    if (named) KITH_ASSERT(base::equal(named->relay.to_multihash(), circuit->relay));
}

void check_reach(Multiaddr const& address) {
    bool const everywhere = wire::is_reachable(wire::Reach::public_network, address);
    bool const near = wire::is_reachable(wire::Reach::private_network, address);
    bool const here = wire::is_reachable(wire::Reach::loopback, address);
    KITH_ASSERT(!(everywhere && !near) && !(near && !here));
    if (!here) return;
    auto const endpoint = address.tcp_endpoint();
    KITH_ASSERT(endpoint.has_value() && endpoint->port != 0 && !address.circuit());
}

void check(Multiaddr const& address) {
    KITH_ASSERT(address.components().size() <= wire::multiaddr_components_max);
    auto const from_bytes = Multiaddr::from_bytes(address.to_bytes());
    KITH_ASSERT(from_bytes.has_value() && *from_bytes == address);
    auto const from_text = Multiaddr::from_text(address.to_text());
    KITH_ASSERT(from_text.has_value() && *from_text == address);
    check_circuit(address);
    check_reach(address);
    if (auto const endpoint = address.tcp_endpoint())
        KITH_ASSERT(Multiaddr::tcp(endpoint->ip, endpoint->port).has_value());
}

void read_binary(base::ByteView bytes) {
    auto const address = Multiaddr::from_bytes(bytes);
    if (!address) return;
    KITH_ASSERT(base::equal(address->to_bytes(), bytes));
    check(*address);
}

void read_text(std::string_view text) {
    if (auto const address = Multiaddr::from_text(text)) check(*address);
}

void read_body(base::ByteView bytes) {
    auto const addresses = node::decode_addresses(bytes);
    if (!addresses) return;
    KITH_ASSERT(addresses->size() <= node::member_addresses_max);
    KITH_ASSERT(base::equal(node::encode_addresses(*addresses), bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    base::ByteView const input(data + 1, size - 1);
    if (data[0] % 3 == 0) read_binary(input);
    if (data[0] % 3 == 1) read_text(base::as_text(input));
    if (data[0] % 3 == 2) read_body(input);
    return 0;
}
