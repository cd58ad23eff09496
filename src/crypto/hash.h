// crypto/hash.h: SHA-256, SHA-512 (FIPS 180-4) and RIPEMD-160. SHA-3 is in keccak.h, BLAKE3 in
// blake3.h.
#pragma once

#include "base/bytes.h"

namespace kith::crypto {

inline constexpr std::size_t sha256_bytes = 32;
inline constexpr std::size_t sha512_bytes = 64;
inline constexpr std::size_t ripemd160_bytes = 20;

using Sha256Digest = base::ByteArray<sha256_bytes>;
using Sha512Digest = base::ByteArray<sha512_bytes>;
using Ripemd160Digest = base::ByteArray<ripemd160_bytes>;

// Incremental. May be copied to fork a running hash; wipes its state on destruction because keys
// pass through it.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256 const&) = default;
    Sha256& operator=(Sha256 const&) = default;

    Sha256& update(base::ByteView bytes);
    // The digest of all updates; the object is then as new.
    Sha256Digest finish();

private:
    alignas(8) base::ByteArray<112> state_;  // the library's context, checked by static_assert
};

Sha256Digest sha256(base::ByteView bytes);
Sha512Digest sha512(base::ByteView bytes);

// Only for addresses (Base58Check of a hash of a hash); nothing is authenticated by 160 bits.
Ripemd160Digest ripemd160(base::ByteView bytes);

}  // namespace kith::crypto
