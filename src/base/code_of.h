// base/code_of.h: the code of a Result's error, or nothing when it holds a value.
//
// For tests: CHECK(code_of(result) == Code::conflict) fails when the result unexpectedly has a
// value, where result.error().code would end the process; a sabotage twin must fail by an
// assertion, not by a crash.
#pragma once

#include <optional>

#include "base/result.h"

namespace kith::base {

template <class T>
std::optional<Code> code_of(Result<T> const& result) {
    if (result.has_value()) return std::nullopt;
    return result.error().code;
}

}  // namespace kith::base
