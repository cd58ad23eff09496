#include "crypto/constant_time.h"

#include <sodium.h>

#include "base/sabotage.h"

namespace kith::crypto {

bool constant_time_equal(base::ByteView a, base::ByteView b) {
    if (a.size() != b.size()) return false;
    return a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(base::MutableByteView bytes) {
    if (KITH_GUARD("P26.wipe", bytes.empty())) return;
    sodium_memzero(bytes.data(), bytes.size());
}

void wipe_stack_below(std::size_t depth_bytes) {
    if (!KITH_GUARD("P26.wipe_stack", false)) sodium_stackzero(depth_bytes);
}

}  // namespace kith::crypto
