// crypto/mlkem/core.h: ML-KEM-768 on expanded keys (FIPS 203 sections 5 and 6). Only for
// mlkem768.cpp and the vector tests.
#pragma once

#include "crypto/mlkem/poly.h"
#include "crypto/mlkem768.h"

namespace kith::crypto::mlkem {

using ExpandedKey = Secret<mlkem768_expanded_key_bytes>;

// Algorithm 16.
void generate_key(MlKem768Seed const& seed, MlKem768PublicKey& public_key, ExpandedKey& expanded);

// The checks of 7.2 (every coefficient below q) and 7.3 (the stored hash is that of the stored
// public key).
bool is_valid(MlKem768PublicKey const& public_key);
bool is_valid(ExpandedKey const& expanded);

// Algorithms 17 and 18; the keys have passed the checks above.
MlKem768Encapsulation encapsulate(MlKem768PublicKey const& public_key, In<32> random);
Secret<32> decapsulate(ExpandedKey const& expanded, MlKem768Ciphertext const& ciphertext);

}  // namespace kith::crypto::mlkem
