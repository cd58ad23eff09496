#include "crypto/evp.h"

namespace kith::crypto::evp {

bool offers(char const* algorithm) {
    QuietErrors const quiet;
    return KeyContext(::EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr)) != nullptr;
}

Key key_from_seed(char const* algorithm, base::ByteView seed) {
    QuietErrors const quiet;
    KeyContext const context(::EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
    OSSL_PARAM const params[] = {octets("seed", seed), OSSL_PARAM_END};
    EVP_PKEY* key = nullptr;
    if (!context || ::EVP_PKEY_keygen_init(context.get()) != 1 ||
        ::EVP_PKEY_CTX_set_params(context.get(), params) != 1 ||
        ::EVP_PKEY_generate(context.get(), &key) != 1)
        return nullptr;
    return Key(key);
}

Key key_from_public(char const* algorithm, base::ByteView public_key) {
    QuietErrors const quiet;
    return Key(::EVP_PKEY_new_raw_public_key_ex(nullptr, algorithm, nullptr, public_key.data(),
                                                public_key.size()));
}

bool copy_public_key(Key const& key, base::MutableByteView out) {
    QuietErrors const quiet;
    std::size_t size = 0;
    if (::EVP_PKEY_get_raw_public_key(key.get(), nullptr, &size) != 1 || size != out.size())
        return false;
    return ::EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) == 1 && size == out.size();
}

}  // namespace kith::crypto::evp
