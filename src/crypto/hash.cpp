// The context-free EVP calls of OpenSSL 3.0 fetch an algorithm and allocate on every use, which
// costs more than the hash of a handshake message. The low-level functions are deprecated, not
// gone; they need neither.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.h"

#include <openssl/ripemd.h>
#include <openssl/sha.h>

#include <new>

#include "base/check.h"
#include "crypto/constant_time.h"

namespace kith::crypto {
namespace {

static_assert(sizeof(SHA256_CTX) == 112 && alignof(SHA256_CTX) <= 8);

SHA256_CTX* context(base::ByteArray<112>& state) {
    return std::launder(reinterpret_cast<SHA256_CTX*>(state.data()));
}

}  // namespace

Sha256::Sha256() {
    SHA256_CTX* const fresh = new (state_.data()) SHA256_CTX;
    KITH_ASSERT(SHA256_Init(fresh) == 1);
}

Sha256::~Sha256() {
    wipe(state_);
}

Sha256& Sha256::update(base::ByteView bytes) {
    KITH_ASSERT(SHA256_Update(context(state_), bytes.data(), bytes.size()) == 1);
    return *this;
}

Sha256Digest Sha256::finish() {
    Sha256Digest out;
    KITH_ASSERT(SHA256_Final(out.data(), context(state_)) == 1);
    KITH_ASSERT(SHA256_Init(context(state_)) == 1);
    return out;
}

Sha256Digest sha256(base::ByteView bytes) {
    return Sha256().update(bytes).finish();
}

Sha512Digest sha512(base::ByteView bytes) {
    SHA512_CTX state;
    Sha512Digest out;
    KITH_ASSERT(SHA512_Init(&state) == 1);
    KITH_ASSERT(SHA512_Update(&state, bytes.data(), bytes.size()) == 1);
    KITH_ASSERT(SHA512_Final(out.data(), &state) == 1);
    wipe({reinterpret_cast<std::uint8_t*>(&state), sizeof state});
    return out;
}

Ripemd160Digest ripemd160(base::ByteView bytes) {
    RIPEMD160_CTX state;
    Ripemd160Digest out;
    KITH_ASSERT(RIPEMD160_Init(&state) == 1);
    KITH_ASSERT(RIPEMD160_Update(&state, bytes.data(), bytes.size()) == 1);
    KITH_ASSERT(RIPEMD160_Final(out.data(), &state) == 1);
    return out;
}

}  // namespace kith::crypto
