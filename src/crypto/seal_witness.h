// crypto/seal_witness.h: lets a test see the (key, nonce) of everything that any Aead of the
// process seals, whatever layer it belongs to, to check from outside that no pair is used twice
// (tests/sim). In the product there is nothing of this.
#pragma once

#ifdef KITH_SABOTAGE

#include <cstdint>
#include <functional>

#include "crypto/aead.h"

namespace kith::crypto {

// `key`: a fingerprint of it, the same for the same key in every object. An Aead that is older than
// the witness shows nothing. Replaces the one before; an empty function ends it. Not thread-safe.
void set_seal_witness(std::function<void(std::uint64_t key, AeadNonce const& nonce)> witness);

// For Aead alone.
std::uint64_t witnessed_key(AeadKey const& key);
void witness_seal(std::uint64_t key, AeadNonce const& nonce);

}  // namespace kith::crypto

#endif
