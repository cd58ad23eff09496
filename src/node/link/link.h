// node/link/link.h: one libp2p connection as one machine: multistream -> Noise -> (early muxer or
// multistream) -> yamux, and multistream again inside each stream. The only door from network bytes
// to an authenticated peer.
//
//   securing ------> handshake ------> muxing ------> up ------> failed (final; reason in error())
//   (agree /noise)   (Noise XX)        (agree yamux,             from any state: bad bytes, wrong
//   peer, time-out
//                                       skipped when early)
//
// Sans-IO: after each call drain poll_event() and poll_transmit(), then wait until deadline(). No
// stream event comes before LinkUp; nothing is dispatched, and no protocol name is answered, before
// the peer's identity is proved.
//
// Invariants: 1. AuthenticatedPeer exists only behind a verified Noise signature. 2. an inbound
// protocol is accepted only if the list set at that moment has it. 3. unanswered stream
// negotiations end after stream_timeout.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "identity/peer_id.h"
#include "proto/noise/libp2p.h"
#include "proto/yamux/session.h"

namespace kith::node {

inline constexpr std::size_t accepted_protocols_max = 64;
inline constexpr std::size_t idle_buffer_max = 4096;  // kept by a buffer that is not in use

enum class LinkRole { dialer, listener };
enum class Direction { inbound, outbound };
enum class EarlyMuxer {
    announce,
    off
};  // agree the muxer inside the Noise handshake: one round trip less
using StreamId = proto::yamux::StreamId;

// Proof that the other end of a connection owns the Ed25519 key of peer(). Only Link makes one.
class AuthenticatedPeer {
public:
    [[nodiscard]] identity::PeerId const& peer() const { return peer_; }
    // The Noise handshake hash: the same on both ends and different on every connection; binds
    // upper layers to it.
    [[nodiscard]] proto::noise::HandshakeHash const& channel() const { return channel_; }
    // The Noise key that the peer signed. A kith node draws one when it starts, so that two of one
    // peer are two processes.
    [[nodiscard]] proto::noise::PublicKey const& process_key() const { return process_key_; }

private:
    friend class Link;
    AuthenticatedPeer(identity::PeerId peer, proto::noise::HandshakeHash channel,
                      proto::noise::PublicKey process_key)
        : peer_(std::move(peer)), channel_(channel), process_key_(process_key) {}

    identity::PeerId peer_;
    proto::noise::HandshakeHash channel_;
    proto::noise::PublicKey process_key_;
};

struct LinkUp {
    AuthenticatedPeer peer;
};
// The protocol of a stream is agreed. Inbound: the peer opened it. Outbound: the answer to
// open_stream().
struct StreamOpened {
    StreamId id;
    std::string protocol;
    Direction direction;
};
struct StreamData {  // call consumed() when done with the bytes, or the peer's window stays shut
    StreamId id;
    base::Bytes bytes;
};
struct StreamEnded {  // the peer closed its half; ours may still send
    StreamId id;
};
struct StreamReset {  // both halves are gone. Code::unsupported: the peer refused the protocol
    StreamId id;
    base::Error reason;
};
struct StreamWritable {  // write() took less than offered; now there is room
    StreamId id;
};
using LinkEvent =
    std::variant<LinkUp, StreamOpened, StreamData, StreamEnded, StreamReset, StreamWritable>;

struct LinkOptions {
    LinkRole role = LinkRole::dialer;
    std::optional<identity::PeerId> expected_peer;  // a dialled link refuses anybody else
    std::vector<std::string> accepted_protocols;    // at most accepted_protocols_max
    EarlyMuxer early_muxer = EarlyMuxer::announce;
    base::Duration handshake_timeout = std::chrono::seconds(5);
    base::Duration stream_timeout = std::chrono::seconds(10);
};

class Link {
public:
    // `credentials` must outlive the link; `ephemeral_key` is fresh from the system generator, for
    // this link only.
    Link(LinkOptions options, proto::noise::Credentials const& credentials,
         proto::noise::PrivateKey const& ephemeral_key, base::Instant now);
    ~Link();
    Link(Link&&) noexcept;
    Link& operator=(Link&&) noexcept;

    // Takes all of `bytes`. An error is final: send what poll_transmit() still has, then close.
    // Codes: unauthorized (signature, expected peer, tampering), unsupported (no common protocol,
    // key type), invalid, too_large.
    base::Status feed(base::ByteView bytes, base::Instant now);
    // Code::timeout when the handshake budget is used up or the peer no longer answers; final as
    // well.
    base::Status on_deadline(base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    // Appends about 256 KiB at most; false: nothing to send now.
    bool poll_transmit(base::Bytes& out, base::Instant now);
    std::optional<LinkEvent> poll_event();

    [[nodiscard]] bool is_up() const;
    // To the peer and back, as last measured; nullopt before the first answer.
    [[nodiscard]] std::optional<base::Duration> round_trip() const;
    // Memory that buffers hold. Once everything was transmitted and no frame is half here: at most
    // 2 * idle_buffer_max, so that a host can keep many links that say little.
    [[nodiscard]] std::size_t buffer_bytes() const;
    // Replaces the list from now on; streams that are open stay open. Asserts
    // accepted_protocols_max.
    void set_accepted_protocols(std::vector<std::string> protocols);

    // Proposes `protocol` on a new stream. Data may be written at once: it travels behind the
    // proposal, and is lost with the stream if the peer refuses (StreamReset). Code::conflict
    // before LinkUp, too_large at a stream limit.
    base::Result<StreamId> open_stream(std::string protocol, base::Instant now);
    // Returns how many bytes were taken (backpressure, see StreamWritable); 0 for a stream that is
    // gone.
    std::size_t write(StreamId id, base::ByteView bytes);
    void close_write(StreamId id);
    void reset(StreamId id);  // no event follows for this stream
    void consumed(StreamId id, std::size_t size);

private:
    struct Impl;
    Impl& changing();  // whatever may move the deadline
    [[nodiscard]] std::optional<base::Instant> compute_deadline() const;

    std::unique_ptr<Impl> impl_;
    // Hosts ask all their links for this with each step: it is remembered until something changes.
    mutable std::optional<base::Instant> deadline_;
    mutable bool deadline_is_known_ = false;
};

}  // namespace kith::node
