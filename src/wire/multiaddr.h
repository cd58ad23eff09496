// wire/multiaddr.h: libp2p addresses, binary and text (github.com/multiformats/multiaddr,
// protocols.csv), for the protocols this program can use: ip4 ip6 tcp udp dns4 dns6 p2p
// p2p-circuit.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::wire {

inline constexpr std::size_t multiaddr_bytes_max = 512;
inline constexpr std::size_t multiaddr_text_max = 1024;
inline constexpr std::size_t multiaddr_components_max = 16;
inline constexpr std::size_t dns_name_max = 253;  // RFC 1035 2.3.4 without the trailing dot
inline constexpr std::size_t multihash_bytes_max = 64;

// Codes of multiaddr/protocols.csv.
enum class AddressProtocol : std::uint16_t {
    ip4 = 4,
    tcp = 6,
    ip6 = 41,
    dns4 = 54,
    dns6 = 55,
    udp = 273,
    p2p_circuit = 290,
    p2p = 421,
};

struct AddressComponent {
    AddressProtocol protocol;
    base::Bytes
        value;  // 4 or 16 address bytes, 2 port bytes, name, multihash, or empty (p2p_circuit)
    bool operator==(AddressComponent const&) const = default;
};

// Immutable after parsing; both forms are canonical, so equal addresses have equal bytes. The
// multihash of /p2p is kept as bytes: identity::PeerId judges it.
class Multiaddr {
public:
    // "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW..."; "/ipfs/" is read as "/p2p/". Code::unsupported
    // names a protocol that is not in the list, Code::invalid is anything malformed,
    // Code::too_large a limit above.
    static base::Result<Multiaddr> from_text(std::string_view text);
    static base::Result<Multiaddr> from_bytes(base::ByteView bytes);

    [[nodiscard]] std::string to_text() const;
    [[nodiscard]] base::Bytes to_bytes() const;
    [[nodiscard]] std::span<AddressComponent const> components() const { return components_; }

    // The numeric form of "/ip4|ip6/.../tcp/..." at the front; nullopt for every other shape.
    struct TcpEndpoint {
        std::string ip;
        std::uint16_t port = 0;
    };
    [[nodiscard]] std::optional<TcpEndpoint> tcp_endpoint() const;
    // The multihash of the last /p2p component when it stands last, else nullopt.
    [[nodiscard]] std::optional<base::Bytes> peer_multihash() const;

    // "/ip4|ip6/<ip>/tcp/<port>"; `ip` is numeric, else Code::invalid.
    static base::Result<Multiaddr> tcp(std::string_view ip, std::uint16_t port);
    // This address with "/p2p/<multihash>" behind it; Code::too_large at a limit above.
    [[nodiscard]] base::Result<Multiaddr> with_peer(base::ByteView multihash) const;
    // The same with "/p2p-circuit" behind it: reached through the relay that this address names.
    [[nodiscard]] base::Result<Multiaddr> with_circuit() const;

    // "<relay>/p2p/<relay's multihash>/p2p-circuit[/p2p/<target's multihash>]" taken apart; nullopt
    // for every other shape, also for a relay behind a relay.
    struct Circuit {
        TcpEndpoint relay_at;
        base::Bytes relay;   // multihash
        base::Bytes target;  // multihash; empty: the address does not say
    };
    [[nodiscard]] std::optional<Circuit> circuit() const;

    bool operator==(Multiaddr const&) const = default;

private:
    base::Status add(AddressProtocol protocol, base::Bytes value);

    std::vector<AddressComponent> components_;
};

}  // namespace kith::wire
