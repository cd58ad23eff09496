#include "crypto/constant_time.h"

#include <sodium.h>

namespace kith::crypto {

bool constant_time_equal(base::ByteView a, base::ByteView b) {
    if (a.size() != b.size()) return false;
    return a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(base::MutableByteView bytes) {
    if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

}  // namespace kith::crypto
