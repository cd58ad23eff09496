#include "crypto/kdf.h"

#include "base/check.h"
#include "crypto/constant_time.h"

namespace kith::crypto {
namespace {
constexpr std::size_t block_bytes = 64;  // of SHA-256
}

HmacSha256::HmacSha256(base::ByteView key) {
    base::ByteArray<block_bytes> block{};
    if (key.size() > block_bytes) {
        auto digest = sha256(key);
        std::copy(digest.begin(), digest.end(), block.begin());
        wipe(digest);
    } else {
        std::copy(key.begin(), key.end(), block.begin());
    }
    for (auto& byte : block) byte ^= 0x36;
    inner_.update(block);
    for (auto& byte : block) byte ^= 0x36 ^ 0x5c;
    outer_.update(block);
    wipe(block);
}

HmacSha256& HmacSha256::update(base::ByteView bytes) {
    inner_.update(bytes);
    return *this;
}

HmacTag HmacSha256::finish() {
    auto inner = inner_.finish();
    auto const out = outer_.update(inner).finish();
    wipe(inner);
    return out;
}

HmacTag hmac_sha256(base::ByteView key, base::ByteView message) {
    return HmacSha256(key).update(message).finish();
}

Secret<32> hkdf_sha256_extract(base::ByteView salt, base::ByteView input_key) {
    // An empty HMAC key is the same as 32 zero bytes: both are padded with zeros to the block.
    auto tag = hmac_sha256(salt, input_key);
    Secret<32> out(tag);
    wipe(tag);
    return out;
}

void hkdf_sha256_expand(base::ByteView pseudo_random_key, base::ByteView info,
                        base::MutableByteView out) {
    KITH_ASSERT(out.size() <= hkdf_output_bytes_max);
    HmacSha256 const keyed(pseudo_random_key);
    HmacTag block{};
    std::uint8_t counter = 1;
    for (std::size_t done = 0; done < out.size(); ++counter) {
        HmacSha256 next = keyed;
        if (done > 0) next.update(block);
        auto tag = next.update(info).update({&counter, 1}).finish();
        block = tag;
        wipe(tag);
        auto const size = std::min(block.size(), out.size() - done);
        std::copy_n(block.begin(), size, out.begin() + static_cast<std::ptrdiff_t>(done));
        done += size;
    }
    wipe(block);
}

void hkdf_sha256(base::ByteView salt, base::ByteView input_key, base::ByteView info,
                 base::MutableByteView out) {
    auto const pseudo_random_key = hkdf_sha256_extract(salt, input_key);
    hkdf_sha256_expand(pseudo_random_key.view(), info, out);
}

}  // namespace kith::crypto
