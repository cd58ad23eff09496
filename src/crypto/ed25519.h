// crypto/ed25519.h: Ed25519 signatures (RFC 8032), with one rule for verification everywhere.
//
// The rule is libsodium's: S below the group order, no small-order R or public key, canonical
// encodings, cofactorless equation. Whatever is deduplicated, voted on or revoked by hash depends
// on all nodes having the same rule.
#pragma once

#include "base/bytes.h"
#include "crypto/secret.h"

namespace kith::crypto {

using Ed25519PublicKey = base::ByteArray<32>;
using Ed25519Signature = base::ByteArray<64>;

class Ed25519KeyPair {
public:
    explicit Ed25519KeyPair(Secret<32> const& seed);  // seed = the private key of RFC 8032

    [[nodiscard]] Ed25519PublicKey const& public_key() const { return public_key_; }
    [[nodiscard]] Ed25519Signature sign(base::ByteView message) const;  // deterministic

private:
    Ed25519PublicKey public_key_;
    Secret<64> expanded_;  // seed || public key, the library's form
};

[[nodiscard]] bool ed25519_verify(Ed25519PublicKey const& public_key, base::ByteView message,
                                  Ed25519Signature const& signature);

}  // namespace kith::crypto
