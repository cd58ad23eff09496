// crypto/mlkem/backend.h: what somebody who computes ML-KEM-768 must be able to do. Private to
// crypto and its tests; callers use mlkem768.h.
#pragma once

#include <memory>

#include "crypto/mlkem768.h"

namespace kith::crypto::mlkem {

// A private key, expanded and ready. Safe to use from several threads at once.
class BackendKey {
public:
    virtual ~BackendKey() = default;
    [[nodiscard]] virtual MlKem768PublicKey const& public_key() const = 0;
    // Code::internal when it cannot; a ciphertext for another key is no error (implicit rejection).
    [[nodiscard]] virtual base::Result<Secret<32>> decapsulate(
        MlKem768Ciphertext const& ciphertext) const = 0;
};

class Backend {
public:
    virtual ~Backend() = default;
    [[nodiscard]] virtual bool is_offered() const = 0;
    // Null when it cannot.
    [[nodiscard]] virtual std::unique_ptr<BackendKey> make_key(MlKem768Seed const& seed) const = 0;
    // `peer` has passed the check of FIPS 203 7.2. Code::internal when it cannot.
    [[nodiscard]] virtual base::Result<MlKem768Encapsulation> encapsulate(
        MlKem768PublicKey const& peer, Secret<32> const& random) const = 0;
};

Backend const& in_tree();
Backend const& libcrypto();

// Keys, ciphertext, secret and the secret of an altered ciphertext for a fixed input are those of
// the official algorithm.
[[nodiscard]] bool passes_self_test(Backend const& backend);

}  // namespace kith::crypto::mlkem
