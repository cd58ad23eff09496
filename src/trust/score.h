// trust/score.h: how much one peer is trusted, as an exact number, and what follows from it alone.
//
// A score is held as its distance from one half in parts of 10^12. Whole numbers, because the five
// steps (0.01, 0.02, 0.05, 0.10, 0.20) are then exact, two nodes that saw the same get the same
// score bit for bit, and there is no NaN that would pass every comparison. The one division, by
// decay, rounds toward one half: at most 10^-10 in all, since each later cycle shrinks it.
#pragma once

#include <compare>
#include <cstdint>
#include <span>

namespace kith::trust {

inline constexpr std::int64_t score_unit = 1'000'000'000'000;  // 1.0
inline constexpr std::int64_t deviation_max = score_unit / 2;  // S32: 0.0 to 1.0 around 0.5
inline constexpr std::uint32_t percentile_unit = 1'000'000;    // the top of all balances
inline constexpr std::int64_t decay_numerator = 99;            // S38: 1 % per health cycle
inline constexpr std::int64_t decay_denominator = 100;
inline constexpr std::uint64_t decay_cycles_max = 4000;  // after them every deviation is 0 (tested)

class Score {
public:
    Score() = default;  // 0.5, what somebody has of whom nothing is known (S32)
    // Clamped to the range; any number is safe.
    static Score from_deviation(std::int64_t deviation);

    [[nodiscard]] std::int64_t deviation() const { return deviation_; }
    [[nodiscard]] bool is_penalised() const { return deviation_ < 0; }
    // For people and JSON: 0.0 to 1.0, never NaN.
    [[nodiscard]] double to_double() const;

    [[nodiscard]] Score moved_by(std::int64_t step) const;
    [[nodiscard]] Score decayed(std::uint64_t cycles) const;

    auto operator<=>(Score const&) const = default;

private:
    explicit Score(std::int64_t deviation) : deviation_(deviation) {}
    std::int64_t deviation_ = 0;
};

// How many of `balances`, its own among them, are not above `balance`, in parts of percentile_unit:
// where all are equal each is at the top, and the lowest of n still has one n-th.
std::uint32_t balance_percentile(std::int64_t balance, std::span<std::int64_t const> balances);

// C14: how much a peer weighs when work is handed out: the percentile of its balance (0 to
// percentile_unit; larger is taken as that) times (0.5 + trust), in millionths: 0 to 1'500'000.
// Nobody's trust alone makes weight: without a balance the weight is 0.
std::uint32_t scheduling_weight(std::uint32_t balance_percentile, Score score);

}  // namespace kith::trust
