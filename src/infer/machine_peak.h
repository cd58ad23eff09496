// infer/machine_peak.h: what this machine could do at most, to hold the engine's speed against.
//
// Source: Williams, Waterman, Patterson, "Roofline" (2009): a computation is bounded by the bytes
// it must read or by the operations it must do, whichever takes longer.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "infer/kernels.h"
#include "ports/clock.h"

namespace kith::infer {

inline constexpr std::size_t peak_buffer_bytes = std::size_t{256} << 20U;  // past every cache

// Bytes per second that `threads` threads (1 to threads_count_max) read in order, each its own part
// of one buffer of peak_buffer_bytes: the best of some passes. Code::too_large when memory is
// refused, Code::internal when the clock stands still.
base::Result<double> read_bandwidth(std::size_t threads, ports::Clock const& clock);

// Operations per second (a product and a sum are two) of `threads` threads that multiply bytes and
// add them up to 32 bits with the instructions that the kernels of `isa` use, all in registers.
// Code::unsupported for instructions that do not run here.
base::Result<double> int8_peak(std::size_t threads, Isa isa, ports::Clock const& clock);

}  // namespace kith::infer
