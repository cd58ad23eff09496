// crypto/aead.h: ChaCha20-Poly1305 (RFC 8439) and AES-256-GCM (NIST SP 800-38D), 96-bit nonce,
// 128-bit tag at the end.
//
// One object per key: the key schedule is set up once and reused for every message. A (key, nonce)
// pair must never seal twice; who owns the key owns that rule. Neither algorithm commits to its
// key: the caller's header names exactly one key, nobody tries several (research: key commitment).
// Not thread-safe; wiped on destruction.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::crypto {

inline constexpr std::size_t aead_key_bytes = 32;
inline constexpr std::size_t aead_nonce_bytes = 12;
inline constexpr std::size_t aead_tag_bytes = 16;
inline constexpr std::size_t aead_plaintext_bytes_max = std::size_t{1} << 30;

using AeadKey = Secret<aead_key_bytes>;
using AeadNonce = base::ByteArray<aead_nonce_bytes>;

namespace detail {
struct CipherContext;
struct CipherContextDeleter {
    void operator()(CipherContext* context) const;
};
}  // namespace detail

class Aead {
public:
    // Writes ciphertext and tag to `out`, which has plaintext.size() + aead_tag_bytes bytes
    // (asserted). `out` may begin where `plaintext` begins (in place) but not overlap otherwise.
    // Code::too_large above aead_plaintext_bytes_max; Code::internal if the library fails.
    base::Status seal(AeadNonce const& nonce, base::ByteView associated_data,
                      base::ByteView plaintext, base::MutableByteView out);
    // Writes the plaintext to `out`, which has sealed.size() - aead_tag_bytes bytes (asserted when
    // `sealed` holds a tag at all). In place as above. Code::unauthorized: shorter than a tag, or
    // the tag is wrong; `out` is then all zero, never unverified plaintext.
    base::Status open(AeadNonce const& nonce, base::ByteView associated_data, base::ByteView sealed,
                      base::MutableByteView out);

protected:
    enum class Algorithm { chacha20_poly1305, aes_256_gcm };
    Aead(Algorithm algorithm, AeadKey const& key);

private:
    std::unique_ptr<detail::CipherContext, detail::CipherContextDeleter> context_;
};

class ChaCha20Poly1305 final : public Aead {
public:
    explicit ChaCha20Poly1305(AeadKey const& key) : Aead(Algorithm::chacha20_poly1305, key) {}
};

class Aes256Gcm final : public Aead {
public:
    explicit Aes256Gcm(AeadKey const& key) : Aead(Algorithm::aes_256_gcm, key) {}
};

}  // namespace kith::crypto
