#include "crypto/ed25519.h"

#include <sodium.h>

#include "base/check.h"

namespace kith::crypto {

Ed25519KeyPair::Ed25519KeyPair(Secret<32> const& seed) {
    KITH_ASSERT(crypto_sign_ed25519_seed_keypair(
                    public_key_.data(), expanded_.mutable_view().data(), seed.view().data()) == 0);
}

Ed25519Signature Ed25519KeyPair::sign(base::ByteView message) const {
    Ed25519Signature out;
    KITH_ASSERT(crypto_sign_ed25519_detached(out.data(), nullptr, message.data(), message.size(),
                                             expanded_.view().data()) == 0);
    return out;
}

bool ed25519_verify(Ed25519PublicKey const& public_key, base::ByteView message,
                    Ed25519Signature const& signature) {
    return crypto_sign_ed25519_verify_detached(signature.data(), message.data(), message.size(),
                                               public_key.data()) == 0;
}

}  // namespace kith::crypto
