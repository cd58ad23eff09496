// proto/yamux/session.h: many streams over one ordered, reliable, authenticated connection: yamux
// as libp2p uses it (libp2p/specs yamux/README.md; deviations of real peers from research/libp2p.md
// section 3).
//
//   stream:   SYN sent or received -> open -> FIN one way -> FIN other way: closed (forgotten)
//                                         RST either way: closed at once, buffered data discarded
//   session:  open -> failed (error of feed or on_deadline, final)
//
// Sans-IO: after each call drain poll_event() and poll_transmit(), then wait until deadline(). Data
// bodies are passed on as they arrive. Credit returns to the peer only through consumed(), so a
// slow owner slows its peer.
//
// Invariants: 1. a peer never has more unconsumed bytes with us on a stream than the window we
// granted it.
// 2. we never send beyond the credit granted to us. 3. frames for unknown streams change nothing.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "proto/yamux/frame.h"

namespace kith::proto::yamux {

inline constexpr std::string_view protocol = "/yamux/1.0.0";
inline constexpr std::uint32_t window_initial =
    256 * 1024;  // fixed by the specification, both ways
inline constexpr std::uint32_t window_max = 4 * 1024 * 1024;  // of one stream, after tuning
inline constexpr std::uint32_t windows_total_max =
    16 * 1024 * 1024;  // tuning stops when all windows reach this
inline constexpr std::size_t received_total_max =
    32 * 1024 * 1024;                                       // unconsumed bytes of a connection
inline constexpr std::size_t send_buffer_max = 512 * 1024;  // per stream, not yet sent
inline constexpr std::size_t streams_inbound_max = 256;
inline constexpr std::size_t streams_outbound_max = 256;
inline constexpr std::size_t streams_unacknowledged_max =
    128;                                                // outbound, of the 256 peers must bear
inline constexpr std::size_t pongs_max = 32;            // queued answers to the peer's pings
inline constexpr std::size_t control_frames_max = 512;  // queued pongs, and refusals of new streams
inline constexpr std::size_t transmit_bytes_max = 256 * 1024;  // about, per poll_transmit
inline constexpr std::uint32_t data_body_max = 16 * 1024;  // of a frame we send: streams take turns
inline constexpr base::Duration ping_interval = std::chrono::seconds(30);  // of silence
inline constexpr base::Duration ping_timeout = std::chrono::seconds(15);

enum class Role { dialer, listener };  // odd and even stream ids
enum class StreamId : std::uint32_t {};

struct StreamOpened {  // by the peer
    StreamId id;
};
struct StreamData {
    StreamId id;
    base::Bytes bytes;
};
struct StreamEnded {  // the peer will send nothing more
    StreamId id;
};
struct StreamReset {  // gone, in both directions
    StreamId id;
    base::Error reason;
};
struct StreamWritable {  // write() took less than offered before; now there is room
    StreamId id;
};
using Event = std::variant<StreamOpened, StreamData, StreamEnded, StreamReset, StreamWritable>;

class Session {
public:
    Session(Role role, base::Instant now);

