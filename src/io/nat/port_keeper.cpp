#include "io/nat/port_keeper.h"

#include <algorithm>

namespace kith::io {

using base::Instant;

std::optional<PortMapping> PortKeeper::poll_request(Instant now) {
    if (external_ && now >= expires_) external_.reset();
    if (asking_ || now < due_) return std::nullopt;
    asking_ = true;
    // The same one again, so that what was announced stays true.
    return PortMapping{
        .internal_port = port_, .external_port = external_.value_or(port_), .lease = mapping_lease};
}

void PortKeeper::on_answer(base::Result<PortMapping> answer, Instant now) {
    asking_ = false;
    bool const good = answer && answer->internal_port == port_ && answer->external_port != 0;
    if (!good) {
        due_ = now + backoff_;
        backoff_ = std::min(backoff_ * 2, mapping_retry_max);
        return;
    }
    auto const lease = answer->lease == base::Duration(0)
                           ? mapping_lease
                           : std::clamp(answer->lease, mapping_lease_min, mapping_lease_max);
    backoff_ = mapping_retry_first;
    external_ = answer->external_port;
    expires_ = now + lease;
    due_ = now + lease / 2;
}

std::optional<std::uint16_t> PortKeeper::external_port(Instant now) const {
    return external_ && now < expires_ ? external_ : std::nullopt;
}

std::optional<Instant> PortKeeper::deadline() const {
    std::optional<Instant> first;
    if (!asking_) first = due_;
    if (external_ && (!first || expires_ < *first)) first = expires_;
    return first;
}

}  // namespace kith::io
