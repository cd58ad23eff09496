// base/time.h: time as an argument. Instant has no now(): a pure module cannot read a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace kith::base {

struct MonotonicTag {
    using rep = std::int64_t;
    using period = std::micro;
    using duration = std::chrono::duration<rep, period>;
    using time_point = std::chrono::time_point<MonotonicTag>;
    static constexpr bool is_steady = true;
};

using Duration = MonotonicTag::duration;                // microseconds
using Instant = std::chrono::time_point<MonotonicTag>;  // monotonic, origin unspecified

// Wall-clock seconds since 1970-01-01 UTC; only for what is signed and expires, never for timers.
enum class UnixTime : std::int64_t {};
constexpr std::int64_t seconds(UnixTime time) {
    return static_cast<std::int64_t>(time);
}

}  // namespace kith::base
