#include "crypto/x25519.h"

#include <sodium.h>

#include "base/check.h"
#include "base/declassify.h"

namespace kith::crypto {

X25519PublicKey x25519_public_key(X25519PrivateKey const& private_key) {
    X25519PublicKey out;
    KITH_ASSERT(crypto_scalarmult_curve25519_base(out.data(), private_key.view().data()) == 0);
    return out;
}

base::Result<Secret<32>> x25519(X25519PrivateKey const& private_key, X25519PublicKey const& peer) {
    Secret<32> shared;
    // Also refuses the listed points of small order before the multiplication.
    // That the secret would be zero is told to the peer, who chose it so.
    if (base::declassified(crypto_scalarmult_curve25519(
            shared.mutable_view().data(), private_key.view().data(), peer.data())) != 0)
        return base::fail(base::Code::unauthorized, "peer sent an X25519 key of small order");
    return shared;
}

}  // namespace kith::crypto
