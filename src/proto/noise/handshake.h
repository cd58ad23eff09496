// proto/noise/handshake.h: the Noise handshake machine (Noise revision 34, sections 5.2 and 5.3)
// for 25519 and SHA-256, any pattern of pattern.h, ChaChaPoly or AESGCM. Message framing and
// payload meaning are the caller's.
//
// With the modifier hfs (noise_hfs_spec, revision 1 of 2018, an unofficial extension) the handshake
// is hybrid: the initiator sends an ML-KEM-768 key (token e1), the responder encapsulates to it
// (ekem1), so that the channel holds as long as either X25519 or ML-KEM does. e1 and ekem1 travel
// like a static key (EncryptAndHash); ekem1 then mixes the shared secret into the key (MixKey). The
// protocol name says 25519+MLKEM768.
//
// Sans-IO, no randomness: static and ephemeral keys are arguments, so a transcript can be replayed.
// Ephemeral keys and KEM randomness must come fresh from the system generator for every handshake.
// Any error is final: the state is dead.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/mlkem768.h"
#include "crypto/secret.h"
#include "proto/noise/cipher_state.h"
#include "proto/noise/pattern.h"

namespace kith::proto::noise {

inline constexpr std::size_t message_bytes_max = 65535;  // section 3
inline constexpr std::size_t hash_bytes = 32;
inline constexpr std::size_t public_key_bytes = 32;
inline constexpr std::size_t psks_max = 2;

using PublicKey = base::ByteArray<public_key_bytes>;
using HandshakeHash = base::ByteArray<hash_bytes>;
using PrivateKey = crypto::Secret<32>;

enum class Role { initiator, responder };

// What a handshake starts from; which members must be set follows from the pattern (asserted: it is
// our own code that chooses). The secrets are copied into the state and wiped with it.
struct HandshakeKeys {
    PrivateKey const* static_key = nullptr;
    PrivateKey const* ephemeral_key = nullptr;
    std::optional<PublicKey> remote_static;  // known beforehand (IK, NK, KK, X initiator...)
    std::array<crypto::Secret<32> const*, psks_max> psks{};
    crypto::MlKem768Seed const* kem_seed = nullptr;  // hfs, initiator: of the key it sends
    crypto::Secret<32> const* kem_random = nullptr;  // hfs, responder: m of FIPS 203 7.2
};

// The two directions of the finished channel. For one-way patterns only the initiator's direction
// may be used.
struct Channel {
    CipherState send;
    CipherState receive;
    HandshakeHash handshake_hash;
};

// The same before it is bound to a cipher: for machines that number and seal their own messages
// (proto/session).
struct ChannelKeys {
    crypto::Secret<key_bytes> send;
    crypto::Secret<key_bytes> receive;
    HandshakeHash handshake_hash;
};

class HandshakeState {
public:
    HandshakeState(Role role, Pattern const& pattern, Cipher cipher, base::ByteView prologue,
                   HandshakeKeys const& keys);
    ~HandshakeState();
    HandshakeState(HandshakeState&&) noexcept;
    HandshakeState& operator=(HandshakeState&&) noexcept;

    // Appends the next handshake message, carrying `payload`, to `out`. Asserts that it is our
    // turn. Code::too_large: the message would exceed message_bytes_max. Code::unauthorized: a
    // Diffie-Hellman result was zero (the peer sent a point of small order), or the peer's ML-KEM
    // key is not reduced; there is no falling back to X25519 alone.
    base::Status write_message(base::ByteView payload, base::Bytes& out);
    // Reads the peer's next message and appends its payload to `payload`. Code::invalid: too short
    // or too long, or not the peer's turn. Code::unauthorized: a tag or a point is wrong. `payload`
    // counts only when this succeeded.
    base::Status read_message(base::ByteView message, base::Bytes& payload);

    [[nodiscard]] bool is_my_turn() const;
    [[nodiscard]] bool is_finished() const;
    // The peer's static public key, once received (or known); proven only when the handshake is
    // finished.
    [[nodiscard]] std::optional<PublicKey> remote_static() const;
    // The running hash h; after the handshake it is the channel binding (section 11.2).
    [[nodiscard]] HandshakeHash handshake_hash() const;

    // Asserts is_finished(); at most once. The handshake secrets are wiped.
    Channel split();
    // The raw keys instead; the same rules.
    ChannelKeys split_keys();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace kith::proto::noise