    // Takes all of `in`. An error is final: transmit what is left (it says GoAway), then close the
    // connection.
    base::Status feed(base::ByteView in, base::Instant now);
    void on_deadline(base::Instant now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    std::optional<Event> poll_event();
    // Appends frames, control frames first, streams in turn; false: nothing to send.
    bool poll_transmit(base::Bytes& out, base::Instant now);
    // Set once on_deadline found that the peer no longer answers pings.
    [[nodiscard]] bool is_silent() const { return silent_; }
    // Of the last ping that was answered; the first is sent at once, later ones after
    // ping_interval of silence.
    [[nodiscard]] std::optional<base::Duration> round_trip() const { return round_trip_; }

    // Code::too_large: streams_outbound_max or streams_unacknowledged_max; Code::unavailable: the
    // session failed.
    base::Result<StreamId> open();
    // Copies at most the free room of send_buffer_max; returns how much was taken, 0 for a stream
    // that is gone or closed for writing. When less than offered, StreamWritable follows once half
    // the buffer is free.
    std::size_t write(StreamId id, base::ByteView bytes);
    void close_write(
        StreamId id);  // FIN behind what was written; unknown ids are ignored, as below
    // RST; discards both directions; no event follows. Always takes effect. Until the RST is sent
    // the stream keeps its place among those of its direction, so that what waits here has their
    // limit.
    void reset(StreamId id);
    // The owner is done with `size` bytes of StreamData; more than were delivered is our bug
    // (asserted).
    void consumed(StreamId id, std::size_t size);
    [[nodiscard]] bool knows(StreamId id) const;
    [[nodiscard]] std::size_t streams_count() const { return streams_.size(); }
    // Memory of what waits to be sent; a stream that has nothing to send holds none.
    [[nodiscard]] std::size_t buffer_bytes() const;

private:
    struct Stream {
        std::uint32_t receive_window =
            window_initial;  // what the peer may have unconsumed, after tuning
        std::uint32_t receive_credit = window_initial;  // what it may still send now
        std::uint32_t unconsumed = 0;                   // delivered to the owner, not given back
        std::uint32_t send_credit = window_initial;
        base::Bytes send_buffer;
        std::size_t send_offset = 0;                // of send_buffer, already sent
        std::optional<base::Instant> updated_at;    // when credit was last given back
        std::uint16_t flags_pending = 0;            // SYN or ACK, on the next frame
        enum class Half { open, closing, closed };  // closing: FIN waits behind send_buffer
        Half send_half = Half::open;
        Half receive_half = Half::open;
        bool acknowledged = false;    // by the peer; inbound ones always
        bool update_pending = false;  // a WindowUpdate is due
        bool wants_writable = false;  // write() took less than offered
        bool queued = false;          // stands in ready_

        [[nodiscard]] std::size_t unsent() const { return send_buffer.size() - send_offset; }
        [[nodiscard]] bool has_frame() const;
    };
    using Streams = std::map<StreamId, Stream>;

    base::Status on_header(Header const& header, base::Instant now);
    base::Status on_stream_header(Header const& header);
    base::Status on_syn(Header const& header);
    base::Status on_ping(Header const& header, base::Instant now);
    base::Status on_credit(Streams::iterator stream, std::uint32_t credit);
    base::Status begin_body(Header const& header);
    base::Status on_body(base::ByteView part);
    void finish_body();
    base::Status queue_control(Header const& header);
    base::Status refuse(std::string sentence);
    void schedule(Streams::iterator stream);
    void forget_if_closed(Streams::iterator stream);
    void remove(Streams::iterator stream);
    void transmit_frame(Streams::iterator stream, base::Bytes& out, base::Instant now);
    void append_update(Streams::iterator stream, base::Bytes& out, base::Instant now);
    void grow_window(Stream& stream, base::Instant now);
    void send_ping(base::Instant now);
    [[nodiscard]] bool is_ours(StreamId id) const;
    [[nodiscard]] std::size_t& count_of(StreamId id);

    Role role_;
    std::uint32_t next_id_;
    Streams streams_;
    std::size_t inbound_count_ = 0, outbound_count_ = 0, unacknowledged_count_ = 0;
    std::deque<StreamId> ready_;  // streams with a frame to send, each once
    std::deque<Header> control_;
    std::set<StreamId> resets_;  // ours that wait to be sent; still in inbound_ or outbound_count_
    std::size_t pongs_count_ = 0;  // of control_
    std::deque<Event> events_;
    std::set<StreamId>
        ended_unseen_;  // inbound streams that are gone while the owner has events left
    base::ByteArray<header_bytes> header_{};
    std::size_t header_size_ = 0;  // of an incomplete header
    Header body_header_;
    std::uint32_t body_left_ = 0;  // of the Data frame being received
    std::uint64_t windows_total_ = 0;
    std::size_t received_total_ = 0;
    base::Instant heard_at_;
    std::optional<base::Instant> ping_sent_at_;
    std::uint32_t ping_value_ = 0;
    std::optional<base::Duration> round_trip_;
    bool failed_ = false, silent_ = false;
};

}  // namespace kith::proto::yamux
