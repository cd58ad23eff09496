// proto/kad/key.h: where things are in the DHT: the SHA-256 of what names them, and how far apart
// two of these are (Maymounkov and Mazieres 2002; libp2p/specs kad-dht/README.md "Distance").
//
// Ids are hashed before they are compared, so nobody chooses his own position; he can only try many
// keys until one falls where he wants it (S88).
#pragma once

#include <bit>
#include <compare>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "identity/peer_id.h"

namespace kith::proto::kad {

inline constexpr std::size_t key_bits = 256;

// Compares as a big-endian number.
struct Distance {
    crypto::Sha256Digest bits{};
    std::strong_ordering operator<=>(Distance const&) const = default;
};

struct Key {
    crypto::Sha256Digest hash{};
    std::strong_ordering operator<=>(Key const&) const = default;

    // `name` is a record key, a multihash, or the multihash of a peer id.
    static Key of(base::ByteView name) { return {crypto::sha256(name)}; }
    static Key of(identity::PeerId const& peer) { return of(peer.to_multihash()); }
};

inline Distance distance(Key const& a, Key const& b) {
    Distance out;
    for (std::size_t i = 0; i < out.bits.size(); ++i)
        out.bits[i] = static_cast<std::uint8_t>(a.hash[i] ^ b.hash[i]);
    return out;
}

// How many leading bits are equal, 0 to key_bits.
inline std::size_t common_prefix_length(Key const& a, Key const& b) {
    for (std::size_t i = 0; i < a.hash.size(); ++i) {
        auto const different = static_cast<std::uint8_t>(a.hash[i] ^ b.hash[i]);
        if (different != 0) return 8 * i + static_cast<std::size_t>(std::countl_zero(different));
    }
    return key_bits;
}

}  // namespace kith::proto::kad
