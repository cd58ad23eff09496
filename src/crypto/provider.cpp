#include "crypto/provider.h"

#include <openssl/crypto.h>

#include "crypto/mldsa/backend.h"
#include "crypto/mlkem/backend.h"

namespace kith::crypto {

ProviderChoice const& mldsa65_provider() {
    static ProviderChoice const choice = choose_provider(mldsa::libcrypto());
    return choice;
}

ProviderChoice const& mlkem768_provider() {
    static ProviderChoice const choice = choose_provider(mlkem::libcrypto());
    return choice;
}

char const* provider_name(Provider provider) {
    switch (provider) {
        case Provider::in_tree:
            return "in-tree";
        case Provider::libcrypto:
            return "libcrypto";
    }
    return "";
}

std::string libcrypto_version() {
    return ::OpenSSL_version(OPENSSL_VERSION);
}

}  // namespace kith::crypto
