// sim/clock.h: time of a simulation: one true time that the driver moves, and what each machine
// takes for the time: a monotonic clock that runs a little fast or slow and began anywhere, and a
// wall clock that may be wrong and jump.
#pragma once

#include "base/time.h"
#include "ports/clock.h"

namespace kith::sim {

// The true time; as a ports::Clock, the clock of a machine that has the true time.
class VirtualClock final : public ports::Clock {
public:
    [[nodiscard]] base::Instant now() const override { return now_; }
    [[nodiscard]] base::UnixTime unix_now() const override;
    void set(base::Instant now) { now_ = now; }

private:
    base::Instant now_{std::chrono::seconds(1000)};
};

// How the monotonic clock of one machine relates to true time: local = true + offset, and
// `drift_ppm` microseconds more for each second since `since`. Never goes back.
struct LocalTime {
    base::Instant since{};
    base::Duration offset{};
    std::int64_t drift_ppm = 0;  // -100'000 to 100'000

    [[nodiscard]] base::Instant at(base::Instant truth) const;
    // The first true time at which the local clock shows `local` or later.
    [[nodiscard]] base::Instant truth_at(base::Instant local) const;
};

// The clocks of one machine. `truth` outlives it.
class DriftingClock final : public ports::Clock {
public:
    DriftingClock(VirtualClock const& truth, LocalTime local) : truth_(truth), local_(local) {}
    [[nodiscard]] base::Instant now() const override { return local_.at(truth_.now()); }
    [[nodiscard]] base::UnixTime unix_now() const override;

    [[nodiscard]] LocalTime const& local() const { return local_; }
    void restart(LocalTime local) { local_ = local; }  // the machine booted
    void set_wall_error(std::chrono::seconds error) { wall_error_ = error; }

private:
    VirtualClock const& truth_;
    LocalTime local_;
    std::chrono::seconds wall_error_{0};
};

}  // namespace kith::sim
