// infer/rope.h: the angles of rotary positions: how fast each pair of a head's elements rotates.
//
// Pair i of n/2 rotates by position * base^(-2i/n), and then, in this order:
//   linear    divided by the scale
//   divisors  (rope_freqs.weight, as Llama 3.1; rope_factors_*.weight, longrope) divided by its own
//   yarn      (arXiv 2309.00071) pairs that turn often within the original context as without
//             scaling, slow ones divided by the scale, in between a mixture; what rotates is
//             multiplied by 1 + 0.1 ln(scale)
// longrope (arXiv 2402.13753) has two lists of divisors: the long one for sequences that were begun
// with room for more than the original context, which all stages of a pipeline know alike.
#pragma once

#include <optional>
#include <vector>

#include "infer/hparams.h"

namespace kith::infer {

struct RopeTable {
    std::vector<double> frequencies;  // [rope_size / 2]
    double magnitude = 1;             // cosines and sines are multiplied by it
};

struct RopeDivisors {
    std::vector<float> usual, longer;  // [rope_size / 2] or empty: all 1
};

struct RopeTables {
    RopeTable usual;
    std::optional<RopeTable> longer;    // longrope past the original context
    std::optional<RopeTable> windowed;  // of layers with a window, where they have their own base

    // For a layer, in a sequence with room for so many positions.
    [[nodiscard]] RopeTable const& table(Hparams const& hparams, bool in_windowed_layer,
                                         std::size_t positions_max) const {
        if (in_windowed_layer && windowed) return *windowed;
        return longer && positions_max > hparams.rope_original_context ? *longer : usual;
    }
};

RopeTables make_rope_tables(Hparams const& hparams, RopeDivisors const& divisors);

}  // namespace kith::infer
