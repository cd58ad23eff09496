// sandbox/limits.h: resource limits of this process (setrlimit(2)).
#pragma once

#include <cstdint>

#include "base/result.h"

namespace kith::sandbox {

struct Limits {
    // Of all mappings, files included; 0: not limited. Memory past it is refused as if there were
    // none. Builds with a sanitizer ignore it: its shadow memory spans terabytes.
    std::uint64_t address_space_bytes_max = 0;
    // Descriptors from this number on cannot be made; those that are open stay. Ignored with a
    // sanitizer, which makes some of its own.
    std::uint64_t descriptors_max = 16;
    // Of processor time, after which the kernel ends the process; 0: not limited.
    std::uint64_t cpu_seconds_max = 0;
};

// Also: no core file, and no file grows (writing to pipes, sockets and mappings is free). Returns
// whether the address space is limited. Code::internal: the kernel refused.
base::Result<bool> set_limits(Limits const& limits);

}  // namespace kith::sandbox
