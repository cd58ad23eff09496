#include "proto/dcutr/responder.h"

namespace kith::proto::dcutr {

using base::Code;
using base::fail;
using base::Instant;

base::Status Responder::feed(base::ByteView bytes, Instant now) {
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

base::Status Responder::on_message(base::ByteView bytes, Instant now) {
    auto const message = KITH_TRY(parse(bytes));
    auto const* connect = std::get_if<Connect>(&message);
    bool const expected = (connect != nullptr) == (state_ != State::told);
    if (!expected) return fail(Code::invalid, "dcutr: a message out of turn");
    if (connect == nullptr) {
        state_ = State::dialling;
        deadline_ = now + dial_timeout;
        if (!targets_.empty()) actions_.emplace_back(Dial{.to = targets_});
        return {};
    }
    if (++attempts_ > attempts_max) return fail(Code::too_large, "dcutr: too many attempts");
    if (state_ == State::dialling) actions_.emplace_back(CancelDials{});
    targets_ = usable(options_.reach, connect->addresses);
    state_ = State::told;
    deadline_ = now + answer_timeout;
    actions_.emplace_back(Send{frame(Connect{options_.own})});
    return {};
}

void Responder::give_up() {
    state_ = State::over;
    actions_.clear();
    actions_.emplace_back(CancelDials{});
    actions_.emplace_back(GiveUp{});
}

void Responder::on_stream_gone() {
    if (state_ == State::listening || state_ == State::told) give_up();
}

void Responder::on_deadline(Instant now) {
    if (state_ != State::over && now >= deadline_) give_up();
}

std::optional<Action> Responder::poll_action() {
    if (actions_.empty()) return std::nullopt;
    auto action = std::move(actions_.front());
    actions_.pop_front();
    return action;
}

std::optional<Instant> Responder::deadline() const {
    if (state_ == State::over) return std::nullopt;
    return deadline_;
}

}  // namespace kith::proto::dcutr
