// crypto/mldsa65.h: ML-DSA-65 signatures (FIPS 204), pure interface, hedged.
//
// In-tree: Debian 12 has no library for it. Constant time in the secret key and the message
// representative except for the number of rejections, which FIPS 204 treats as public. Fixed
// arrays, no heap. A context string separates uses of one key (identity/contexts.h); it is part of
// what is signed.
#pragma once

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

class MlDsa65SigningKey {
public:
    // Expands the seed (FIPS 204 algorithm 6). Only the seed is ever stored, so every
    // implementation agrees.
    explicit MlDsa65SigningKey(MlDsa65Seed const& seed);

    [[nodiscard]] MlDsa65PublicKey const& public_key() const { return public_key_; }

    // `random` is 32 fresh bytes (hedged signing): they protect against faults, a repeat is not
    // fatal. Code::invalid: context above mldsa65_context_bytes_max. Code::internal: the rejection
    // loop found nothing within its bound, which for an honest key has probability below 2^-256.
    [[nodiscard]] base::Result<MlDsa65Signature> sign(base::ByteView message,
                                                      base::ByteView context,
                                                      Secret<32> const& random) const;

private:
    MlDsa65PublicKey public_key_;
    Secret<mldsa65_expanded_key_bytes> expanded_;
};

// False for a wrong signature, a signature of another length, and a context above
// mldsa65_context_bytes_max.
[[nodiscard]] bool mldsa65_verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                                  base::ByteView context, base::ByteView signature);

}  // namespace kith::crypto
