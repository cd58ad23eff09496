// Penalties, bias, logprobs and masks; the rest of the sampler is tested in tokenizer_test.cpp.
#include "infer/sampler.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace kith::infer {
namespace {

using base::Code;

Sampler sampler(SamplerOptions options) {
    return Sampler::create(std::move(options)).value();
}

TEST_CASE("frequency grows with each time a token was chosen, presence counts once") {
    std::vector<float> const logits = {3.0F, 2.5F, 0.0F};
    auto frequency = sampler({.frequency_penalty = 0.4F});
    std::vector<TokenId> chosen;
    for (int i = 0; i < 6; ++i) chosen.push_back(frequency.sample(logits).value());
    // 3.0, 2.6, then 2.2 < 2.5; 2.1 < 2.2; 1.8 < 2.1; 1.7 < 1.8
    CHECK(chosen == std::vector<TokenId>{0, 0, 1, 0, 1, 0});
    auto presence = sampler({.presence_penalty = 0.4F});
    for (int i = 0; i < 6; ++i) CHECK(presence.sample(logits).value() == 0);  // 2.6 stays ahead
    auto more = sampler({.presence_penalty = 0.6F});
    CHECK(more.sample(logits).value() == 0);
    CHECK(more.sample(logits).value() == 1);  // 2.4 < 2.5
    CHECK(more.sample(logits).value() == 0);  // 2.4 > 1.9
    auto reward = sampler({.frequency_penalty = -2.0F});
    CHECK(reward.sample(logits).value() == 0);
}

TEST_CASE("the repetition penalty counts the prompt and works on both signs") {
    std::vector<float> const logits = {2.0F, 1.5F, -1.0F};
    auto with_prompt = sampler({.repetition_penalty = 2.0F});
    std::vector<TokenId> const prompt = {0, 7, -1};  // ids outside are nobody's
    with_prompt.see(prompt);
    CHECK(with_prompt.sample(logits).value() == 1);  // 1.0 < 1.5
    CHECK(with_prompt.sample(logits).value() == 0);  // 1.0 > 0.75
    std::vector<float> const negative = {-1.0F, -1.5F};
    auto fresh = sampler({.repetition_penalty = 2.0F});
    CHECK(fresh.sample(negative).value() == 0);
    CHECK(fresh.sample(negative).value() == 1);  // -2.0 < -1.5
    auto off = sampler({});
    off.see(prompt);
    CHECK(off.sample(logits).value() == 0);
}

TEST_CASE("a bias is added, and takes tokens outside of the vocabulary as nobody's") {
    std::vector<float> const logits = {2.0F, 1.0F, 0.0F};
    CHECK(sampler({.logit_bias = {{2, 2.5F}}}).sample(logits).value() == 2);
    CHECK(sampler({.logit_bias = {{0, -100.0F}}}).sample(logits).value() == 1);
    CHECK(sampler({.logit_bias = {{99, 100.0F}, {-5, 100.0F}}}).sample(logits).value() == 0);
}

TEST_CASE("a finite logit stays one, whatever penalties and bias make of it") {
    constexpr auto most = std::numeric_limits<float>::max();
    std::vector<TokenId> const prompt = {0, 1};
    for (float const logit : {most, -most}) {
        std::vector<float> const logits = {logit, logit};
        for (float const penalty : {0.5F, 10.0F}) {
            auto penalised = sampler({.repetition_penalty = penalty});
            penalised.see(prompt);
            CHECK(penalised.sample(logits).has_value());
        }
        CHECK(sampler({.logit_bias = {{0, 100.0F}, {1, -100.0F}}}).sample(logits).has_value());
    }
    // What is not finite is not made so.
    auto nothing = sampler({.repetition_penalty = 2.0F});
    nothing.see(prompt);
    std::vector<float> const infinite(2, std::numeric_limits<float>::infinity());
    CHECK_FALSE(nothing.sample(infinite).has_value());
}

TEST_CASE("only allowed tokens are chosen, at any temperature") {
    std::vector<float> const logits = {9.0F, 1.0F, 0.5F, 8.0F};
    TokenMask const mask = {0b0110};
    CHECK(sampler({}).choose(logits, &mask).value().token == 1);
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        auto const token =
            sampler({.temperature = 2.0F, .seed = seed}).choose(logits, &mask).value().token;
        CHECK((token == 1 || token == 2));
    }
    TokenMask const none = {0};
    CHECK(sampler({}).choose(logits, &none).error().code == Code::invalid);
    TokenMask const shorter = {};
    CHECK(sampler({}).choose(logits, &shorter).error().code == Code::invalid);
}

TEST_CASE("logprobs are those of the model, whatever was done to the logits") {
    std::vector<float> const logits = {2.0F, 1.0F, 0.0F, -std::numeric_limits<float>::infinity()};
    auto const total = std::exp(2.0) + std::exp(1.0) + 1.0;
    auto const choice =
        sampler({.temperature = 0.5F, .top_k = 1, .logit_bias = {{1, 50.0F}}, .top_logprobs = 2})
            .choose(logits)
            .value();
    CHECK(choice.token == 1);
    REQUIRE(choice.logprob.has_value());
    CHECK(std::abs(static_cast<double>(choice.logprob->value) - (1.0 - std::log(total))) < 1e-6);
    REQUIRE(choice.top.size() == 2);
    CHECK(choice.top[0].token == 0);
    CHECK(choice.top[1].token == 1);
    CHECK(std::abs(static_cast<double>(choice.top[0].value) - (2.0 - std::log(total))) < 1e-6);
    CHECK_FALSE(sampler({}).choose(logits).value().logprob.has_value());
    auto const alone = sampler({.top_logprobs = 0}).choose(logits).value();
    CHECK(alone.logprob.has_value());
    CHECK(alone.top.empty());
    CHECK(sampler({.top_logprobs = 20}).choose(logits).value().top.size() == 3);
}

TEST_CASE("the new options are refused outside their ranges, and say whether they are plain") {
    auto const code = [](SamplerOptions options) {
        auto const out = Sampler::create(std::move(options));
        return out ? Code::internal : out.error().code;
    };
    auto const nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(code({.repetition_penalty = 0}) == Code::invalid);
    CHECK(code({.repetition_penalty = nan}) == Code::invalid);
    CHECK(code({.repetition_penalty = 10.5F}) == Code::invalid);
    CHECK(code({.frequency_penalty = 2.5F}) == Code::invalid);
    CHECK(code({.presence_penalty = nan}) == Code::invalid);
    CHECK(code({.logit_bias = {{0, 101.0F}}}) == Code::invalid);
    CHECK(code({.logit_bias = {{0, nan}}}) == Code::invalid);
    CHECK(code({.logit_bias = std::vector<LogitBias>(logit_biases_max)}) == Code::internal);
    CHECK(code({.logit_bias = std::vector<LogitBias>(logit_biases_max + 1)}) == Code::too_large);
    CHECK(code({.top_logprobs = top_logprobs_max}) == Code::internal);
    CHECK(code({.top_logprobs = top_logprobs_max + 1}) == Code::too_large);
    CHECK(SamplerOptions{.temperature = 1, .top_k = 5, .top_p = 0.5F, .seed = 3}.is_plain());
    CHECK_FALSE(SamplerOptions{.min_p = 0.1F}.is_plain());
    CHECK_FALSE(SamplerOptions{.presence_penalty = 0.1F}.is_plain());
    CHECK_FALSE(SamplerOptions{.top_logprobs = 0}.is_plain());
}

}  // namespace
}  // namespace kith::infer
