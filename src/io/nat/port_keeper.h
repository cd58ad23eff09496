// io/nat/port_keeper.h: keeps one port of a router mapped to this machine: when to ask, what
// stands.
//
//   due -> asking -> held -> due at half of the lease
//                 -> due later and later, while the router refuses or there is none
//
// Sans-IO: the driver (port_forwarder.h) takes poll_request(), asks the router, and reports. What a
// router says about our outside address is not even in here: it may lie, or sit behind another one.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/time.h"

namespace kith::io {

inline constexpr base::Duration mapping_lease = std::chrono::hours(1);  // asked for
inline constexpr base::Duration mapping_lease_min =
    std::chrono::minutes(2);  // shorter is not kept up
inline constexpr base::Duration mapping_lease_max = std::chrono::hours(24);  // longer is cut
inline constexpr base::Duration mapping_retry_first = std::chrono::minutes(1);
inline constexpr base::Duration mapping_retry_max = std::chrono::hours(1);

struct PortMapping {
    std::uint16_t internal_port = 0;
    std::uint16_t external_port = 0;
    base::Duration lease{};  // 0 in an answer: for ever
    bool operator==(PortMapping const&) const = default;
};

class PortKeeper {
public:
    PortKeeper(std::uint16_t port, base::Instant now) : port_(port), due_(now) {}

    // What to ask the router for now; nothing while an answer is awaited.
    std::optional<PortMapping> poll_request(base::Instant now);
    // Code::invalid in the place of an answer that cannot be meant: port 0, another internal port.
    void on_answer(base::Result<PortMapping> answer, base::Instant now);
    // The port that others dial; nullopt: none stands.
    [[nodiscard]] std::optional<std::uint16_t> external_port(base::Instant now) const;
    // The next moment at which poll_request() or external_port() changes.
    [[nodiscard]] std::optional<base::Instant> deadline() const;

private:
    std::uint16_t port_;
    base::Instant due_;
    base::Duration backoff_ = mapping_retry_first;
    bool asking_ = false;
    std::optional<std::uint16_t> external_;
    base::Instant expires_{};
};

}  // namespace kith::io
