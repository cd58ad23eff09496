// proto/noise/cipher_state.h: one direction of an encrypted channel (Noise revision 34,
// section 5.1).
//
// Invariants: 1. a (key, nonce) pair seals at most once: the counter only grows, and sealing stops
// at 2^64-1, which the specification reserves. 2. the counter of open() moves only after a tag was
// verified. Wiped on destruction.
#pragma once

#include <cstdint>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/secret.h"

namespace kith::proto::noise {

enum class Cipher { chacha_poly, aes_gcm };

inline constexpr std::size_t key_bytes = 32;
inline constexpr std::size_t tag_bytes = 16;

class CipherState {
public:
    CipherState(Cipher cipher, crypto::Secret<key_bytes> const& key);

    // Appends ciphertext and tag of `plaintext` to `out`. Code::too_large: the counter is used up;
    // a new handshake is needed. `plaintext` must not lie in `out`.
    base::Status seal(base::ByteView associated_data, base::ByteView plaintext, base::Bytes& out);
    // Appends the plaintext of `sealed` to `out`. Code::unauthorized: shorter than a tag or the tag
    // is wrong; neither `out` nor the counter changed.
    base::Status open(base::ByteView associated_data, base::ByteView sealed, base::Bytes& out);

    // How many messages were sealed or opened so far: the next nonce.
    [[nodiscard]] std::uint64_t counter() const { return counter_; }
    // For transports that number messages themselves (UDP); the caller then owns invariant 1.
    void set_counter(std::uint64_t counter) { counter_ = counter; }

private:
    base::ByteArray<12> nonce() const;

    Cipher cipher_;
    std::variant<crypto::ChaCha20Poly1305, crypto::Aes256Gcm> aead_;
    std::uint64_t counter_ = 0;
};

}  // namespace kith::proto::noise
