// crypto/x25519.h: Diffie-Hellman on Curve25519 (RFC 7748).
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::crypto {

using X25519PublicKey = base::ByteArray<32>;
using X25519PrivateKey = Secret<32>;  // any 32 random bytes; clamped on use

X25519PublicKey x25519_public_key(X25519PrivateKey const& private_key);

// The raw shared secret; feed it to a KDF. Code::unauthorized when it is all zero, that is when the
// peer sent a point of small order (RFC 7748 6.1): such a peer contributes nothing and is refused.
base::Result<Secret<32>> x25519(X25519PrivateKey const& private_key, X25519PublicKey const& peer);

}  // namespace kith::crypto
