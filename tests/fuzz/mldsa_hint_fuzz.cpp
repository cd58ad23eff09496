// The hint of an ML-DSA signature: what decodes is the only encoding of that hint.
#include "base/check.h"
#include "crypto/mldsa/core.h"

using namespace kith;
using namespace kith::crypto::mldsa;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size < hint_bytes) return 0;
    auto const bytes = base::ByteView(data, size).first<hint_bytes>();
    Vector<rows> hint;
    if (!decode_hint(hint, bytes)) return 0;
    base::ByteArray<hint_bytes> again;
    encode_hint(hint, again);
    KITH_ASSERT(base::equal(again, bytes));
    return 0;
}
