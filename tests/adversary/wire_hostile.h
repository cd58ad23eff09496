// tests/adversary/wire_hostile.h: a peer that proves a genuine key and then keeps no rule of the
// protocols behind it: it seals any bytes it likes as yamux frames, sends frames that it did not
// seal, stops reading, and closes in the middle of a word. The connection up to there is our own
// (multistream, Noise XX); the muxer is written by hand, as an honest one asserts what is attacked.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ports/network_core.h"
#include "proto/multistream/negotiation.h"
#include "proto/noise/libp2p.h"
#include "proto/yamux/frame.h"
#include "swarm_bench.h"

namespace kith::adversary {

// Bytes that are allocated in this process now. With the bench's tape off it is what the machines
// hold, and what is on the way between them.
std::size_t heap_bytes();

class WirePeer final : public ports::NetworkCore {
public:
    // `identity` must outlive the peer. Each peer listens nowhere and has one link.
    WirePeer(SwarmBench& bench, identity::Identity const& identity, std::uint64_t seed = 7);
    ~WirePeer() override;
    WirePeer(WirePeer const&) = delete;
    WirePeer& operator=(WirePeer const&) = delete;

    Address address;

    void connect(Machine& to);  // CHECK(is_up()) says whether the link stands
    [[nodiscard]] bool is_up() const { return channel_.has_value() && !is_closed_; }
    [[nodiscard]] bool is_closed() const { return is_closed_; }  // by the machine
    // The machine's last word, when it was a GoAway: 1 is a protocol error.
    [[nodiscard]] std::optional<std::uint32_t> go_away() const { return go_away_; }

    // Each sends, and waits until nothing moves.
    void send(base::ByteView plaintext);     // in genuine Noise frames; any number of yamux frames
    void send_as_is(base::ByteView sealed);  // past Noise
    void close();
    // The same, and the end of file comes without a pause behind these bytes.
    void close_behind(base::ByteView plaintext);
    // Takes a genuine Noise frame of its own out of the channel; send_as_is() sends it.
    base::Bytes sealed(base::ByteView plaintext);
    // From here on nothing of the machine's arrives, although its TCP window is not at the end.
    void stop_reading();

    // A stream for `protocol` with `bytes` behind the proposal, in as few frames as the first
    // window allows; more than fits is dropped. Returns its id.
    std::uint32_t open(std::string_view protocol, base::ByteView bytes = {});
    void write(std::uint32_t stream, base::ByteView bytes);  // as much as the credit allows
    [[nodiscard]] std::uint32_t next_stream() const { return next_stream_; }

    struct Heard {
        base::Bytes bytes;  // heard_bytes_max at most
        std::uint32_t credit = 0;
        bool is_reset = false;
        bool is_ended = false;
    };
    // Of one stream, either side's. Asks for nothing that was not heard: then it is empty.
    [[nodiscard]] Heard heard(std::uint32_t stream) const;
    // The machine agreed to the protocol of a stream that open() made.
    [[nodiscard]] bool is_agreed(std::uint32_t stream, std::string_view protocol) const;
    bool gives_credit = true;  // for what it hears
    // Streams of the machine's: agreed to, and then these bytes are said on them.
    std::optional<base::Bytes> answer;
    std::vector<std::string> asked_of_us;    // protocols of such streams
    std::optional<std::size_t> hangs_up_at;  // instead of answering the stream with this index

    std::size_t heap_peak = 0;  // at each turn of the network since the last clear()
    void clear_peak() { heap_peak = 0; }

    // ports::NetworkCore
    void on_accepted(ports::ConnectionId, ports::SocketAddress, base::Instant) override {}
    void on_connected(ports::ConnectionId id, base::Instant now) override;
    void on_bytes(ports::ConnectionId id, base::ByteView bytes, base::Instant now) override;
    void on_closed(ports::ConnectionId id, base::Error reason, base::Instant now) override;
    void on_deadline(base::Instant) override {}
    bool poll_transmit(ports::ConnectionId id, base::Bytes& out, base::Instant now) override;
    std::optional<ports::NetworkOutput> poll_output() override;
    [[nodiscard]] std::optional<base::Instant> deadline() const override { return std::nullopt; }

private:
    void shake_hands(base::ByteView bytes);
    void hear(base::ByteView sealed);
    void on_frame(proto::yamux::Header const& header, base::ByteView body);
    void answer_stream(std::uint32_t stream);
    void queue(base::ByteView plaintext);
    void move();

    SwarmBench& bench_;
    SeededRng rng_;
    Address to_;
    ports::ConnectionId id_{2};
    proto::noise::Credentials credentials_;
    proto::noise::Libp2pHandshake handshake_;
    proto::multistream::Dialer security_;
    bool is_secured_ = false;  // Noise is agreed
    std::optional<proto::noise::Channel> channel_;
    proto::noise::FrameOpener opener_;
    base::Bytes plaintext_;  // heard, up to the end of the next yamux frame
    base::Bytes out_;
    std::deque<ports::NetworkOutput> outputs_;
    std::map<std::uint32_t, Heard> streams_;
    std::uint32_t next_stream_ = 1;
    bool is_closed_ = false;
    std::optional<std::uint32_t> go_away_;
};

// A yamux frame whose header may say anything about the body.
base::Bytes frame(proto::yamux::Header const& header, base::ByteView body = {});
// What a dialler says first on a stream.
base::Bytes proposal(std::string_view protocol);

}  // namespace kith::adversary
