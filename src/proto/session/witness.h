// proto/session/witness.h: lets a test see every frame that any Keyring of the process opens, to
// check from outside that none opens twice (tests/sim), and every key, to search memory for it
// afterwards (tests/adversary). In the product witness() and witness_keys() are nothing. What is
// sealed shows crypto/seal_witness.h.
#pragma once

#include "proto/session/keyring.h"

#ifdef KITH_SABOTAGE
#include <functional>
#endif

namespace kith::proto::session {

struct WitnessedFrame {
    // Names the end whose keys did it, together with `side`: no two handshakes share a hash unless
    // all their randomness was the same, and then their keys are the same too.
    base::ByteView handshake_hash;
    Side side;
    base::ByteView frame;  // header, ciphertext, tag
};

#ifdef KITH_SABOTAGE
// Replaces the one before; an empty function ends it. Not thread-safe: one simulation at a time.
void set_witness(std::function<void(WitnessedFrame const&)> witness);
void witness(WitnessedFrame const& frame);
// The same for the keys of every handshake that ends well.
void set_key_witness(std::function<void(KeyMaterial const&)> witness);
void witness_keys(KeyMaterial const& keys);
#else
inline void witness(WitnessedFrame const&) {}
inline void witness_keys(KeyMaterial const&) {}
#endif

}  // namespace kith::proto::session
