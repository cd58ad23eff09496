// identity/ids.h: the four displays of an identity: NodeId and PeerId (operational key), RootId and
// Address (root).
//
// RootId is what code compares and signs; Address is for people, its 160 bits can be collided at
// 2^80 work.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/mldsa65.h"
#include "identity/node_id.h"
#include "identity/peer_id.h"

namespace kith::identity {

using RootPublicKey = crypto::MlDsa65PublicKey;

inline constexpr std::string_view root_id_tag = "kith/root-id/v1";

// SHA3-256("kith/root-id/v1" || root public key).
struct RootId {
    base::ByteArray<32> bytes{};

    std::strong_ordering operator<=>(RootId const&) const = default;

    static RootId of(RootPublicKey const& root);
    [[nodiscard]] std::string to_hex() const;
    static base::Result<RootId> parse(std::string_view hex);  // exactly 64 hex characters
};

inline constexpr std::uint8_t address_version = 0x21;  // base58check: all addresses begin with 'E'
inline constexpr std::size_t address_hash_bytes = 20;
inline constexpr std::size_t address_chars = 34;

// Base58Check(0x21 || RIPEMD160(SHA256(root public key))).
struct Address {
    base::ByteArray<address_hash_bytes> hash{};

    std::strong_ordering operator<=>(Address const&) const = default;

    static Address of(RootPublicKey const& root);
    [[nodiscard]] std::string to_text() const;
    // Code::invalid with what is wrong: length, character, checksum, version.
    static base::Result<Address> parse(std::string_view text);
};

// Base58Check as Bitcoin has it: base58(payload || first 4 bytes of SHA256(SHA256(payload))).
std::string to_base58check(base::ByteView payload);
base::Result<base::Bytes> from_base58check(std::string_view text);

}  // namespace kith::identity

template <>
struct std::hash<kith::identity::RootId> {
    std::size_t operator()(kith::identity::RootId const& id) const {
        return kith::identity::hash_of(id.bytes);
    }
};
template <>
struct std::hash<kith::identity::Address> {
    std::size_t operator()(kith::identity::Address const& address) const {
        return kith::identity::hash_of(address.hash);
    }
};
