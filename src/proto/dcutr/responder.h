// proto/dcutr/responder.h: the peer that dialled through the relay, asked by the other to dial at
// the same moment. One machine for one stream.
//
//   listening --CONNECT--> told --SYNC--> dialling --CONNECT--> told ... (attempts_max in all)
//   any state --time-out--> over: GiveUp
//
// Some initiators go on with the same stream for the next attempt, as the specification has it,
// others open a new one.
//
// Sans-IO: after each call drain poll_action(), then wait until deadline().
//
// Invariants: 1. nothing is dialled before SYNC, and nothing that usable() leaves out. 2. at most
// attempts_max times Dial is asked for. 3. after GiveUp nothing is asked for any more.
#pragma once

#include <deque>
#include <optional>

#include "proto/dcutr/initiator.h"

namespace kith::proto::dcutr {

class Responder {
public:
    Responder(Options options, base::Instant now)
        : options_(std::move(options)), deadline_(now + answer_timeout) {}

    // As Initiator::feed.
    base::Status feed(base::ByteView bytes, base::Instant now);
    // Dials that are under way go on.
    void on_stream_gone();
    void on_deadline(base::Instant now);

    std::optional<Action> poll_action();
    [[nodiscard]] std::optional<base::Instant> deadline() const;

private:
    enum class State { listening, told, dialling, over };

    base::Status on_message(base::ByteView frame, base::Instant now);
    void give_up();

    Options options_;
    State state_ = State::listening;
    std::size_t attempts_ = 0;
    base::Instant deadline_;
    std::vector<wire::Multiaddr> targets_;
    wire::FrameReader reader_{message_bytes_max};
    std::deque<Action> actions_;
};

}  // namespace kith::proto::dcutr
