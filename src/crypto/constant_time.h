// crypto/constant_time.h: the two operations secrets need that the standard library does not have.
#pragma once

#include "base/bytes.h"

namespace kith::crypto {

// True when both have the same bytes. Time depends on the lengths only, never on the contents.
[[nodiscard]] bool constant_time_equal(base::ByteView a, base::ByteView b);

// Overwrites with zeros in a way the compiler may not remove.
void wipe(base::MutableByteView bytes);

}  // namespace kith::crypto
