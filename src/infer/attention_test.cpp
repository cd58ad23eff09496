#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "infer/half.h"
#include "infer/kernels.h"
#include "infer/kv_layout.h"
#include "infer/sampler.h"

namespace kith::infer {
namespace {

// One head: keys and values of some positions, and queries that each see a prefix of them.
struct Head {
    std::size_t size = 0;
    std::size_t positions = 0;
    std::vector<float> keys, values;  // as float16 has them: [position][size]
    std::vector<std::uint16_t> packed_keys, packed_values;
    std::vector<std::vector<float>> queries;
    std::vector<std::size_t> begins, ends;
    float cap = 0;

    Head(Xoshiro256& random, std::size_t head_size, std::size_t count, double width)
        : size(head_size), positions(count) {
        auto const room = kv_positions(positions) * size;
        auto const nan = float_to_half(std::numeric_limits<float>::quiet_NaN());
        packed_keys.assign(room, nan);  // what is not seen must not matter
        packed_values.assign(room, nan);
        for (std::size_t p = 0; p < positions; ++p)
            for (std::size_t d = 0; d < size; ++d) {
                auto const key = float_to_half(unit(random, width));
                auto const value = float_to_half(unit(random, 2));
                packed_keys[key_offset(p, size) + d * kv_lanes] = key;
                packed_values[p * size + d] = value;
                keys.push_back(half_to_float(key));
                values.push_back(half_to_float(value));
            }
    }

    static float unit(Xoshiro256& random, double width) {
        return static_cast<float>((random.next_unit() - 0.5) * width);
    }

    void add_query(Xoshiro256& random, std::size_t end, std::size_t begin = 0) {
        auto& query = queries.emplace_back(size);
        for (auto& value : query) value = unit(random, 2);
        ends.push_back(end);
        begins.push_back(begin);
    }

    // Queries [first, first + count) together.
    [[nodiscard]] std::vector<std::vector<float>> attend(KernelTable const& kernels,
                                                         std::size_t first,
                                                         std::size_t count) const {
        std::vector<std::vector<float>> out(count, std::vector<float>(size));
        std::vector<float const*> in;
        std::vector<float*> to;
        for (std::size_t i = 0; i < count; ++i) {
            in.push_back(queries[first + i].data());
            to.push_back(out[i].data());
        }
        std::vector<AttendState> states(count);
        kernels.packed->attend({.keys = packed_keys.data(),
                                .values = packed_values.data(),
                                .head_size = size,
                                .queries_count = count,
                                .queries = in.data(),
                                .ends = &ends[first],
                                .begins = &begins[first],
                                .scale = 1.0F / std::sqrt(static_cast<float>(size)),
                                .cap = cap,
                                .states = states.data(),
                                .out = to.data()});
        return out;
    }

    [[nodiscard]] std::vector<double> exact(std::size_t query) const {
        std::vector<double> scores;
        double highest = -1e300;
        for (auto p = begins[query]; p < ends[query]; ++p) {
            double dot = 0;
            for (std::size_t d = 0; d < size; ++d)
                dot += static_cast<double>(queries[query][d]) *
                       static_cast<double>(keys[p * size + d]);
            auto const score = dot / std::sqrt(static_cast<double>(size));
            auto const wide = static_cast<double>(cap);
            scores.push_back(cap == 0 ? score : wide * std::tanh(score / wide));
            highest = std::max(highest, scores.back());
        }
        std::vector<double> out(size, 0.0);
        double total = 0;
        for (auto p = begins[query]; p < ends[query]; ++p) {
            double const weight = std::exp(scores[p - begins[query]] - highest);
            total += weight;
            for (std::size_t d = 0; d < size; ++d)
                out[d] += weight * static_cast<double>(values[p * size + d]);
        }
        for (auto& value : out) value /= total;
        return out;
    }
};

std::vector<KernelTable const*> tables() {
    std::vector<KernelTable const*> out{&portable_kernels};
    for (auto const isa : {Isa::avx2, Isa::avx512})
        if (auto const* const table = find_kernels(isa); table != nullptr) out.push_back(table);
    return out;
}

TEST_CASE("attention is softmax of the dots times the values, and unseen positions do not matter") {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        CAPTURE(seed);
        Xoshiro256 random(seed);
        Head head(random, 8 * seed + (seed == 5 ? 3 : 0), 150, seed == 4 ? 200 : 4);
        for (std::size_t const end :
             std::initializer_list<std::size_t>{1, 15, 16, 17, 63, 64, 65, 128, 129, 150})
            head.add_query(random, end);
        for (std::size_t i = 0; i < head.queries.size(); ++i) {
            auto const exact = head.exact(i);
            auto const out = head.attend(portable_kernels, i, 1).front();
            for (std::size_t d = 0; d < head.size; ++d)
                CHECK(std::fabs(static_cast<double>(out[d]) - exact[d]) < 2e-5);
        }
    }
}

TEST_CASE("S76: windows and caps are exact, and the same bits in all kernels, alone or together") {
    for (std::size_t const window : {1U, 2U, 15U, 63U, 64U, 65U, 100U, 128U, 500U}) {
        CAPTURE(window);
        Xoshiro256 random(window);
        Head head(random, 24, 300, 8);
        head.cap = window % 2 == 0 ? 0.0F : 2.0F;
        std::size_t end = 1;
        for (int i = 0; i < 60; ++i, end += random.next() % 7 + (i == 30 ? 64 : 0))
            if (end <= 300) head.add_query(random, end, end > window ? end - window : 0);
        std::vector<std::vector<float>> alone;
        for (std::size_t i = 0; i < head.queries.size(); ++i) {
            alone.push_back(head.attend(portable_kernels, i, 1).front());
            auto const exact = head.exact(i);
            for (std::size_t d = 0; d < head.size; ++d)
                CHECK(std::fabs(static_cast<double>(alone[i][d]) - exact[d]) < 2e-5);
        }
        for (auto const* const kernels : tables()) {
            CAPTURE(kernels->name);
            CHECK(head.attend(*kernels, 0, head.queries.size()) == alone);
        }
    }
}

TEST_CASE("attention gives the same bits in all kernels, alone or together") {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        CAPTURE(seed);
        Xoshiro256 random(seed);
        std::size_t const sizes[] = {64, 128, 80, 48, 16, 20, 96, 6};
        Head head(random, sizes[seed - 1], 300, seed % 3 == 0 ? 1000 : 4);
        std::size_t end = 40;
        for (int i = 0; i < 37; ++i) head.add_query(random, end += random.next() % 8);
        std::vector<std::vector<float>> expected;
        for (std::size_t i = 0; i < head.queries.size(); ++i)
            expected.push_back(head.attend(portable_kernels, i, 1).front());
        for (auto const* const kernels : tables()) {
            CAPTURE(kernels->name);
            CHECK(head.attend(*kernels, 0, head.queries.size()) == expected);
            for (std::size_t i = 0; i < head.queries.size(); i += 5)
                CHECK(head.attend(*kernels, i, 1).front() == expected[i]);
        }
    }
}

TEST_CASE("scores far apart, equal and infinite are survived") {
    Xoshiro256 random(3);
    Head head(random, 16, 70, 4);
    head.add_query(random, 70);
    for (float const value : {0.0F, 1e30F, -1e30F, std::numeric_limits<float>::infinity()}) {
        head.queries[0].assign(16, value);
        for (auto const* const kernels : tables()) CHECK(head.attend(*kernels, 0, 1).size() == 1);
    }
}

}  // namespace
}  // namespace kith::infer
