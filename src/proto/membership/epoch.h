// proto/membership/epoch.h: the swarm secret that replaces the one a removed member knows (P19).
//
// Every removal begins an epoch with a fresh random secret. The operator's root signs which secret
// it is, and it is sealed to each remaining member's static X25519 key, so that it can be handed
// over by anybody, in a session or over a bare link.
//
// Signed by the operator's root (ML-DSA-65, context "kith/epoch/v1"): "kith/epoch/v1" || swarm_id
// || epoch u64 || commitment, where commitment = SHA-256("kith/epoch-commitment/v1" || swarm_id ||
// secret). Sealed: ephemeral X25519 public key 32, ChaCha20-Poly1305(secret) 48 with nonce 0, key =
// HKDF-SHA256(salt: ephemeral key || static key, input: X25519 of the two, info:
// "kith/epoch-seal/v1" || swarm_id || epoch || root id of the member).
//
// What the seal is worth: as much as X25519. Who records a hand-over outside a session and has a
// quantum computer later learns the secret of that epoch, as does who steals the member's static
// key. Sessions stay closed to both: the secret is only one of their three inputs
// (docs/protocol/session.md).
#pragma once

#include "crypto/secret.h"
#include "crypto/x25519.h"
#include "proto/membership/token.h"

namespace kith::proto::membership {

inline constexpr std::size_t sealed_epoch_bytes = 32 + 32 + 16;

struct EpochRecipient {
    SwarmId swarm_id{};
    std::uint64_t epoch = 0;  // 0 is the secret the swarm was founded with; it is never sealed
    identity::RootId root_id;
    crypto::X25519PublicKey static_key{};
};

// What the operator's root signs.
base::Bytes epoch_body(SwarmId const& swarm_id, std::uint64_t epoch,
                       crypto::Secret<32> const& secret);

// `ephemeral` is 32 fresh bytes. Code::unauthorized: the member's static key is of small order.
base::Result<base::Bytes> seal_epoch(EpochRecipient const& recipient,
                                     crypto::Secret<32> const& secret,
                                     crypto::X25519PrivateKey const& ephemeral);

struct SealedEpoch {
    base::ByteView signature;
    base::ByteView sealed;
};
// The member's side. Code::unauthorized: sealed for somebody else, or for another epoch, or not the
// secret that the operator signed. Whether the epoch is newer is the caller's question.
base::Result<crypto::Secret<32>> open_epoch(EpochRecipient const& self,
                                            crypto::X25519PrivateKey const& static_key,
                                            identity::RootPublicKey const& operator_root,
                                            SealedEpoch const& offered);

}  // namespace kith::proto::membership
