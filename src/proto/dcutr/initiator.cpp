#include "proto/dcutr/initiator.h"

namespace kith::proto::dcutr {

using base::Code;
using base::fail;
using base::Instant;

Initiator::Initiator(Options options, std::vector<wire::Multiaddr> const& known, Instant now)
    : options_(std::move(options)) {
    auto listening = usable(options_.reach, known);
    if (listening.empty()) {
        attempt(now);
        return;
    }
    state_ = State::reversing;
    deadline_ = now + reverse_timeout;
    actions_.emplace_back(Dial{.to = std::move(listening), .manner = Manner::plain});
}

void Initiator::attempt(Instant now) {
    if (attempts_ == attempts_max) return give_up();
    ++attempts_;
    state_ = State::opening;
    deadline_ = now + answer_timeout;
    reader_ = wire::FrameReader(message_bytes_max);
    actions_.emplace_back(OpenStream{});
}

void Initiator::give_up() {
    state_ = State::over;
    actions_.clear();
    actions_.emplace_back(CancelDials{});
    actions_.emplace_back(GiveUp{});
}

void Initiator::on_opened(Instant now) {
    if (state_ != State::opening) return;
    state_ = State::asking;
    asked_ = now;
    deadline_ = now + answer_timeout;
    actions_.emplace_back(Send{frame(Connect{options_.own})});
}

base::Status Initiator::feed(base::ByteView bytes, Instant now) {
    while (!bytes.empty() && state_ != State::over) {
        auto const fed = [&]() -> base::Status {
            auto const next = KITH_TRY(reader_.next(bytes));
            return next ? on_message(*next, now) : base::Status{};
        }();
        if (fed) continue;
        give_up();
        return fed;
    }
    return {};
}

base::Status Initiator::on_message(base::ByteView bytes, Instant now) {
    auto const message = KITH_TRY(parse(bytes));
    auto const* connect = std::get_if<Connect>(&message);
    if (connect == nullptr || state_ != State::asking)
        return fail(Code::invalid, "dcutr: a message that was not asked for");
    targets_ = usable(options_.reach, connect->addresses);
    actions_.emplace_back(Send{frame(Sync{})});
    actions_.emplace_back(CloseStream{});
    state_ = State::waiting;
    deadline_ = now + (now - asked_) / 2;  // so at most half of answer_timeout
    return {};
}

void Initiator::on_stream_gone(Gone how, Instant now) {
    if (state_ != State::opening && state_ != State::asking) return;
    if (how == Gone::refused) return give_up();
    attempt(now);
}

void Initiator::on_dials_failed(Instant now) {
    // While both dial, the other may still come to us.
    if (state_ == State::reversing) attempt(now);
}

void Initiator::on_deadline(Instant now) {
    if (state_ == State::over || now < deadline_) return;
    if (state_ == State::waiting) {
        state_ = State::dialling;
        deadline_ = now + dial_timeout;
        if (!targets_.empty()) actions_.emplace_back(Dial{.to = targets_});
        return;
    }
    actions_.emplace_back(CancelDials{});
    attempt(now);
}

std::optional<Action> Initiator::poll_action() {
    if (actions_.empty()) return std::nullopt;
    auto action = std::move(actions_.front());
    actions_.pop_front();
    return action;
}

std::optional<Instant> Initiator::deadline() const {
    if (state_ == State::over) return std::nullopt;
    return deadline_;
}

}  // namespace kith::proto::dcutr
