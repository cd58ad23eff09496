// crypto/ed25519.h: Ed25519 signatures (RFC 8032), with one rule for verification everywhere.
//
// The rule is libsodium's. A signature R || S over M under A is good when
//   - S is below the group order (no second form of the same signature),
//   - A and R are encoded canonically and are not of small order,
//   - S B = R + H(R || A || M) A, without a factor of 8: a difference of small order is refused,
// and never otherwise. A or R may have a component of small order as long as the equation holds.
// Whatever is deduplicated, voted on or revoked by hash depends on all nodes having this one rule:
// ed25519_verify is the only verifier of the project (tools/tidy), and all 610 cases on which
// libraries disagree run in tests/vectors, against the rule and against libsodium's verdicts.
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
