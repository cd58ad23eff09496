#include "crypto/mlkem768.h"

#include "crypto/mlkem/backend.h"
#include "crypto/mlkem/core.h"
#include "crypto/provider.h"

namespace kith::crypto {
namespace {

mlkem::Backend const& backend() {
    switch (mlkem768_provider().provider) {
        case Provider::in_tree:
            return mlkem::in_tree();
        case Provider::libcrypto:
            return mlkem::libcrypto();
    }
    return mlkem::in_tree();
}

}  // namespace

MlKem768PrivateKey::MlKem768PrivateKey(MlKem768Seed const& seed)
    : seed_(seed.clone()), key_(backend().make_key(seed)) {
    // The in-tree code cannot fail here and gives the same key.
    if (!key_) key_ = mlkem::in_tree().make_key(seed);
}
MlKem768PrivateKey::~MlKem768PrivateKey() = default;
MlKem768PrivateKey::MlKem768PrivateKey(MlKem768PrivateKey&&) noexcept = default;
MlKem768PrivateKey& MlKem768PrivateKey::operator=(MlKem768PrivateKey&&) noexcept = default;

MlKem768PublicKey const& MlKem768PrivateKey::public_key() const {
    return key_->public_key();
}

Secret<32> MlKem768PrivateKey::decapsulate(MlKem768Ciphertext const& ciphertext) const {
    if (auto shared = key_->decapsulate(ciphertext)) return *std::move(shared);
    // A library that could not even answer, for want of memory for example: the same answer from
    // the in-tree code, because whoever calls cannot be told of an error without being told more
    // about the ciphertext than that.
    MlKem768PublicKey public_key;
    mlkem::ExpandedKey expanded;
    mlkem::generate_key(seed_, public_key, expanded);
    return mlkem::decapsulate(expanded, ciphertext);
}

base::Result<MlKem768Encapsulation> mlkem768_encapsulate(MlKem768PublicKey const& peer,
                                                         Secret<32> const& random) {
    if (!mlkem::is_valid(peer))
        return base::fail(base::Code::unauthorized, "peer sent a malformed ML-KEM key");
    return backend().encapsulate(peer, random);
}

}  // namespace kith::crypto
