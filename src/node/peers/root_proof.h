// node/peers/root_proof.h: a member proves that its ML-DSA-65 root stands behind a session (DESIGN
// 5).
//
// The Noise handshake authenticates with X25519, which a quantum computer breaks; the root's
// signature over the handshake hash it does not. Each side of a session sends one as its first
// sealed frame (proto::session::Lane::proof), and another with the first new key after a day.
//
// Signed, with the context "kith/channel-auth/v1" (identity/contexts.h), big-endian:
//   "kith/channel-auth/v1" | swarm id 32 | part of the signer in the handshake u8 (1 initiator,
//   2 responder) | signer's root id 32 | peer's root id 32 | signer's node id 32 | peer's node id
//   32 | key id u32 | handshake hash 32
// So it is good for this pair, this direction and this handshake, and cannot be relayed into
// another (REQUIREMENTS 4, 6).
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "identity/identity.h"
#include "proto/membership/certificate.h"
#include "proto/session/keyring.h"

namespace kith::node {

struct RootProofSubject {
    proto::membership::SwarmId swarm_id{};
    proto::session::Side signer_side = proto::session::Side::initiator;
    identity::RootId signer_root;
    identity::RootId peer_root;
    identity::NodeId signer_node;
    identity::NodeId peer_node;
    std::uint32_t key_id = 0;
    base::ByteArray<32> handshake_hash{};
};

base::Bytes root_proof_statement(RootProofSubject const& subject);

// `random` is 32 fresh bytes (hedged signing).
base::Result<base::Bytes> make_root_proof(RootProofSubject const& subject,
                                          identity::Identity const& signer,
                                          crypto::Secret<32> const& random);
[[nodiscard]] bool check_root_proof(RootProofSubject const& subject,
                                    identity::RootPublicKey const& signer, base::ByteView proof);

}  // namespace kith::node
