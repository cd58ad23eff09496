// ports/clock.h: where time comes from. Only drivers ask it; cores are told the time.
#pragma once

#include "base/time.h"

namespace kith::ports {

class Clock {
public:
    virtual ~Clock() = default;
    virtual base::Instant now() const = 0;        // monotonic, counts through suspend
    virtual base::UnixTime unix_now() const = 0;  // wall clock; may jump
};

}  // namespace kith::ports
