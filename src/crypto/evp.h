// crypto/evp.h: owners for the objects of libcrypto's EVP interface. Private to crypto.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>

#include "base/bytes.h"

namespace kith::crypto::evp {

struct Deleter {
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
    void operator()(EVP_PKEY_CTX* context) const { ::EVP_PKEY_CTX_free(context); }
    void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter>;

// What libcrypto reports while this lives is taken off its error queue again: a refused signature
// must not look like a failure of somebody's next call.
class QuietErrors {
public:
    QuietErrors() { ::ERR_set_mark(); }
    ~QuietErrors() { ::ERR_pop_to_mark(); }
    QuietErrors(QuietErrors const&) = delete;
    QuietErrors& operator=(QuietErrors const&) = delete;
};

// The interface takes parameters by pointers to non-const, but only reads those that are set.
inline OSSL_PARAM octets(char const* name, base::ByteView bytes) {
    return ::OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()),
                                               bytes.size());
}

// The key of `algorithm` that grows from `seed`; null when libcrypto cannot.
Key key_from_seed(char const* algorithm, base::ByteView seed);
Key key_from_public(char const* algorithm, base::ByteView public_key);
// False unless the key has exactly out.size() bytes of public key.
[[nodiscard]] bool copy_public_key(Key const& key, base::MutableByteView out);
[[nodiscard]] bool offers(char const* algorithm);

}  // namespace kith::crypto::evp
