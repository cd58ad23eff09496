// crypto/constant_time.h: the operations secrets need that the standard library does not have.
#pragma once

#include "base/bytes.h"

namespace kith::crypto {

// True when both have the same bytes. Time depends on the lengths only, never on the contents.
[[nodiscard]] bool constant_time_equal(base::ByteView a, base::ByteView b);

// Overwrites with zeros in a way the compiler may not remove.
void wipe(base::MutableByteView bytes);

// Overwrites what functions that have returned left on this thread's stack, `depth_bytes` deep.
// For copies that a function made in places it cannot name: spilled registers, a library's frames.
void wipe_stack_below(std::size_t depth_bytes);

}  // namespace kith::crypto
