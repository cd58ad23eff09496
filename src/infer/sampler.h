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
#include <vector>

#include "base/result.h"
#include "infer/hparams.h"

namespace kith::infer {

inline constexpr std::size_t stop_strings_max = 16;
inline constexpr std::size_t stop_string_bytes_max = 1024;

// Applied in this order: top_k, temperature, top_p, min_p.
struct SamplerOptions {
    float temperature = 0.0F;  // 0: greedy (the highest logit, lowest id among equals); at most 100
    std::size_t top_k = 0;     // 0: all
    float top_p = 1.0F;        // in (0, 1]; 1: all
    float min_p = 0.0F;        // in [0, 1); 0: all
    std::uint64_t seed = 0;
};

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

    // Code::invalid when `logits` is empty or none is finite; values that are not finite are never
    // chosen.
    base::Result<TokenId> sample(std::span<float const> logits);

private:
    struct Candidate {
        TokenId token;
        float logit;
    };
    explicit Sampler(SamplerOptions options) : options_(options), generator_(options.seed) {}
    TokenId pick();
    void keep_top_k();

    SamplerOptions options_;
    Xoshiro256 generator_;
    std::vector<Candidate> candidates_;  // kept between calls to spare the allocation
    std::vector<double> weights_;
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
