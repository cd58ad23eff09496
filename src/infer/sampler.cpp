#include "infer/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;

namespace {

// splitmix64 (Steele, Lea, Flood 2014): spreads a seed over the generator's state.
std::uint64_t splitmix64(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
}

constexpr double ln2 = 0.6931471805599453;
constexpr double exp_lowest = -700.0;  // below, a weight counts as 0

// exp for x <= 0, by range reduction and a Taylor polynomial: only + - * on doubles, so that every
// machine gets the same bits (libm's exp may differ in the last one). Relative error below 1e-15.
double exp_exactly(double x) {
    if (x < exp_lowest) return 0;
    double const n = std::floor(x / ln2 + 0.5);
    double const r = x - n * ln2;
    double sum = 1;
    for (int k = 18; k > 0; --k) sum = 1 + sum * r / k;
    return std::ldexp(sum, static_cast<int>(n));
}

}  // namespace

Xoshiro256::Xoshiro256(std::uint64_t seed) : state_{} {
    for (auto& word : state_) word = splitmix64(seed);
}

std::uint64_t Xoshiro256::next() {
    auto const result = std::rotl(state_[1] * 5, 7) * 9;
    auto const t = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
}

double Xoshiro256::next_unit() {
    return static_cast<double>(next() >> 11U) * 0x1p-53;
}

Result<Sampler> Sampler::create(SamplerOptions options) {
    // Written so that NaN fails.
    if (!(options.temperature >= 0 && options.temperature <= 100))
        return fail(Code::invalid, "temperature: 0 to 100");
    if (!(options.top_p > 0 && options.top_p <= 1)) return fail(Code::invalid, "top_p: 0 < p <= 1");
    if (!(options.min_p >= 0 && options.min_p < 1)) return fail(Code::invalid, "min_p: 0 <= p < 1");
    if (!(options.repetition_penalty > 0 && options.repetition_penalty <= 10))
        return fail(Code::invalid, "repetition_penalty: above 0 to 10");
    auto const is_penalty = [](float value) { return value >= -2 && value <= 2; };
    if (!is_penalty(options.frequency_penalty) || !is_penalty(options.presence_penalty))
        return fail(Code::invalid, "frequency_penalty and presence_penalty: -2 to 2");
    if (options.logit_bias.size() > logit_biases_max)
        return fail(Code::too_large, "logit_bias: more than 1024 tokens");
    for (auto const& entry : options.logit_bias)
        if (!(entry.bias >= -100 && entry.bias <= 100))
            return fail(Code::invalid, "logit_bias: -100 to 100");
    if (options.top_logprobs.value_or(0) > top_logprobs_max)
        return fail(Code::too_large, "top_logprobs: more than 20");
    return Sampler(std::move(options));
}

void Sampler::see(std::span<TokenId const> prompt) {
    if (options_.repetition_penalty == 1) return;
    for (auto const token : prompt) counts_.try_emplace(token, 0);
}

// Penalties and bias; the sum of the two last penalties as in OpenAI's API reference. A finite
// logit stays finite, or nothing might be left to choose.
void Sampler::adjust(std::span<float const> logits) {
    adjusted_.assign(logits.begin(), logits.end());
    auto const has = [&](TokenId token) {
        return token >= 0 && static_cast<std::size_t>(token) < adjusted_.size() &&
               std::isfinite(adjusted_[static_cast<std::size_t>(token)]);
    };
    constexpr auto most = std::numeric_limits<float>::max();
    for (auto const& [token, count] : counts_) {
        if (!has(token)) continue;
        auto& logit = adjusted_[static_cast<std::size_t>(token)];
        logit =
            logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
        if (count > 0)
            logit -=
                static_cast<float>(count) * options_.frequency_penalty + options_.presence_penalty;
        logit = std::clamp(logit, -most, most);
    }
    for (auto const& entry : options_.logit_bias)
        if (has(entry.token)) {
            auto& logit = adjusted_[static_cast<std::size_t>(entry.token)];
            logit = std::clamp(logit + entry.bias, -most, most);
        }
}

Result<TokenId> Sampler::sample(std::span<float const> logits) {
    return KITH_TRY(choose(logits)).token;
}

// log softmax of the logits as the model gave them.
void Sampler::report(std::span<float const> logits, Choice& choice) {
    candidates_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i)
        if (std::isfinite(logits[i])) candidates_.push_back({static_cast<TokenId>(i), logits[i]});
    auto const highest =
        static_cast<double>(std::ranges::max_element(candidates_, {}, &Candidate::logit)->logit);
    double total = 0;
    for (auto const& candidate : candidates_)
        total += exp_exactly(static_cast<double>(candidate.logit) - highest);
    auto const logprob = [&](TokenId token, float logit) {
        auto const value = static_cast<double>(logit) - highest - std::log(total);
        return Logprob{token, static_cast<float>(value)};
    };
    choice.logprob = logprob(choice.token, logits[static_cast<std::size_t>(choice.token)]);
    keep_likeliest(*options_.top_logprobs);
    for (auto const& candidate : candidates_)
        choice.top.push_back(logprob(candidate.token, candidate.logit));
}

