// infer/sampler.h: picks the next token from logits, and finds stop strings in the answer.
//
// Own generator and own arithmetic: the same seed, options and logits give the same tokens on every
// machine.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "infer/hparams.h"

namespace kith::infer {

inline constexpr std::size_t stop_strings_max = 16;
inline constexpr std::size_t stop_string_bytes_max = 1024;

inline constexpr std::size_t logit_biases_max = 1024;
inline constexpr std::size_t top_logprobs_max = 20;

struct LogitBias {
    TokenId token = 0;
    float bias = 0;  // -100 to 100, added to the logit; ids outside of the vocabulary are ignored
};

// Applied in this order: repetition, frequency and presence penalty, bias, the tokens that are
// allowed at all, top_k, temperature, top_p, min_p.
struct SamplerOptions {
    float temperature = 0.0F;  // 0: greedy (the highest logit, lowest id among equals); at most 100
    std::size_t top_k = 0;     // 0: all
    float top_p = 1.0F;        // in (0, 1]; 1: all
    float min_p = 0.0F;        // in [0, 1); 0: all
    std::uint64_t seed = 0;
    // Of tokens of the prompt and the answer: positive logits are divided by it, negative ones
    // multiplied (Keskar et al. 2019, CTRL). Above 0 to 10; 1: off.
    float repetition_penalty = 1.0F;
    // Taken off the logit for each time, and once for any time, that the answer so far has the
    // token (OpenAI API reference). -2 to 2.
    float frequency_penalty = 0.0F;
    float presence_penalty = 0.0F;
    std::vector<LogitBias> logit_bias{};  // at most logit_biases_max
    // Of the likeliest tokens, how many to report with each choice; nullopt: no logprobs at all.
    std::optional<std::size_t> top_logprobs{};  // at most top_logprobs_max

    // Whether somebody who is told temperature, top_k, top_p and seed alone gives the same tokens.
    [[nodiscard]] bool is_plain() const {
        return min_p == 0 && repetition_penalty == 1 && frequency_penalty == 0 &&
               presence_penalty == 0 && logit_bias.empty() && !top_logprobs;
    }
};

// The natural logarithm of a token's probability, by the model alone: before penalties, bias, what
// is allowed and temperature.
struct Logprob {
    TokenId token = 0;
    float value = 0;
};

struct Choice {
    TokenId token = 0;
    std::optional<Logprob> logprob{};  // of the token, where top_logprobs are wanted
    std::vector<Logprob> top{};        // likeliest first
};

// Which tokens may follow: bit (id % 64) of word (id / 64).
using TokenMask = std::vector<std::uint64_t>;
inline bool is_allowed(TokenMask const& mask, std::size_t token) {
    return token / 64 < mask.size() && (mask[token / 64] >> (token % 64) & 1U) != 0;
}

// xoshiro256** 1.0 (Blackman, Vigna 2018), its state filled by splitmix64 from the seed.
class Xoshiro256 {
public:
    explicit Xoshiro256(std::uint64_t seed);
    std::uint64_t next();
    double next_unit();  // in [0, 1), a multiple of 2^-53

private:
    std::array<std::uint64_t, 4> state_;
};

class Sampler {
public:
    static base::Result<Sampler> create(
        SamplerOptions options);  // Code::invalid outside the ranges above

    // What stands before the answer; counts for the repetition penalty.
    void see(std::span<TokenId const> prompt);

    // Code::invalid when `logits` is empty or none that is allowed is finite; values that are not
    // finite are never chosen. The token counts for the penalties from then on. `allowed`: nullptr
    // for all.
    base::Result<Choice> choose(std::span<float const> logits, TokenMask const* allowed = nullptr);
    base::Result<TokenId> sample(std::span<float const> logits);

private:
    struct Candidate {
        TokenId token;
        float logit;
    };
    explicit Sampler(SamplerOptions options)
        : options_(std::move(options)), generator_(options_.seed) {}
    TokenId pick();
    void keep_likeliest(std::size_t most);
    void adjust(std::span<float const> logits);
    void report(std::span<float const> logits, Choice& choice);

    SamplerOptions options_;
    Xoshiro256 generator_;
    std::vector<Candidate> candidates_;  // kept between calls to spare the allocation
    std::vector<double> weights_;
    std::vector<float> adjusted_;                        // logits after penalties and bias
    std::unordered_map<TokenId, std::uint32_t> counts_;  // of the answer; 0: in the prompt alone
};

// Passes text on, holding back what could be the beginning of a stop string; the stop string itself
// and all after it are never passed on.
class StopMatcher {
public:
    // Code::invalid for an empty string, Code::too_large past the limits above.
    static base::Result<StopMatcher> create(std::vector<std::string> stops);

    struct Output {
        std::string text;
        bool stopped = false;  // final
    };
    Output push(std::string_view text);
    std::string finish();  // what was held back; "" after a stop

private:
    explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}
    std::vector<std::string> stops_;
    std::string held_;
    bool stopped_ = false;
};

}  // namespace kith::infer
