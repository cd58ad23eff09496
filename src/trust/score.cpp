#include "trust/score.h"

#include <algorithm>

#include "base/sabotage.h"

namespace kith::trust {

Score Score::from_deviation(std::int64_t deviation) {
    if (!KITH_GUARD("S32.range", deviation >= -deviation_max && deviation <= deviation_max))
        return Score(deviation < 0 ? -deviation_max : deviation_max);
    return Score(deviation);
}

double Score::to_double() const {
    return static_cast<double>(deviation_max + deviation_) / static_cast<double>(score_unit);
}

Score Score::moved_by(std::int64_t step) const {
    auto const safe_step = std::clamp(step, -score_unit, score_unit);
    return from_deviation(deviation_ + safe_step);
}

Score Score::decayed(std::uint64_t cycles) const {
    auto deviation = deviation_;
    for (auto left = std::min(cycles, decay_cycles_max); left > 0 && deviation != 0; --left)
        deviation = deviation * decay_numerator / decay_denominator;
    return Score(deviation);
}

std::uint32_t balance_percentile(std::int64_t balance, std::span<std::int64_t const> balances) {
    if (balances.empty()) return percentile_unit;
    auto const not_above = static_cast<std::uint64_t>(
        std::ranges::count_if(balances, [balance](auto other) { return other <= balance; }));
    return static_cast<std::uint32_t>(not_above * percentile_unit / balances.size());
}

std::uint32_t scheduling_weight(std::uint32_t balance_percentile, Score score) {
    std::uint64_t const percentile = std::min(balance_percentile, percentile_unit);
    // 0.5 + trust = 1 + deviation; in millionths, so that the product fits 64 bits.
    auto const factor = static_cast<std::uint64_t>(score_unit + score.deviation()) /
                        static_cast<std::uint64_t>(score_unit / percentile_unit);
    return static_cast<std::uint32_t>(percentile * factor / percentile_unit);
}

}  // namespace kith::trust