Result<Choice> Sampler::choose(std::span<float const> logits, TokenMask const* allowed) {
    bool const has_penalties = options_.repetition_penalty != 1 ||
                               options_.frequency_penalty != 0 || options_.presence_penalty != 0;
    bool const is_adjusted = has_penalties || !options_.logit_bias.empty();
    if (is_adjusted) adjust(logits);
    auto const values = is_adjusted ? std::span<float const>(adjusted_) : logits;
    candidates_.clear();
    for (std::size_t i = 0; i < values.size(); ++i)
        if (std::isfinite(values[i]) && (allowed == nullptr || is_allowed(*allowed, i)))
            candidates_.push_back({static_cast<TokenId>(i), values[i]});
    if (candidates_.empty())
        return fail(Code::invalid, "no token that may follow has a finite logit");
    Choice choice;
    choice.token = options_.temperature == 0  // the first of equals: max_element keeps the earliest
                       ? std::ranges::max_element(candidates_, {}, &Candidate::logit)->token
                       : pick();
    if (has_penalties) ++counts_[choice.token];
    if (options_.top_logprobs) report(logits, choice);
    return choice;
}

// Leaves the candidates sorted: highest logit first, lowest id among equals.
void Sampler::keep_likeliest(std::size_t most) {
    auto const before = [](Candidate const& a, Candidate const& b) {
        return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
    };
    auto const count = std::min(most, candidates_.size());
    auto const middle = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
    std::partial_sort(candidates_.begin(), middle, candidates_.end(), before);
    candidates_.erase(middle, candidates_.end());
}

TokenId Sampler::pick() {
    keep_likeliest(options_.top_k == 0 ? candidates_.size() : options_.top_k);
    // Weights relative to the best candidate, whose weight is 1.
    weights_.clear();
    double total = 0;
    auto const temperature = static_cast<double>(options_.temperature);
    auto const highest = static_cast<double>(candidates_.front().logit);
    for (auto const& candidate : candidates_) {
        weights_.push_back(
            exp_exactly((static_cast<double>(candidate.logit) - highest) / temperature));
        total += weights_.back();
    }
    // top_p: the fewest that together reach the share; min_p: no less than a share of the best.
    double kept = 0;
    std::size_t count = 0;
    while (count < weights_.size()) {
        if (count > 0 && (kept >= static_cast<double>(options_.top_p) * total ||
                          weights_[count] < static_cast<double>(options_.min_p)))
            break;
        kept += weights_[count++];
    }
    double left = generator_.next_unit() * kept;
    for (std::size_t i = 0; i < count; ++i) {
        left -= weights_[i];
        if (left < 0) return candidates_[i].token;
    }
    return candidates_[count - 1].token;  // rounding
}

// ---- StopMatcher --------------------------------------------------------------------------------

Result<StopMatcher> StopMatcher::create(std::vector<std::string> stops) {
    if (stops.size() > stop_strings_max) return fail(Code::too_large, "too many stop strings");
    for (auto const& stop : stops) {
        if (stop.empty()) return fail(Code::invalid, "a stop string is empty");
        if (stop.size() > stop_string_bytes_max)
            return fail(Code::too_large, "a stop string is too long");
    }
    return StopMatcher(std::move(stops));
}

StopMatcher::Output StopMatcher::push(std::string_view text) {
    if (stopped_) return {.text = {}, .stopped = true};
    held_ += text;
    auto earliest = std::string::npos;
    for (auto const& stop : stops_) earliest = std::min(earliest, held_.find(stop));
    if (earliest != std::string::npos) {
        stopped_ = true;
        Output out{.text = held_.substr(0, earliest), .stopped = true};
        held_.clear();
        return out;
    }
    // Hold back the longest end that begins a stop string.
    std::size_t hold = 0;
    for (auto const& stop : stops_) {
        for (auto size = std::min(held_.size(), stop.size() - 1); size > hold; --size)
            if (held_.ends_with(std::string_view(stop).substr(0, size))) hold = size;
    }
    Output out{.text = held_.substr(0, held_.size() - hold), .stopped = false};
    held_.erase(0, held_.size() - hold);
    return out;
}

std::string StopMatcher::finish() {
    return std::exchange(held_, {});
}

}  // namespace kith::infer
