#include "infer/finite.h"

#include <bit>
#include <cstdint>

namespace kith::infer {

// IEEE 754: NaN and infinities have all bits of the exponent. A loop that compilers vectorise.
bool are_finite(std::span<float const> values) {
    constexpr std::uint32_t exponent = 0x7f800000;
    std::uint32_t odd = 0;
    for (float const value : values)
        odd |= (std::bit_cast<std::uint32_t>(value) & exponent) == exponent ? 1U : 0U;
    return odd == 0;
}

}  // namespace kith::infer
