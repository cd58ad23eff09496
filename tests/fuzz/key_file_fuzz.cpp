// tests/fuzz/key_file_fuzz.cpp: any bytes as identity.key, with a checksum that fits, so that the
// parser behind it is reached. No passphrase is tried: what the file may ask for is decided before.
#include "base/check.h"
#include "crypto/hash.h"
#include "identity/key_file.h"

using namespace kith;
using namespace kith::identity;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    base::ByteView const bytes(data, size);
    (void)parse_key_file(bytes);
    auto fitting = base::to_bytes(bytes);
    auto const sum = crypto::sha256(bytes);
    base::append(fitting, sum);
    auto const file = parse_key_file(fitting);
    if (!file) return 0;
    KITH_ASSERT(file->seeds.has_value() != file->sealed.has_value());
    if (file->seeds) {
        auto const again = encode_key_file(*file->seeds, file->binding, nullptr);
        KITH_ASSERT(base::equal(again.view(), fitting));
    } else {
        KITH_ASSERT(crypto::is_allowed(file->sealed->cost));
        KITH_ASSERT(file->sealed->sealed.size() == sealed_seeds_bytes);
    }
    return 0;
}
