#include "crypto/mldsa65.h"

#include "base/sabotage.h"
#include "crypto/mldsa/backend.h"
#include "crypto/provider.h"

namespace kith::crypto {
namespace {

mldsa::Backend const& backend() {
    switch (mldsa65_provider().provider) {
        case Provider::in_tree:
            return mldsa::in_tree();
        case Provider::libcrypto:
            return mldsa::libcrypto();
    }
    return mldsa::in_tree();
}

}  // namespace

MlDsa65SigningKey::MlDsa65SigningKey(MlDsa65Seed const& seed) : key_(backend().make_key(seed)) {
    // The in-tree code cannot fail here and gives the same key.
    if (!key_) key_ = mldsa::in_tree().make_key(seed);
}
MlDsa65SigningKey::~MlDsa65SigningKey() = default;
MlDsa65SigningKey::MlDsa65SigningKey(MlDsa65SigningKey&&) noexcept = default;
MlDsa65SigningKey& MlDsa65SigningKey::operator=(MlDsa65SigningKey&&) noexcept = default;

MlDsa65PublicKey const& MlDsa65SigningKey::public_key() const {
    return key_->public_key();
}

base::Result<MlDsa65Signature> MlDsa65SigningKey::sign(base::ByteView message,
                                                       base::ByteView context,
                                                       Secret<32> const& random) const {
    if (context.size() > mldsa65_context_bytes_max)
        return base::fail(base::Code::invalid, "ML-DSA context string is longer than 255 bytes");
    return key_->sign(message, context, random);
}

bool mldsa65_verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                    base::ByteView context, base::ByteView signature) {
    bool const is_good = context.size() <= mldsa65_context_bytes_max &&
                         signature.size() == mldsa65_signature_bytes &&
                         backend().verify(public_key, message, context, signature);
    return KITH_GUARD("E2.signature", is_good);
}

}  // namespace kith::crypto
