// proto/dcutr/initiator.h: the peer that was reached through the relay, and now looks for a direct
// way.
//
//   reversing --failed--> opening --opened--> asking --CONNECT--> waiting --half a round trip-->
//   dialling --failed--> opening (attempts_max in all) ... --> over: GiveUp
//   (reversing: an ordinary dial of where the other says it listens; skipped when that is nowhere)
//
// Each attempt has a stream of its own, as go, rust and js have it; the round trip is measured
// behind the agreement on the protocol, so that this does not distort it. When a direct connection
// stands, the owner drops the machine.
//
// Sans-IO: after each call drain poll_action(), then wait until deadline().
//
// Invariants: 1. at most attempts_max times CONNECT is sent. 2. no address is dialled that
// usable() leaves out. 3. after GiveUp nothing is asked for any more.
#pragma once

#include <deque>
#include <optional>

#include "proto/dcutr/message.h"
#include "wire/frame.h"

namespace kith::proto::dcutr {

struct Options {
    std::vector<wire::Multiaddr> own;                  // where we were seen, or may be reached
    wire::Reach reach = wire::Reach::private_network;  // of the addresses that the peer names
};

class Initiator {
public:
    // `known`: where the other says it listens.
    Initiator(Options options, std::vector<wire::Multiaddr> const& known, base::Instant now);

    void on_opened(base::Instant now);
    // Everything that came on the stream. An error is final: GiveUp stands in the queue; reset the
    // stream.
    base::Status feed(base::ByteView bytes, base::Instant now);
    enum class Gone { ended, refused };  // refused: the other does not speak the protocol
    void on_stream_gone(Gone how, base::Instant now);
    void on_dials_failed(base::Instant now);  // all of the last Dial
    void on_deadline(base::Instant now);

    std::optional<Action> poll_action();
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    [[nodiscard]] std::size_t attempts_count() const { return attempts_; }

private:
    enum class State { reversing, opening, asking, waiting, dialling, over };

    base::Status on_message(base::ByteView frame, base::Instant now);
    void attempt(base::Instant now);
    void give_up();

    Options options_;
    State state_ = State::opening;
    std::size_t attempts_ = 0;
    base::Instant asked_{};
    base::Instant deadline_{};
    std::vector<wire::Multiaddr> targets_;
    wire::FrameReader reader_{message_bytes_max};
    std::deque<Action> actions_;
};

}  // namespace kith::proto::dcutr
