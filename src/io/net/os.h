// io/net/os.h: the operating system's generator and clock behind the ports.
#pragma once

#include "ports/clock.h"
#include "ports/rng.h"

namespace kith::io {

// getrandom(2) from the kernel's pool; blocks only before the pool is seeded at boot. Code::io when
// it fails.
class OsRng final : public ports::Rng {
public:
    base::Status fill(base::MutableByteView out) override;
};

// CLOCK_BOOTTIME (counts through suspend, so a laptop's lease does not outlive its sleep) and
// CLOCK_REALTIME.
class OsClock final : public ports::Clock {
public:
    base::Instant now() const override;
    base::UnixTime unix_now() const override;
};

}  // namespace kith::io
