#include "proto/ping/ping.h"

#include <algorithm>

#include "base/check.h"

namespace kith::proto::ping {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

Status Responder::feed(ByteView in) {
    if (buffer_.size() + in.size() > echo_backlog_max)
        return fail(Code::too_large, "peer sends pings faster than it takes the answers");
    base::append(buffer_, in);
    return {};
}

ByteView Responder::pending() const {
    return ByteView(buffer_).first(buffer_.size() - (position_ + buffer_.size()) % payload_bytes);
}

void Responder::sent(std::size_t size) {
    KITH_ASSERT(size <= buffer_.size());
    position_ = (position_ + size) % payload_bytes;
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(size));
}

Payload Requester::start(Payload const& payload, base::Instant now) {
    KITH_ASSERT(!is_waiting());
    payload_ = payload;
    received_ = 0;
    started_ = now;
    return payload_;
}

Result<std::optional<base::Duration>> Requester::feed(ByteView in, base::Instant now) {
    if (in.empty()) return std::nullopt;
    if (!started_ || in.size() > payload_bytes - received_)
        return fail(Code::invalid, "ping answer nobody asked for");
    auto const expected = ByteView(payload_).subspan(received_, in.size());
    if (!std::ranges::equal(expected, in))
        return fail(Code::invalid, "ping answer differs from the question");
    received_ += in.size();
    if (received_ < payload_bytes) return std::nullopt;
    auto const round_trip = now - *started_;
    started_.reset();
    return round_trip;
}

std::optional<base::Instant> Requester::deadline() const {
    if (!started_) return std::nullopt;
    return *started_ + timeout;
}

}  // namespace kith::proto::ping
