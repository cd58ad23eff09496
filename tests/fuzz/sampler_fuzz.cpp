// Options, logits and a mask at random: what is chosen is a token that is allowed and finite, the
// same each time; and of stop strings: what is passed on is the text before the first of them.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "infer/sampler.h"

namespace {

using namespace kith::infer;
using kith::fuzz::FuzzInput;

constexpr std::size_t logits_max = 96;
constexpr std::size_t steps = 4;

void expect(bool holds) {
    if (!holds) std::abort();
}

// Mostly within its range, so that something happens.
float some(FuzzInput& input, float least, float most) {
    auto const which = input.byte();
    if (which == 0) return input.any_float();
    return least + (most - least) * static_cast<float>(which - 1) / 254.0F;
}

SamplerOptions options_of(FuzzInput& input) {
    SamplerOptions out{.temperature = some(input, 0, 2),
                       .top_k = input.byte() % 8U,
                       .top_p = some(input, 0, 1),
                       .min_p = some(input, 0, 1),
                       .seed = input.u32(),
                       .repetition_penalty = some(input, 0, 10),
                       .frequency_penalty = some(input, -2, 2),
                       .presence_penalty = some(input, -2, 2)};
    for (std::size_t i = input.byte() % 4; i > 0; --i)
        out.logit_bias.push_back({static_cast<TokenId>(input.u32()), some(input, -100, 100)});
    if (input.byte() % 2 == 1) out.top_logprobs = input.byte() % (top_logprobs_max + 2);
    return out;
}

void check_choice(Choice const& choice, std::vector<float> const& logits, TokenMask const* allowed,
                  SamplerOptions const& options) {
    expect(choice.token >= 0);
    auto const token = static_cast<std::size_t>(choice.token);
    expect(token < logits.size() && std::isfinite(logits[token]));
    expect(allowed == nullptr || is_allowed(*allowed, token));
    expect(choice.logprob.has_value() == options.top_logprobs.has_value());
    if (!options.top_logprobs) return;
    expect(choice.logprob->token == choice.token && choice.logprob->value <= 1e-5F);
    expect(choice.top.size() <= *options.top_logprobs);
    expect(std::ranges::is_sorted(choice.top, std::ranges::greater{}, &Logprob::value));
}

void sample(FuzzInput& input) {
    auto const options = options_of(input);
    std::vector<float> logits(1 + input.byte() % logits_max);
    bool const is_small = input.byte() % 2 == 0;
    for (auto& each : logits)
        each = is_small ? static_cast<float>(input.byte()) / 16 - 8 : input.any_float();
    TokenMask mask((logits.size() + 63) / 64);
    for (auto& word : mask) word = std::uint64_t{input.u32()} << 32U | input.u32();
    auto const* const allowed = input.byte() % 2 == 0 ? &mask : nullptr;
    std::vector<TokenId> prompt(input.byte() % 5);
    for (auto& token : prompt) token = static_cast<TokenId>(input.u16());

    auto first = Sampler::create(options);
    auto second = Sampler::create(options);
    expect(first.has_value() == second.has_value());
    if (!first) return;
    first->see(prompt);
    second->see(prompt);
    for (std::size_t i = 0; i < steps; ++i) {
        auto const one = first->choose(logits, allowed);
        auto const other = second->choose(logits, allowed);
        expect(one.has_value() == other.has_value());
        if (!one) {
            for (std::size_t token = 0; token < logits.size(); ++token)
                expect(!std::isfinite(logits[token]) ||
                       (allowed != nullptr && !is_allowed(*allowed, token)));
            return;
        }
        expect(one->token == other->token);
        check_choice(*one, logits, allowed, options);
    }
}

void stop(FuzzInput& input) {
    std::vector<std::string> stops(input.byte() % 4);
    for (auto& each : stops) each = input.text(input.byte() % 5);
    auto matcher = StopMatcher::create(stops);
    if (!matcher) return;
    std::string given;
    std::string passed;
    bool stopped = false;
    while (!input.is_empty() && !stopped) {
        auto const piece = input.text(1 + input.byte() % 4);
        given += piece;
        auto const out = matcher->push(piece);
        passed += out.text;
        stopped = out.stopped;
    }
    passed += matcher->finish();
    for (auto const& each : stops) expect(passed.find(each) == std::string::npos);
    expect(given.starts_with(passed));
    if (!stopped) return expect(passed == given);
    auto const behind = std::string_view(given).substr(passed.size());
    expect(std::ranges::any_of(stops, [&](auto const& each) { return behind.starts_with(each); }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    FuzzInput input(data, size);
    if (input.byte() % 2 == 0)
        sample(input);
    else
        stop(input);
    return 0;
}
