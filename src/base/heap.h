// base/heap.h: how much freed memory the process keeps for itself.
#pragma once

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace kith::base {

// Called once, first thing in main(). Left alone, glibc maps a buffer of 128 KiB or more afresh and
// gives it back when it is freed: a message of 1 MiB then costs more in page faults than in
// encryption (360 MB/s instead of 700, bench/session_bench). Kept are at most 16 MiB at the end of
// the heap.
inline void keep_freed_memory() {
#ifdef __GLIBC__
    constexpr int mebibyte = 1 << 20;
    ::mallopt(M_MMAP_THRESHOLD, 4 * mebibyte);
    ::mallopt(M_TRIM_THRESHOLD, 16 * mebibyte);
#endif
}

}  // namespace kith::base
