#include "crypto/mlkem768.h"

#include "crypto/mlkem/core.h"

namespace kith::crypto {

MlKem768PrivateKey::MlKem768PrivateKey(MlKem768Seed const& seed) {
    mlkem::generate_key(seed, public_key_, expanded_);
}

Secret<32> MlKem768PrivateKey::decapsulate(MlKem768Ciphertext const& ciphertext) const {
    return mlkem::decapsulate(expanded_, ciphertext);
}

base::Result<MlKem768Encapsulation> mlkem768_encapsulate(MlKem768PublicKey const& peer,
                                                         Secret<32> const& random) {
    if (!mlkem::is_valid(peer))
        return base::fail(base::Code::unauthorized, "peer sent a malformed ML-KEM key");
    return mlkem::encapsulate(peer, random.view());
}

}  // namespace kith::crypto
