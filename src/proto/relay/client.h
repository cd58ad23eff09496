// proto/relay/client.h: the two other sides of circuit relay v2: asking a relay (hop), and being
// asked by one (stop). Each machine is for one stream; when it is finished the stream carries raw
// bytes, or is closed.
//
//   HopRequest:   request sent -> answer read: finished
//   StopAnswer:   CONNECT read -> accept() or refuse() says what to send
//   ReservationKeeper:  due -> asking -> held -> due at half of its time
//
// Sans-IO. Errors are final: reset the stream.
#pragma once

#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "proto/relay/message.h"
#include "wire/frame.h"

namespace kith::proto::relay {

inline constexpr base::Duration request_timeout = std::chrono::seconds(10);

class HopRequest {
public:
    explicit HopRequest(base::Instant now) : deadline_(now + request_timeout) {}

    // What to write when the stream is open.
    [[nodiscard]] static base::Bytes reserve() { return frame_hop(Reserve{}); }
    [[nodiscard]] static base::Bytes connect(identity::PeerId const& target);

    // Consumes from the front of `in` up to the end of the answer; what follows is raw and stays.
    // nullopt: more is needed. Code::forbidden or unavailable: the relay said no, with its reason
    // as sentence; invalid, too_large: it said nonsense.
    base::Result<std::optional<Answer>> feed(base::ByteView& in);
    [[nodiscard]] base::Instant deadline() const { return deadline_; }

private:
    wire::FrameReader reader_{message_bytes_max};
    base::Instant deadline_;
};

class StopAnswer {
public:
    explicit StopAnswer(base::Instant now) : deadline_(now + request_timeout) {}

    // As HopRequest::feed: who asks through the relay, once that is known.
    base::Result<std::optional<Connect>> feed(base::ByteView& in);
    [[nodiscard]] static base::Bytes accept() { return frame_stop(Answer{.status = Status::ok}); }
    [[nodiscard]] static base::Bytes refuse(Status status) {
        return frame_stop(Answer{.status = status});
    }
    [[nodiscard]] base::Instant deadline() const { return deadline_; }

private:
    wire::FrameReader reader_{message_bytes_max};
    base::Instant deadline_;
};

inline constexpr base::Duration reservation_retry_first = std::chrono::seconds(5);
inline constexpr base::Duration reservation_retry_max = std::chrono::minutes(10);
inline constexpr base::Duration reservation_lives_max = std::chrono::hours(24);  // longer is cut

// When to ask one relay for a reservation, and whether one stands.
class ReservationKeeper {
public:
    explicit ReservationKeeper(base::Instant now) : due_(now) {}

    // True when it is time to ask; asking() says that a request is under way.
    [[nodiscard]] bool is_due(base::Instant now) const { return !asking_ && now >= due_; }
    void asking() { asking_ = true; }
    // A voucher that does not name `self` and `relay` is dropped, the reservation kept.
    void granted(Reservation reservation, identity::PeerId const& relay,
                 identity::PeerId const& self, base::Instant now, base::UnixTime unix_now);
    void failed(base::Instant now);

    // nullptr: none stands at `now`.
    [[nodiscard]] Reservation const* held(base::Instant now) const;
    // The next change: time to ask, or the end of the reservation.
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    // Drops a reservation whose time is over; true when one was dropped.
    bool on_deadline(base::Instant now);

private:
    base::Instant due_;
    base::Duration backoff_ = reservation_retry_first;
    bool asking_ = false;
    std::optional<Reservation> reservation_;
    base::Instant expires_{};
};

}  // namespace kith::proto::relay
