// node/peer_channel.h: the Tier 1 session with one member over one stream (/kith/peer/1.0.0):
// handshakes, keys, frames.
//
// Composes the Noise handshake (IKpsk2: both static keys come from the members' signed bindings,
// the psk from the swarm secret, so an outsider, a thief of one key and somebody without the secret
// are all shut out) with proto/session.
//
// Stream: frames {varint size, body}; body[0] is 0x02 (EphemeralKeyExchange) or a sealed lane
// (0x10, 0x11).
//
//   initiator: new --start()--> offered --reply--> ready --10 min--> offered again, still ready
//   under the old key responder: new --offer--> installed --first sealed frame--> ready
//
// Sans-IO: bytes in, bytes out, randomness and time are arguments. Any error is final: the owner
// resets the stream.
#pragma once

#include <deque>
#include <optional>

#include "base/time.h"
#include "crypto/secret.h"
#include "identity/identity.h"
#include "proto/membership/member_list.h"
#include "proto/noise/handshake.h"
#include "proto/session/keyring.h"
#include "wire/frame.h"

namespace kith::node {

inline constexpr std::size_t tensor_bytes_max = 16 * 1024 * 1024;
inline constexpr std::size_t peer_frame_bytes_max = tensor_bytes_max + 64 * 1024;
inline constexpr std::size_t channel_out_bytes_max =
    64 * 1024 * 1024;                                    // sealed but not yet taken by the link
inline constexpr std::size_t channel_waiting_max = 256;  // messages before the first key is ready
inline constexpr base::Duration handshake_timeout = std::chrono::seconds(10);
inline constexpr base::Duration offer_lives = std::chrono::seconds(60);  // S6

class PeerChannel {
public:
    struct Parties {
        identity::Identity const& self;  // outlives the channel
        proto::membership::SwarmId swarm_id;
        crypto::Secret<32> const& swarm_secret;  // outlives the channel
        identity::NodeId peer;
        crypto::X25519PublicKey peer_static;
    };
    PeerChannel(proto::session::Side side, Parties const& parties, base::Instant now);

    // Initiator: begins a handshake with a fresh ephemeral key (32 random bytes).
    base::Status start(crypto::Secret<32> const& ephemeral, base::Instant now);
    // `ephemeral` must be fresh for every call; it is used only when the bytes complete an offer.
    base::Status feed(base::ByteView bytes, crypto::Secret<32> const& ephemeral, base::Instant now);

    // Queues one message. Before the first key is ready up to channel_waiting_max wait.
    // Code::unavailable when the peer does not take what was sent before (channel_out_bytes_max).
    base::Status send(proto::session::Lane lane, base::Bytes plaintext);

    std::optional<proto::session::Opened> poll_message();
    // Stream bytes to send; the caller removes what the link took from the front with taken().
    [[nodiscard]] base::ByteView outgoing() const {
        return base::ByteView(out_).subspan(out_taken_);
    }
    void taken(std::size_t size);

    [[nodiscard]] bool ready() const { return keyring_.can_send(); }
    [[nodiscard]] bool rekey_due(base::Instant now) const;
    // Code::timeout: the handshake was not answered; drop the channel.
    base::Status on_deadline(base::Instant now);

private:
    struct Pending {  // an offer of ours that waits for its answer
        std::uint32_t key_id = 0;
        proto::noise::HandshakeState handshake;
        base::Instant since;
    };

    base::Status on_frame(base::Bytes frame, crypto::Secret<32> const& ephemeral,
                          base::Instant now);
    base::Status on_exchange(base::ByteView body, crypto::Secret<32> const& ephemeral,
                             base::Instant now);
    base::Status on_offer(std::uint32_t key_id, base::ByteView message,
                          crypto::Secret<32> const& ephemeral, base::Instant now);
    base::Status on_answer(std::uint32_t key_id, base::ByteView message, base::Instant now);
    base::Result<proto::noise::HandshakeState> make_handshake(
        std::uint32_t key_id, crypto::Secret<32> const& ephemeral) const;
    base::Status install(std::uint32_t key_id, proto::noise::HandshakeState& handshake,
                         base::Instant now);
    void queue_exchange(std::uint32_t key_id, base::ByteView message);
    base::Status seal_now(proto::session::Lane lane, base::ByteView plaintext);
    base::Status flush_waiting();

    struct Waiting {
        proto::session::Lane lane;
        base::Bytes plaintext;
    };

    proto::session::Side side_;
    Parties parties_;
    proto::session::Keyring keyring_;
    std::optional<Pending> pending_;
    wire::FrameReader reader_;
    std::deque<Waiting> waiting_;
    std::deque<proto::session::Opened> opened_;
    base::Bytes out_;
    std::size_t out_taken_ = 0;
    base::Instant created_;
};

}  // namespace kith::node
