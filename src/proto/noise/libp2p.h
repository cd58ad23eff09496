// proto/noise/libp2p.h: the secure channel of a libp2p connection: Noise_XX_25519_ChaChaPoly_SHA256
// with identity payloads (libp2p/specs noise/README.md, connections/inlined-muxer-negotiation.md).
//
// Every message is u16 length + at most 65535 bytes. Messages 2 and 3 carry NoiseHandshakePayload:
// the Ed25519 identity key and its signature over "noise-libp2p-static-key:" || static X25519 key.
// This is the one place where a peer id is proved.
//
//   dialer:    sent e ------> got e,ee,s,es + payload ------> sent s,se + payload: finished
//   listener:  got e  ------> sent e,ee,s,es + payload -----> got s,se + payload:  finished
//
// Sans-IO; errors are final and the machine must then be dropped.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "identity/peer_id.h"
#include "proto/noise/handshake.h"

namespace kith::proto::noise {

inline constexpr std::string_view libp2p_protocol = "/noise";
inline constexpr std::string_view signature_prefix = "noise-libp2p-static-key:";
inline constexpr std::size_t transport_plaintext_max = message_bytes_max - tag_bytes;  // 65519
inline constexpr std::size_t handshake_message_max = 4096;  // real ones are below 500 bytes
inline constexpr std::size_t muxers_max = 100;  // a longer list is ignored, as in go-libp2p
inline constexpr std::size_t muxer_chars_max = 128;

// What this machine presents: a static key of this process (never stored) and the proof that its
// identity owns it.
class Credentials {
public:
    // Signs what Credentials::to_sign(public key of static_key) returns with the identity's Ed25519
    // key. `identity_public_key` is the 32-byte Ed25519 key, `signature` its 64-byte signature.
    Credentials(PrivateKey static_key, identity::PeerId identity,
                crypto::Ed25519Signature signature);

    static base::Bytes to_sign(PublicKey const& static_key);

    [[nodiscard]] PrivateKey const& static_key() const { return static_key_; }
    // The NoiseHandshakePayload with our list of muxers (early muxer negotiation); an empty list is
    // not sent.
    [[nodiscard]] base::Bytes payload(std::vector<std::string> const& muxers) const;

private:
    PrivateKey static_key_;
    identity::PeerId identity_;
    crypto::Ed25519Signature signature_;
};

struct HandshakeOptions {
    Role role = Role::initiator;
    std::vector<std::string> muxers;  // in order of preference; empty: no early negotiation
    std::optional<identity::PeerId> expected_peer;  // refuse anybody else
};

struct HandshakeOutcome {
    Channel channel;
    identity::PeerId peer;
    PublicKey peer_static;  // the Noise key that the peer has signed
    std::optional<std::string>
        muxer;  // agreed inside the handshake; nullopt: negotiate it afterwards
};

class Libp2pHandshake {
public:
    // `credentials` must outlive the handshake. `ephemeral_key` is fresh for each.
    Libp2pHandshake(HandshakeOptions options, Credentials const& credentials,
                    PrivateKey const& ephemeral_key);

    // Consumes from the front of `in` up to the end of the handshake; what follows is transport
    // data and stays. Code::unauthorized: a signature, tag, key or expected peer is wrong;
    // Code::unsupported: the identity is not Ed25519, or both sides announced muxers and none is
    // shared.
    base::Status feed(base::ByteView& in);
    bool poll_transmit(base::Bytes& out);

    [[nodiscard]] bool is_finished() const;
    // Asserts is_finished() and that everything was transmitted; at most once.
    HandshakeOutcome take_outcome();

private:
    base::Status write_message(base::ByteView payload);
    base::Status on_message(base::ByteView message);
    base::Status on_payload(base::ByteView payload);
    base::Status choose_muxer(std::vector<std::string> const& theirs);

    HandshakeOptions options_;
    Credentials const& credentials_;
    HandshakeState state_;
    bool greeted_ = false;  // the listener has read message 1
    base::Bytes in_;        // an incomplete message with its length
    base::Bytes out_;
    std::optional<identity::PeerId> peer_;
    std::optional<std::string> muxer_;
};

// Transport framing after the handshake. seal_frames splits any amount of plaintext into u16 frames
// appended to `out`; Code::too_large: the key is used up.
base::Status seal_frames(CipherState& send, base::ByteView plaintext, base::Bytes& out);

// Collects transport frames and opens them.
class FrameOpener {
public:
    // Consumes all of `in`; appends the plaintext of every complete frame to `plaintext`.
    // Code::unauthorized: a frame is shorter than its tag or does not verify. Holds at most one
    // incomplete frame.
    base::Status feed(CipherState& receive, base::ByteView in, base::Bytes& plaintext);
    // Memory held; none between frames.
    [[nodiscard]] std::size_t buffer_bytes() const { return partial_.capacity(); }

private:
    base::Bytes partial_;
};

}  // namespace kith::proto::noise
