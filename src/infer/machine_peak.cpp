#include "infer/machine_peak.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "infer/int8_loops.h"

namespace kith::infer {

using base::Code;
using base::fail;
using base::Result;

namespace {

constexpr std::size_t passes = 4;

// Seconds until each of so many threads has done its work.
double seconds_of(std::size_t threads, std::function<void(std::size_t index)> const& work,
                  ports::Clock const& clock) {
    auto const begin = clock.now();
    {
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < threads; ++i) others.emplace_back([&work, i] { work(i); });
        work(0);
    }
    return static_cast<double>((clock.now() - begin).count()) / 1e6;
}

std::uint64_t sum(std::span<std::uint64_t const> words) {
    constexpr std::size_t lanes = 32;  // enough loads at once to keep memory busy
    std::uint64_t sums[lanes] = {};
    for (std::size_t i = 0; i + lanes <= words.size(); i += lanes)
        for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += words[i + lane];
    std::uint64_t out = 0;
    for (auto const each : sums) out += each;
    return out;
}

// So that what was computed counts as used.
void keep(std::uint64_t value) {
    asm volatile("" : : "r"(value) : "memory");
}

}  // namespace

Result<double> read_bandwidth(std::size_t threads, ports::Clock const& clock) {
    constexpr auto words_count = peak_buffer_bytes / sizeof(std::uint64_t);
    std::unique_ptr<std::uint64_t[]> const buffer(new (std::nothrow) std::uint64_t[words_count]);
    if (buffer == nullptr) return fail(Code::too_large, "no memory to measure its speed with");
    std::span<std::uint64_t> const words(buffer.get(), words_count);
    auto const part = words_count / threads;
    auto const slice = [&](std::size_t i) { return words.subspan(i * part, part); };
    auto const fill = [&](std::size_t i) { std::ranges::fill(slice(i), i + 1); };
    (void)seconds_of(threads, fill, clock);  // pages are there only once they were written
    double best = 0;
    for (std::size_t pass = 0; pass < passes; ++pass) {
        auto const seconds = seconds_of(
            threads, [&](std::size_t i) { keep(sum(slice(i))); }, clock);
        if (seconds > 0)
            best = std::max(best,
                            static_cast<double>(part * threads * sizeof(std::uint64_t)) / seconds);
    }
    if (best <= 0) return fail(Code::internal, "the clock stands still");
    return best;
}

Result<double> int8_peak(std::size_t threads, Isa isa, ports::Clock const& clock) {
    auto const* const kernels = find_kernels(isa);
    if (kernels == nullptr)
        return fail(Code::unsupported, "this processor does not run those instructions");
    auto const loop = find_int8_loop(kernels->name);
    // Long enough for the clock, and bounded for one that stands still.
    constexpr double seconds_enough = 0.05;
    constexpr std::uint64_t rounds_max = std::uint64_t{1} << 26U;
    double best = 0;
    std::uint64_t rounds = std::uint64_t{1} << 12U;
    for (std::size_t pass = 0; pass < passes && rounds <= rounds_max;) {
        auto const seconds = seconds_of(
            threads, [&](std::size_t) { keep(static_cast<std::uint64_t>(loop.run(rounds))); },
            clock);
        if (seconds < seconds_enough) {
            rounds *= 2;
            continue;
        }
        auto const operations =
            static_cast<double>(rounds) * static_cast<double>(loop.operations * threads);
        best = std::max(best, operations / seconds);
        ++pass;
    }
    if (best <= 0) return fail(Code::internal, "the clock stands still");
    return best;
}

}  // namespace kith::infer
