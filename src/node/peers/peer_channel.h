// node/peers/peer_channel.h: the Tier 1 session with one member over one stream (/kith/peer/2.0.0):
// handshakes, keys, frames.
//
// Composes the hybrid Noise handshake (IKhfs+psk2 with ML-KEM-768: both static keys come from the
// members' signed bindings, the psk from the swarm secret and from the session's key before, so an
// outsider, a thief of one key, somebody without the secret and an eavesdropper with a quantum
// computer are all shut out), the proof of each side's root (node/peers/root_proof.h), and
// proto/session.
//
// Stream: frames {varint size, body}; body[0] is 0x02 (EphemeralKeyExchange) or a sealed lane
// (0x10, 0x11, 0x12).
//
//   new --offer or answer--> keyed --both roots proved--> ready --> gone (final: any error)
//
// A ready session is offered a new key after 10 minutes, and when half of the frames that a key may
// seal are used up; it stays ready under the old key until the new one is used.
//
// Either side may offer. The lower node id does so after rekey_after, the other one if nothing came
// by rekey_late. Of two offers that cross, the one of the lower node id counts. An offer that is
// not answered dies after offer_lives, with its ephemeral keys.
//
// Invariants: 1. no message is delivered, and none but proofs is sent, before the peer's root is
// proved for this stream. 2. every key exchange uses ephemeral keys drawn for it alone. 3. a
// session never goes on under a key older than key_age_max.
//
// Sans-IO: bytes in, bytes out, randomness and time are arguments. Any error is final: the owner
// resets the stream.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "base/time.h"
#include "crypto/secret.h"
#include "identity/identity.h"
#include "node/peers/root_proof.h"
#include "ports/rng.h"
#include "proto/membership/member_list.h"
#include "proto/noise/handshake.h"
#include "proto/session/keyring.h"
#include "wire/frame.h"

namespace kith::wire::v1 {
class EphemeralKeyExchange;
}

namespace kith::node {

inline constexpr std::size_t tensor_bytes_max = 16 * 1024 * 1024;
inline constexpr std::size_t peer_frame_bytes_max = tensor_bytes_max + 64 * 1024;
inline constexpr std::size_t channel_out_bytes_max =
    64 * 1024 * 1024;                                       // sealed but not yet taken by the link
inline constexpr std::size_t channel_waiting_max = 256;     // messages before the session is ready
inline constexpr std::uint32_t offers_per_minute_max = 16;  // accepted from a peer
inline constexpr base::Duration handshake_timeout = std::chrono::seconds(10);
inline constexpr base::Duration offer_lives = std::chrono::seconds(60);  // S6
inline constexpr base::Duration rekey_after = std::chrono::minutes(10);  // S2
inline constexpr base::Duration rekey_late = std::chrono::minutes(11);
inline constexpr base::Duration key_age_max = std::chrono::minutes(15);
inline constexpr base::Duration root_proof_every = std::chrono::hours(24);
inline constexpr base::Duration root_proof_age_max = std::chrono::hours(25);

class PeerChannel {
public:
    // What the signed member list says of the other end.
    struct PeerKeys {
        identity::NodeId node;
        crypto::X25519PublicKey static_key{};
        identity::RootPublicKey root{};
    };
    struct Parties {
        identity::Identity const& self;  // outlives the channel
        ports::Rng& rng;                 // outlives the channel
        proto::membership::SwarmId swarm_id;
        crypto::Secret<32> const& swarm_secret;  // outlives the channel
        PeerKeys peer;
        // At half of it, in any lane, a new key is offered.
        std::uint64_t frames_per_key_max = proto::session::frames_per_key_max;
    };
    PeerChannel(Parties const& parties, base::Instant now);

    // Begins a handshake; an offer of ours that still waits is given up. Fails only when the
    // generator does.
    base::Status offer(base::Instant now);
    base::Status feed(base::ByteView bytes, base::Instant now);

