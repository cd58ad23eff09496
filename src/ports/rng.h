// ports/rng.h: where randomness comes from. io/ reads the kernel, sim/ replays a seed.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

namespace kith::ports {

class Rng {
public:
    virtual ~Rng() = default;
    // Fills all of `out` with bytes an attacker cannot predict, or fails; a failure must never be
    // ignored.
    virtual base::Status fill(base::MutableByteView out) = 0;
};

}  // namespace kith::ports
