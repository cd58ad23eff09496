// crypto/mldsa/core.h: the internal algorithms of FIPS 204 section 6, on the message
// representative mu. Only for mldsa65.cpp and the vector tests: the product signs through
// mldsa65.h, which binds a context string.
#pragma once

#include <optional>

#include "crypto/mldsa/encode.h"
#include "crypto/mldsa65.h"

namespace kith::crypto::mldsa {

using Representative = base::ByteArray<64>;  // mu
using ExpandedKey = Secret<mldsa65_expanded_key_bytes>;

// FIPS 204 appendix C: 814 tries fail together with probability below 2^-256; then signing fails
// closed.
inline constexpr unsigned attempts_max = 814;

// The rejection loop: calls attempt(kappa) with kappa = 0, l, 2 l, ... (algorithm 7 lines 10 and
// 31) until it returns a signature. Code::internal after `attempts` calls without one.
template <class Attempt>
base::Result<MlDsa65Signature> first_accepted(unsigned attempts, Attempt const& attempt) {
    static_assert(attempts_max * columns + columns <= UINT16_MAX);
    for (unsigned i = 0; i < attempts; ++i)
        if (auto accepted = attempt(static_cast<std::uint16_t>(i * columns))) return *accepted;
    return base::fail(base::Code::internal, "ML-DSA signing found no signature within its bound");
}

// Algorithm 6. Writes both keys.
void generate_key(MlDsa65Seed const& seed, MlDsa65PublicKey& public_key, ExpandedKey& expanded);

// mu = H(tr || message'): the pure interface puts 0 || context length || context in front of the
// message (algorithms 2 and 3), the internal one (algorithm 7) takes message' as it is.
base::ByteArray<64> public_key_hash(MlDsa65PublicKey const& public_key);  // tr
Representative represent(In<64> public_key_hash, base::ByteView prefix, base::ByteView context,
                         base::ByteView message);
base::Result<Representative> represent_pure(In<64> public_key_hash, base::ByteView context,
                                            base::ByteView message);
In<64> public_key_hash(ExpandedKey const& expanded);

// Algorithm 7 from line 7 on. Code::invalid: the expanded key has coefficients out of range.
// Code::internal: more than `attempts` tries.
base::Result<MlDsa65Signature> sign(ExpandedKey const& expanded, Representative const& mu,
                                    In<32> random, unsigned attempts = attempts_max);

// Algorithm 8 from line 8 on.
bool verify(MlDsa65PublicKey const& public_key, Representative const& mu, base::ByteView signature);

}  // namespace kith::crypto::mldsa
