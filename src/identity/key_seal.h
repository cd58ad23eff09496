// identity/key_seal.h: what protects the seeds in identity.key when its owner has set a passphrase:
// AES-256-GCM under a key that Argon2id makes of the passphrase.
//
// Kept by an Identity while it lives, so that new keys can be written without asking again. Without
// randomness of its own: the nonce is a keyed hash of all that is sealed, so the same nonce means
// the same file.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/password.h"
#include "crypto/secret.h"

namespace kith::identity {

inline constexpr std::size_t passphrase_bytes_min = 8;  // of a new one

struct IdentitySeeds {
    crypto::Secret<32> root;         // ML-DSA-65
    crypto::Secret<32> operational;  // Ed25519
    crypto::Secret<32> static_key;   // X25519 private key
};
inline constexpr std::size_t seeds_bytes = 96;
inline constexpr std::size_t sealed_seeds_bytes = seeds_bytes + crypto::aead_tag_bytes;

class KeySeal {
public:
    // Takes a second or so: see crypto::key_from_password for the errors.
    static base::Result<KeySeal> create(base::ByteView passphrase, crypto::PasswordSalt const& salt,
                                        crypto::PasswordCost cost);
    [[nodiscard]] KeySeal clone() const;

    [[nodiscard]] crypto::PasswordCost cost() const { return cost_; }
    [[nodiscard]] crypto::PasswordSalt const& salt() const { return salt_; }

    // For seeds under `head`, which is everything in the file that is not secret.
    [[nodiscard]] crypto::AeadNonce nonce_of(base::ByteView head, IdentitySeeds const& seeds) const;
    void seal(crypto::AeadNonce const& nonce, base::ByteView head, IdentitySeeds const& seeds,
              std::span<std::uint8_t, sealed_seeds_bytes> out) const;
    // Code::unauthorized: another passphrase, or not sealed under this head.
    [[nodiscard]] base::Result<IdentitySeeds> open(crypto::AeadNonce const& nonce,
                                                   base::ByteView head,
                                                   base::ByteView sealed) const;

private:
    KeySeal(crypto::Secret<32> sealing, crypto::Secret<32> naming, crypto::PasswordSalt const& salt,
            crypto::PasswordCost cost);

    crypto::Secret<32> sealing_;  // of AES-256-GCM
    crypto::Secret<32> naming_;   // of the hash that gives the nonce
    crypto::PasswordSalt salt_;
    crypto::PasswordCost cost_;
};

}  // namespace kith::identity
