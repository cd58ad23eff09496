#include "proto/membership/epoch.h"

#include "base/sabotage.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/mldsa65.h"
#include "identity/contexts.h"
#include "wire/reader.h"
#include "wire/writer.h"

namespace kith::proto::membership {

using base::Code;
using base::fail;

namespace {

crypto::Secret<32> seal_key(EpochRecipient const& recipient, crypto::X25519PublicKey const& sender,
                            crypto::Secret<32> const& shared) {
    wire::Writer salt;
    salt.bytes(sender).bytes(recipient.static_key);
    wire::Writer info;
    info.bytes(base::as_bytes("kith/epoch-seal/v1"))
        .bytes(recipient.swarm_id)
        .u64(recipient.epoch)
        .bytes(recipient.root_id.bytes);
    return crypto::hkdf_sha256<32>(salt.view(), shared.view(), info.view());
}

}  // namespace

base::Bytes epoch_body(SwarmId const& swarm_id, std::uint64_t epoch,
                       crypto::Secret<32> const& secret) {
    wire::Writer committed;
    committed.bytes(base::as_bytes("kith/epoch-commitment/v1"))
        .bytes(swarm_id)
        .bytes(secret.view());
    auto input = committed.take();
    auto const commitment = crypto::sha256(input);
    crypto::wipe(input);
    wire::Writer writer;
    writer.bytes(base::as_bytes(identity::context::epoch))
        .bytes(swarm_id)
        .u64(epoch)
        .bytes(commitment);
    return writer.take();
}

base::Result<base::Bytes> seal_epoch(EpochRecipient const& recipient,
                                     crypto::Secret<32> const& secret,
                                     crypto::X25519PrivateKey const& ephemeral) {
    auto const sender = crypto::x25519_public_key(ephemeral);
    auto const shared = KITH_TRY(crypto::x25519(ephemeral, recipient.static_key));
    crypto::ChaCha20Poly1305 cipher(seal_key(recipient, sender, shared));
    base::Bytes sealed(32 + 16);
    KITH_TRY(cipher.seal({}, {}, secret.view(), sealed));  // the key is used this once
    wire::Writer writer;
    writer.bytes(sender).bytes(sealed);
    return writer.take();
}

base::Result<crypto::Secret<32>> open_epoch(EpochRecipient const& self,
                                            crypto::X25519PrivateKey const& static_key,
                                            identity::RootPublicKey const& operator_root,
                                            SealedEpoch const& offered) {
    wire::Reader reader(offered.sealed);
    auto const sender = KITH_TRY(reader.array<32>());
    auto const sealed = KITH_TRY(reader.take(32 + 16));
    KITH_TRY(reader.expect_end());
    auto const shared = KITH_TRY(crypto::x25519(static_key, sender));
    crypto::ChaCha20Poly1305 cipher(seal_key(self, sender, shared));
    crypto::Secret<32> secret;
    KITH_TRY(cipher.open({}, {}, sealed, secret.mutable_view()));
    bool const signed_by_operator =
        crypto::mldsa65_verify(operator_root, epoch_body(self.swarm_id, self.epoch, secret),
                               base::as_bytes(identity::context::epoch), offered.signature);
    if (!KITH_GUARD("P19.epoch_signature", signed_by_operator))
        return fail(Code::unauthorized,
                    "a new secret of the swarm is not signed by its operator; it was not taken");
    return secret;
}

}  // namespace kith::proto::membership
