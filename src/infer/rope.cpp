#include "infer/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kith::infer {
namespace {

// The pair that makes `turns` turns within the original context (yarn's equation 17, in pairs).
double pair_with_turns(Hparams const& h, double turns) {
    auto const context = static_cast<double>(h.rope_original_context);
    return static_cast<double>(h.rope_size) * std::log(context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(h.rope_base));
}

// How much of pair i's unscaled frequency remains: 1 for fast pairs, 0 for slow ones.
double unscaled_share(Hparams const& h, std::size_t i) {
    auto const last = static_cast<double>(h.rope_size - 1);
    auto const fast = std::max(0.0, std::floor(pair_with_turns(h, h.yarn_beta_fast)));
    auto const slow = std::min(last, std::ceil(pair_with_turns(h, h.yarn_beta_slow)));
    auto const ramp = (static_cast<double>(i) - fast) / std::max(0.001, slow - fast);
    return 1.0 - std::clamp(ramp, 0.0, 1.0);
}

RopeTable make_table(Hparams const& h, std::vector<float> const& divisors) {
    RopeTable out{.frequencies = {}, .magnitude = h.rope_magnitude};
    for (std::size_t i = 0; i < h.rope_size / 2; ++i) {
        auto const exponent = 2.0 * static_cast<double>(i) / static_cast<double>(h.rope_size);
        auto const plain = std::pow(h.rope_base, -exponent);
        auto frequency = plain / h.rope_scale;
        if (h.rope_scaling == RopeScaling::yarn) {
            auto const share = unscaled_share(h, i);
            frequency = frequency * (1 - share) + plain * share;
        }
        if (!divisors.empty()) frequency /= static_cast<double>(divisors[i]);
        out.frequencies.push_back(frequency);
    }
    if (h.rope_scaling == RopeScaling::yarn) out.magnitude *= 1 + 0.1 * std::log(h.rope_scale);
    return out;
}

}  // namespace

RopeTables make_rope_tables(Hparams const& hparams, RopeDivisors const& divisors) {
    RopeTables out{.usual = make_table(hparams, divisors.usual), .longer = {}, .windowed = {}};
    if (!divisors.longer.empty()) out.longer = make_table(hparams, divisors.longer);
    if (hparams.rope_base_windowed == 0) return out;
    auto windowed = hparams;  // nothing is scaled within a window
    windowed.rope_base = hparams.rope_base_windowed;
    windowed.rope_scale = 1;
    windowed.rope_scaling = RopeScaling::none;
    out.windowed = make_table(windowed, {});
    return out;
}

}  // namespace kith::infer