    // Queues one message. Before the session is ready up to channel_waiting_max wait.
    // Code::unavailable when the peer does not take what was sent before (channel_out_bytes_max).
    base::Status send(proto::session::Lane lane, base::Bytes plaintext);

    std::optional<proto::session::Opened> poll_message();
    // Key exchanges that named another sender, since this was last asked: they were dropped and
    // changed nothing (S21).
    std::size_t take_false_claims() { return std::exchange(false_claims_count_, 0); }
    // Stream bytes to send; the caller removes what the link took from the front with taken().
    [[nodiscard]] base::ByteView outgoing() const {
        return base::ByteView(out_).subspan(out_taken_);
    }
    void taken(std::size_t size);

    // A key stands, and the peer's root has proved itself.
    [[nodiscard]] bool ready() const;
    // offer() should be called.
    [[nodiscard]] bool rekey_due(base::Instant now) const;
    // Code::timeout: the handshake was not answered, or the session has gone stale; drop the
    // channel.
    base::Status on_deadline(base::Instant now);

private:
    struct Pending {  // an offer of ours that waits for its answer
        std::uint32_t key_id = 0;
        proto::noise::HandshakeState handshake;
        base::Instant since;
    };
    struct Waiting {
        proto::session::Lane lane;
        base::Bytes plaintext;
    };

    base::Status on_frame(base::Bytes frame, base::Instant now);
    base::Status on_opened(proto::session::Opened opened, base::Instant now);
    base::Status on_proof(proto::session::Opened const& opened, base::Instant now);
    base::Status on_exchange(base::ByteView body, base::Instant now);
    base::Status on_offer(wire::v1::EphemeralKeyExchange const& offer, base::Instant now);
    base::Status on_answer(wire::v1::EphemeralKeyExchange const& answer, base::Instant now);
    base::Result<proto::noise::HandshakeState> make_handshake(proto::noise::Role role,
                                                              std::uint32_t key_id,
                                                              std::uint32_t chained_key_id) const;
    [[nodiscard]] crypto::Secret<32> psk(crypto::Secret<32> const* chained) const;
    base::Status install(std::uint32_t key_id, proto::noise::HandshakeState& handshake,
                         proto::session::Side side, base::Instant now);
    base::Status on_key_usable(base::Instant now);
    base::Status send_proof(std::uint32_t key_id, base::Instant now);
    [[nodiscard]] RootProofSubject proof_subject(std::uint32_t key_id, bool by_self) const;
    // When on_deadline() or rekey_due() next has something to say, if nothing is said until then.
    [[nodiscard]] base::Instant quiet_until() const;
    [[nodiscard]] bool offers_first() const { return parties_.self.node_id() < parties_.peer.node; }
    [[nodiscard]] std::uint32_t next_key_id() const;
    [[nodiscard]] bool accepts_another_offer(base::Instant now);
    void queue_exchange(wire::v1::EphemeralKeyExchange const& exchange);
    void forget_old_offer(base::Instant now);
    base::Status seal_now(proto::session::Lane lane, base::ByteView plaintext);
    base::Status flush_waiting();

    Parties parties_;
    identity::RootId peer_root_id_;
    proto::session::Keyring keyring_;
    std::optional<Pending> pending_;
    std::uint32_t last_key_used_ = 0;  // the newest key that on_key_usable() has seen
    std::optional<base::Instant> own_proof_at_;
    std::optional<base::Instant> peer_proof_at_;
    std::uint32_t offers_count_ = 0;  // of the peer, since offers_since_
    base::Instant offers_since_;
    wire::FrameReader reader_;
    std::deque<Waiting> waiting_;
    std::deque<proto::session::Opened> opened_;
    std::size_t false_claims_count_ = 0;
    base::Bytes out_;
    std::size_t out_taken_ = 0;
    base::Instant quiet_until_;  // a node asks all its channels several times a second
    base::Instant created_;
};

}  // namespace kith::node
