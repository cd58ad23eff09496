#include "sim/clock.h"

namespace kith::sim {

namespace {

constexpr std::int64_t unix_start = 1'800'000'000;
constexpr std::int64_t millionths = 1'000'000;

}  // namespace

base::UnixTime VirtualClock::unix_now() const {
    auto const since =
        std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch()).count();
    return base::UnixTime{unix_start + since};
}

base::Instant LocalTime::at(base::Instant truth) const {
    auto const gained = (truth - since).count() * drift_ppm / millionths;
    return truth + offset + base::Duration(gained);
}

base::Instant LocalTime::truth_at(base::Instant local) const {
    auto const shown = (local - offset - since).count();
    auto truth = since + base::Duration(shown * millionths / (millionths + drift_ppm));
    // Two roundings lie between: step to the first microsecond that shows it.
    while (at(truth) >= local) truth -= base::Duration(1);
    while (at(truth) < local) truth += base::Duration(1);
    return truth;
}

base::UnixTime DriftingClock::unix_now() const {
    return base::UnixTime{base::seconds(truth_.unix_now()) + wall_error_.count()};
}

}  // namespace kith::sim
