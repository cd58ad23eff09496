// identity/peer_id.h: libp2p's name of the same key (libp2p/specs peer-ids/peer-ids.md): the
// identity multihash of the PublicKey protobuf, 00 24 08 01 12 20 || Ed25519 key, in text
// "12D3KooW...". Only Ed25519 keys: every other kind is refused with a sentence that says so.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/node_id.h"

namespace kith::identity {

inline constexpr std::size_t public_key_protobuf_bytes = 36;
inline constexpr std::size_t peer_id_bytes = 38;
inline constexpr std::size_t peer_id_chars_max = 128;  // longest text looked at

class PeerId {
public:
    PeerId() = default;  // all zero: nobody's
    explicit PeerId(NodeId node) : node_(node) {}
    explicit PeerId(base::ByteArray<32> const& public_key) : node_{public_key} {}

    std::strong_ordering operator<=>(PeerId const&) const = default;

    [[nodiscard]] NodeId const& node_id() const { return node_; }
    [[nodiscard]] base::ByteArray<32> const& public_key() const { return node_.bytes; }

    [[nodiscard]] std::string to_text() const;  // base58btc of the multihash, 52 characters
    [[nodiscard]] base::ByteArray<peer_id_bytes> to_multihash() const;
    [[nodiscard]] base::ByteArray<public_key_protobuf_bytes> to_protobuf() const;

    // All three: Code::unsupported for another key type (RSA, secp256k1, hashed keys),
    // Code::invalid for anything that is not the one canonical encoding. parse takes base58btc
    // ("12D3KooW...") and CIDv1 base32 ("bafz...").
    static base::Result<PeerId> parse(std::string_view text);
    static base::Result<PeerId> from_multihash(base::ByteView bytes);
    static base::Result<PeerId> from_protobuf(base::ByteView bytes);

private:
    NodeId node_;
};

}  // namespace kith::identity

template <>
struct std::hash<kith::identity::PeerId> {
    std::size_t operator()(kith::identity::PeerId const& id) const {
        return kith::identity::hash_of(id.public_key());
    }
};
