#include "crypto/mldsa65.h"

#include "base/sabotage.h"
#include "crypto/mldsa/core.h"

namespace kith::crypto {

MlDsa65SigningKey::MlDsa65SigningKey(MlDsa65Seed const& seed) {
    mldsa::generate_key(seed, public_key_, expanded_);
}

base::Result<MlDsa65Signature> MlDsa65SigningKey::sign(base::ByteView message,
                                                       base::ByteView context,
                                                       Secret<32> const& random) const {
    auto const mu =
        KITH_TRY(mldsa::represent_pure(mldsa::public_key_hash(expanded_), context, message));
    return mldsa::sign(expanded_, mu, random.view());
}

bool mldsa65_verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                    base::ByteView context, base::ByteView signature) {
    auto const mu = mldsa::represent_pure(mldsa::public_key_hash(public_key), context, message);
    return KITH_GUARD("E2.signature", mu && mldsa::verify(public_key, *mu, signature));
}

}  // namespace kith::crypto
