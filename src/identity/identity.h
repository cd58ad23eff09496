// identity/identity.h: what this machine is: root key, operational key, static key, and the current
// signed binding.
//
// Owns every long-term secret; they leave it only into identity.key (to_file_bytes) and, as a
// reference, into a handshake (static_private_key). Randomness comes as bytes. Not thread-safe to
// mutate; const use is.
#pragma once

#include <functional>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ed25519.h"
#include "crypto/mldsa65.h"
#include "crypto/secret.h"
#include "crypto/x25519.h"
#include "identity/binding.h"
#include "identity/ids.h"
#include "identity/key_file.h"

namespace kith::identity {

inline constexpr std::size_t identity_random_bytes = 128;  // three seeds and one signature

inline constexpr std::size_t rotation_random_bytes = 96;  // two seeds and one signature

// Asks for the passphrase of a file that has one. At most once for each file; an error of it ends
// the opening.
using AskPassphrase = std::function<base::Result<crypto::SecretBytes>()>;

class Identity {
public:
    // A new identity from fresh random bytes, with a binding of counter 1 valid from now.
    static base::Result<Identity> create(crypto::Secret<identity_random_bytes> const& random,
                                         base::UnixTime now);
    // From stored parts. Code::corrupt: the binding is not of these keys.
    static base::Result<Identity> restore(IdentitySeeds seeds, IdentityBinding binding);

    [[nodiscard]] IdentityBinding const& binding() const { return binding_; }
    [[nodiscard]] NodeId node_id() const { return NodeId{operational_.public_key()}; }
    [[nodiscard]] PeerId peer_id() const { return PeerId(operational_.public_key()); }
    [[nodiscard]] RootId const& root_id() const { return root_id_; }
    [[nodiscard]] Address const& address() const { return address_; }
    [[nodiscard]] RootPublicKey const& root_public_key() const { return root_.public_key(); }
    [[nodiscard]] crypto::Ed25519PublicKey const& operational_public_key() const {
        return operational_.public_key();
    }
    [[nodiscard]] crypto::X25519PublicKey const& static_public_key() const {
        return binding_.body.static_key;
    }
    // For the Tier 1 handshake; lives as long as the identity.
    [[nodiscard]] crypto::X25519PrivateKey const& static_private_key() const {
        return seeds_.static_key;
    }

    // Raw Ed25519 over `message`. The caller's message begins with a prefix of its own (a
    // protocol's, or one of identity/contexts.h).
    [[nodiscard]] crypto::Ed25519Signature sign_operational(base::ByteView message) const;
    // ML-DSA-65 with a context string of identity/contexts.h; `random` is 32 fresh bytes.
    [[nodiscard]] base::Result<crypto::MlDsa65Signature> sign_root(
        std::string_view context, base::ByteView message, crypto::Secret<32> const& random) const;

    // True when two thirds of the binding's time are over, or when it is not valid at `now` at all.
    [[nodiscard]] bool needs_renewal(base::UnixTime now) const;
    // The same keys under a new binding with the next counter; store the file before announcing it.
    // `known_counter`: the highest one others have seen; after a restored backup it may be above
    // this identity's own, and the new one goes above both.
    base::Status renew(base::UnixTime now, crypto::Secret<32> const& random,
                       std::uint64_t known_counter = 0);
    // New operational and static keys under the same root, and a binding with the next counter, so
    // that whoever knows the old keys is nobody. What was bound to the old keys has to begin anew.
    base::Status rotate(base::UnixTime now, crypto::Secret<rotation_random_bytes> const& random,
                        std::uint64_t known_counter = 0);

    // The content of identity.key (identity/key_file.h), sealed if a passphrase is set.
    [[nodiscard]] crypto::SecretBytes to_file_bytes() const;
    // Code::unauthorized: the file has a passphrase, and `ask` is empty or gave another one.
    static base::Result<Identity> from_file_bytes(base::ByteView bytes, AskPassphrase const& ask);

    // What protects the next file; nullopt: nothing.
    void set_seal(std::optional<KeySeal> seal) { seal_ = std::move(seal); }
    [[nodiscard]] bool has_seal() const { return seal_.has_value(); }
    [[nodiscard]] Identity clone() const;

private:
    Identity(IdentitySeeds seeds, IdentityBinding binding);

    IdentitySeeds seeds_;
    crypto::MlDsa65SigningKey root_;
    crypto::Ed25519KeyPair operational_;
    IdentityBinding binding_;
    RootId root_id_;
    Address address_;
    std::optional<KeySeal> seal_;
};

}  // namespace kith::identity
