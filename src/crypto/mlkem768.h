// crypto/mlkem768.h: ML-KEM-768 key encapsulation (FIPS 203), the post-quantum half of the hybrid
// handshake.
//
// By libcrypto where the one that was loaded offers it, else in-tree, because Debian 12 has no
// library for it (provider.h). The in-tree code is constant time and works in fixed arrays. Only
// the seed of a private key is ever stored. Never used alone: the shared secret is mixed with that
// of X25519.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::crypto {

inline constexpr std::size_t mlkem768_public_key_bytes = 1184;
inline constexpr std::size_t mlkem768_expanded_key_bytes = 2400;
inline constexpr std::size_t mlkem768_ciphertext_bytes = 1088;

using MlKem768PublicKey = base::ByteArray<mlkem768_public_key_bytes>;
using MlKem768Ciphertext = base::ByteArray<mlkem768_ciphertext_bytes>;
using MlKem768Seed = Secret<64>;  // d || z of FIPS 203

namespace mlkem {
class BackendKey;
}

class MlKem768PrivateKey {
public:
    explicit MlKem768PrivateKey(MlKem768Seed const& seed);
    ~MlKem768PrivateKey();
    MlKem768PrivateKey(MlKem768PrivateKey&&) noexcept;  // what was moved from may only be destroyed
    MlKem768PrivateKey& operator=(MlKem768PrivateKey&&) noexcept;

    [[nodiscard]] MlKem768PublicKey const& public_key() const;
    // Never fails: a ciphertext that was not made for this key gives an unpredictable secret
    // (implicit rejection), and the handshake fails at its next tag.
    [[nodiscard]] Secret<32> decapsulate(MlKem768Ciphertext const& ciphertext) const;

private:
    MlKem768Seed seed_;
    std::unique_ptr<mlkem::BackendKey> key_;
};

struct MlKem768Encapsulation {
    MlKem768Ciphertext ciphertext;
    Secret<32> shared;
};

// `random` is 32 fresh bytes. Code::unauthorized: the peer's key holds a value that is not reduced
// modulo q (the check of FIPS 203 7.2); the handshake must then be dropped, never continued without
// the KEM. Code::internal: the library failed; drop it too.
base::Result<MlKem768Encapsulation> mlkem768_encapsulate(MlKem768PublicKey const& peer,
                                                         Secret<32> const& random);

}  // namespace kith::crypto
