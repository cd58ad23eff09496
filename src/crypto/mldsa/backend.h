// crypto/mldsa/backend.h: what somebody who computes ML-DSA-65 must be able to do. Private to
// crypto and its tests; callers use mldsa65.h.
#pragma once

#include <memory>

#include "crypto/mldsa65.h"

namespace kith::crypto::mldsa {

// A private key, expanded and ready. Safe to use from several threads at once.
class BackendKey {
public:
    virtual ~BackendKey() = default;
    [[nodiscard]] virtual MlDsa65PublicKey const& public_key() const = 0;
    // The context has at most mldsa65_context_bytes_max bytes. Code::internal when it cannot.
    [[nodiscard]] virtual base::Result<MlDsa65Signature> sign(base::ByteView message,
                                                              base::ByteView context,
                                                              Secret<32> const& random) const = 0;
};

class Backend {
public:
    virtual ~Backend() = default;
    [[nodiscard]] virtual bool is_offered() const = 0;
    // Null when it cannot.
    [[nodiscard]] virtual std::unique_ptr<BackendKey> make_key(MlDsa65Seed const& seed) const = 0;
    // False also when it cannot tell. The context is within its limit.
    [[nodiscard]] virtual bool verify(MlDsa65PublicKey const& public_key, base::ByteView message,
                                      base::ByteView context, base::ByteView signature) const = 0;
};

Backend const& in_tree();
Backend const& libcrypto();

// Key, hedged signature and verdicts for a fixed input are those of the official algorithm.
[[nodiscard]] bool passes_self_test(Backend const& backend);

}  // namespace kith::crypto::mldsa
