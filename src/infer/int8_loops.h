// infer/int8_loops.h: products of bytes, added up to 32 bits, in registers: as fast as the
// instructions go. For machine_peak.h alone.
#pragma once

#include <cstdint>
#include <string_view>

namespace kith::infer {

struct Int8Loop {
    // The sum of all; its value says nothing.
    std::int32_t (*run)(std::uint64_t rounds);
    std::size_t operations;  // of one round: a product and a sum are two
};

// With the instructions of the table of kernels of that name (kernels.h), which runs here.
Int8Loop find_int8_loop(std::string_view kernels);

}  // namespace kith::infer
