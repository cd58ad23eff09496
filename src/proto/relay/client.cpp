#include "proto/relay/client.h"

#include <algorithm>

namespace kith::proto::relay {

using base::Code;
using base::fail;
using base::Instant;
using base::Result;

base::Bytes HopRequest::connect(identity::PeerId const& target) {
    return frame_hop(Connect{.peer = target, .limit = {}});
}

Result<std::optional<Answer>> HopRequest::feed(base::ByteView& in) {
    auto const frame = KITH_TRY(reader_.next(in));
    if (!frame) return std::optional<Answer>();
    auto message = KITH_TRY(parse_hop(*frame));
    auto* const answer = std::get_if<Answer>(&message);
    if (answer == nullptr) return fail(Code::invalid, "relay: a request came instead of an answer");
    if (answer->status == Status::ok) return std::optional(std::move(*answer));
    auto const code =
        answer->status == Status::permission_denied ? Code::forbidden : Code::unavailable;
    return fail(code, std::string(status_sentence(answer->status)));
}

Result<std::optional<Connect>> StopAnswer::feed(base::ByteView& in) {
    auto const frame = KITH_TRY(reader_.next(in));
    if (!frame) return std::optional<Connect>();
    auto message = KITH_TRY(parse_stop(*frame));
    auto* const connect = std::get_if<Connect>(&message);
    if (connect == nullptr)
        return fail(Code::invalid, "relay: an answer came instead of a request");
    return std::optional(std::move(*connect));
}

void ReservationKeeper::granted(Reservation reservation, identity::PeerId const& relay,
                                identity::PeerId const& self, Instant now,
                                base::UnixTime unix_now) {
    asking_ = false;
    // The difference is taken in seconds of the relay's choosing: a clock that is wrong there, or a
    // time beyond all years, must not overflow here.
    constexpr auto most =
        std::chrono::duration_cast<std::chrono::seconds>(reservation_lives_max).count();
    auto const at = base::seconds(reservation.expires);
    auto const since = std::max<std::int64_t>(0, base::seconds(unix_now));
    auto const lives = std::chrono::seconds(at <= since ? 0 : std::min(at - since, most));
    if (lives == std::chrono::seconds(0)) return failed(now);
    auto const voucher = open_voucher(reservation.voucher);
    if (!voucher || voucher->relay != relay || voucher->peer != self) reservation.voucher.clear();
    backoff_ = reservation_retry_first;
    expires_ = now + lives;
    due_ = now + std::max<base::Duration>(lives / 2, reservation_retry_first);
    reservation_ = std::move(reservation);
}

void ReservationKeeper::failed(Instant now) {
    asking_ = false;
    due_ = now + backoff_;
    backoff_ = std::min(backoff_ * 2, reservation_retry_max);
}

Reservation const* ReservationKeeper::held(Instant now) const {
    return reservation_ && now < expires_ ? &*reservation_ : nullptr;
}

std::optional<Instant> ReservationKeeper::deadline() const {
    std::optional<Instant> first;
    if (!asking_) first = due_;
    if (reservation_ && (!first || expires_ < *first)) first = expires_;
    return first;
}

bool ReservationKeeper::on_deadline(Instant now) {
    if (!reservation_ || now < expires_) return false;
    reservation_.reset();
    return true;
}

}  // namespace kith::proto::relay
