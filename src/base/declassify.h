// base/declassify.h: says of a value computed from secrets that it is public by design.
//
// Does nothing in the product. In tests/constant_time, where valgrind follows every secret bit,
// a branch or an address that depends on a secret is an error unless what it depends on has passed
// here; so each call is a claim, and says in a comment why it holds.
#pragma once

#include <type_traits>

#include "base/bytes.h"

#ifdef KITH_CONSTANT_TIME_TEST
#include <valgrind/memcheck.h>
#endif

namespace kith::base {

inline void declassify(ByteView bytes) {
#ifdef KITH_CONSTANT_TIME_TEST
    (void)VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size());
#else
    (void)bytes;
#endif
}

// The value itself, now public.
template <class T>
requires std::is_arithmetic_v<T>
[[gnu::always_inline]] inline T declassified(T value) {
#ifdef KITH_CONSTANT_TIME_TEST
    (void)VALGRIND_MAKE_MEM_DEFINED(&value, sizeof value);
#endif
    return value;
}

}  // namespace kith::base
