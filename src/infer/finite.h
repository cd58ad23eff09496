// infer/finite.h: whether a model computed numbers.
#pragma once

#include <span>

namespace kith::infer {

// Whether none is NaN or infinite.
bool are_finite(std::span<float const> values);

}  // namespace kith::infer
