#include "trust/score.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "trust/trust_manager.h"

using namespace kith::trust;

TEST_CASE(
    "S32: a score begins at one half and no row of ten thousand steps leads out of its range") {
    CHECK(Score().to_double() == 0.5);
    std::uint64_t const seed = 32;
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::int64_t const steps[] = {inference_success_step, valid_transaction_step,
                                  spot_check_fail_step, invalid_gossip_step,
                                  signature_violation_step};
    for (auto const bias : {0, 1, 2}) {  // all kinds, only upward, only downward
        Score score;
        for (int i = 0; i < 10'000; ++i) {
            auto const at = bias == 0 ? random() % 5 : bias == 1 ? random() % 2 : 2 + random() % 3;
            score = score.moved_by(steps[at]);
            if (random() % 7 == 0) score = score.decayed(random() % 3);
            CHECK(score.to_double() >= 0.0);
            CHECK(score.to_double() <= 1.0);
            CHECK_FALSE(std::isnan(score.to_double()));
        }
    }
}

TEST_CASE("S32: a step or deviation at the end of all numbers is clamped, not wrapped around") {
    using Limits = std::numeric_limits<std::int64_t>;
    CHECK(Score().moved_by(Limits::max()).to_double() == 1.0);
    CHECK(Score().moved_by(Limits::min()).to_double() == 0.0);
    CHECK(Score::from_deviation(Limits::max()).to_double() == 1.0);
    CHECK(Score::from_deviation(Limits::min()).to_double() == 0.0);
    CHECK(Score::from_deviation(deviation_max).deviation() == deviation_max);
    CHECK(Score::from_deviation(deviation_max + 1).deviation() == deviation_max);
}

TEST_CASE("S38: from 0.9 a score is 0.5 + 0.4 * 0.99^n after n cycles, from either side") {
    auto const high = Score::from_deviation(4 * score_unit / 10);
    auto const low = Score::from_deviation(-4 * score_unit / 10);
    for (std::uint64_t const n : {0U, 1U, 2U, 10U, 69U, 500U, 2880U}) {
        auto const expected = 0.4 * std::pow(0.99, static_cast<double>(n));
        CHECK(std::abs(high.decayed(n).to_double() - (0.5 + expected)) < 1e-9);
        CHECK(std::abs(low.decayed(n).to_double() - (0.5 - expected)) < 1e-9);
    }
    // One by one or all at once is the same to the last digit.
    auto step_by_step = high;
    for (int i = 0; i < 100; ++i) step_by_step = step_by_step.decayed(1);
    CHECK(step_by_step == high.decayed(100));
}

TEST_CASE("S38: decay ends at exactly one half, and any number of cycles takes bounded work") {
    for (auto const end : {deviation_max, -deviation_max}) {
        auto const score = Score::from_deviation(end);
        CHECK(score.decayed(decay_cycles_max) == Score());
        CHECK(score.decayed(std::numeric_limits<std::uint64_t>::max()) == Score());
    }
}

TEST_CASE("the weight in scheduling is the percentile of the balance times 0.5 + trust") {
    auto const best = Score::from_deviation(deviation_max);
    auto const worst = Score::from_deviation(-deviation_max);
    CHECK(scheduling_weight(percentile_unit, Score()) == 1'000'000);
    CHECK(scheduling_weight(percentile_unit, best) == 1'500'000);
    CHECK(scheduling_weight(percentile_unit, worst) == 500'000);
    CHECK(scheduling_weight(percentile_unit / 2, Score()) == 500'000);
    CHECK(scheduling_weight(0, best) == 0);
    CHECK(scheduling_weight(std::numeric_limits<std::uint32_t>::max(), best) == 1'500'000);
    // A better balance or more trust never weighs less.
    CHECK(scheduling_weight(300'000, Score()) < scheduling_weight(300'001, Score()));
    CHECK(scheduling_weight(300'000, Score()) < scheduling_weight(300'000, best));
}

TEST_CASE("C14: the percentile of a balance counts the balances that are not above it") {
    std::int64_t const equal[] = {0, 0, 0};
    CHECK(balance_percentile(0, equal) == percentile_unit);
    std::int64_t const mixed[] = {-5, 0, 0, 9};
    CHECK(balance_percentile(-5, mixed) == percentile_unit / 4);
    CHECK(balance_percentile(0, mixed) == percentile_unit / 4 * 3);
    CHECK(balance_percentile(9, mixed) == percentile_unit);
    CHECK(balance_percentile(0, {}) == percentile_unit);
}
