#include "node/peers/root_proof.h"

#include "crypto/mldsa65.h"
#include "identity/contexts.h"
#include "wire/writer.h"

namespace kith::node {

base::Bytes root_proof_statement(RootProofSubject const& subject) {
    bool const initiator = subject.signer_side == proto::session::Side::initiator;
    wire::Writer statement;
    statement.bytes(base::as_bytes(identity::context::channel_auth))
        .bytes(subject.swarm_id)
        .u8(initiator ? 1 : 2)
        .bytes(subject.signer_root.bytes)
        .bytes(subject.peer_root.bytes)
        .bytes(subject.signer_node.bytes)
        .bytes(subject.peer_node.bytes)
        .u32(subject.key_id)
        .bytes(subject.handshake_hash);
    return base::to_bytes(statement.view());
}

base::Result<base::Bytes> make_root_proof(RootProofSubject const& subject,
                                          identity::Identity const& signer,
                                          crypto::Secret<32> const& random) {
    auto const signature = KITH_TRY(
        signer.sign_root(identity::context::channel_auth, root_proof_statement(subject), random));
    return base::to_bytes(signature);
}

bool check_root_proof(RootProofSubject const& subject, identity::RootPublicKey const& signer,
                      base::ByteView proof) {
    return crypto::mldsa65_verify(signer, root_proof_statement(subject),
                                  base::as_bytes(identity::context::channel_auth), proof);
}

}  // namespace kith::node
