// proto/membership/secret_wrap.h: the swarm secret under a key that only the token holds
// (REQUIREMENTS C1).
//
// Committing envelope after C2SP chunked-encryption: key || nonce || commitment =
// HKDF-Expand(HKDF-Extract(salt, wrap key), "kith/wrap/v1" || swarm_id); salt 24 random bytes.
// Layout: salt 24, commitment 32, ChaCha20-Poly1305(secret). The commitment is compared in constant
// time before anything is decrypted, so one blob never opens under two keys.
#pragma once

#include "crypto/secret.h"
#include "proto/membership/token.h"

namespace kith::proto::membership {

inline constexpr std::size_t wrapped_secret_bytes = 24 + 32 + 32 + 16;

base::Result<base::Bytes> wrap_secret(crypto::Secret<32> const& wrap_key, SwarmId const& swarm_id,
                                      crypto::Secret<32> const& secret,
                                      base::ByteArray<24> const& salt);
base::Result<crypto::Secret<32>> unwrap_secret(crypto::Secret<32> const& wrap_key,
                                               SwarmId const& swarm_id, base::ByteView wrapped);

}  // namespace kith::proto::membership
