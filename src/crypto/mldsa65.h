// crypto/mldsa65.h: ML-DSA-65 signatures (FIPS 204), pure interface, hedged.
//
// By libcrypto where the one that was loaded offers it, else in-tree, because Debian 12 has no
// library for it (provider.h). The in-tree code is constant time in the secret key and the message
// representative except for the number of rejections, which FIPS 204 treats as public; it works in
// fixed arrays. A context string separates uses of one key (identity/contexts.h); it is part of
// what is signed.
#pragma once

#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::crypto {

inline constexpr std::size_t mldsa65_public_key_bytes = 1952;
inline constexpr std::size_t mldsa65_expanded_key_bytes = 4032;
inline constexpr std::size_t mldsa65_signature_bytes = 3309;
inline constexpr std::size_t mldsa65_context_bytes_max = 255;

using MlDsa65PublicKey = base::ByteArray<mldsa65_public_key_bytes>;
using MlDsa65Signature = base::ByteArray<mldsa65_signature_bytes>;
using MlDsa65Seed = Secret<32>;

namespace mldsa {
class BackendKey;
}

class MlDsa65SigningKey {
public:
    // Expands the seed (FIPS 204 algorithm 6). Only the seed is ever stored, so every
    // implementation agrees.
    explicit MlDsa65SigningKey(MlDsa65Seed const& seed);
    ~MlDsa65SigningKey();
    MlDsa65SigningKey(MlDsa65SigningKey&&) noexcept;  // what was moved from may only be destroyed
    MlDsa65SigningKey& operator=(MlDsa65SigningKey&&) noexcept;

    [[nodiscard]] MlDsa65PublicKey const& public_key() const;

    // `random` is 32 fresh bytes (hedged signing): they protect against faults, a repeat is not
    // fatal. Code::invalid: context above mldsa65_context_bytes_max. Code::internal: the rejection
    // loop found nothing within its bound, which for an honest key has probability below 2^-256, or
    // the library failed. May be called from several threads at once.
    [[nodiscard]] base::Result<MlDsa65Signature> sign(base::ByteView message,
                                                      base::ByteView context,
                                                      Secret<32> const& random) const;

private:
    std::unique_ptr<mldsa::BackendKey> key_;
};

// False for a wrong signature, a signature of another length, a context above
// mldsa65_context_bytes_max, and when the library fails.
[[nodiscard]] bool mldsa65_verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                                  base::ByteView context, base::ByteView signature);

}  // namespace kith::crypto
