// base/check.h: KITH_ASSERT for our own bugs. Stays on in release builds; its condition never
// depends on bytes a peer, file or user chose, or it would be a remote kill switch.
#pragma once

namespace kith::base {
[[noreturn]] void assertion_failed(char const* condition, char const* file, int line);
}

#define KITH_ASSERT(condition)                                              \
    do {                                                                    \
        if (!(condition)) [[unlikely]]                                      \
            ::kith::base::assertion_failed(#condition, __FILE__, __LINE__); \
    } while (false)
