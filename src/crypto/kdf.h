// crypto/kdf.h: HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869).
#pragma once

#include "base/bytes.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace kith::crypto {

using HmacTag = Sha256Digest;  // compare with constant_time_equal

// Incremental; wiped on destruction.
class HmacSha256 {
public:
    explicit HmacSha256(base::ByteView key);  // any length; longer than 64 bytes is hashed first

    HmacSha256& update(base::ByteView bytes);
    HmacTag finish();  // at most once

private:
    Sha256 inner_;
    Sha256 outer_;
};

HmacTag hmac_sha256(base::ByteView key, base::ByteView message);

inline constexpr std::size_t hkdf_output_bytes_max = 255 * sha256_bytes;  // RFC 5869 2.3

// An empty salt means 32 zero bytes, as RFC 5869 says.
Secret<32> hkdf_sha256_extract(base::ByteView salt, base::ByteView input_key);
// Fills `out`; asserts out.size() <= hkdf_output_bytes_max (our own code chooses it).
void hkdf_sha256_expand(base::ByteView pseudo_random_key, base::ByteView info,
                        base::MutableByteView out);
// Extract, then expand.
void hkdf_sha256(base::ByteView salt, base::ByteView input_key, base::ByteView info,
                 base::MutableByteView out);
template <std::size_t N>
Secret<N> hkdf_sha256(base::ByteView salt, base::ByteView input_key, base::ByteView info) {
    Secret<N> out;
    hkdf_sha256(salt, input_key, info, out.mutable_view());
    return out;
}

}  // namespace kith::crypto
