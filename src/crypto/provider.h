// crypto/provider.h: who computes ML-DSA-65 and ML-KEM-768: the code in this folder, or the
// libcrypto that was loaded, where it offers them (OpenSSL 3.5 and later; Debian 13).
//
// Decided once for each algorithm, at its first use: a libcrypto that offers the algorithm and
// gives the known answers of the self-test is used, else the in-tree code. Both give the same bytes
// from the same seed, so keys on disk, peers and tests do not notice. Compiled against the headers
// of OpenSSL 3.0: one binary serves both.
#pragma once

#include <string>

#include "base/sabotage.h"

namespace kith::crypto {

enum class Provider { in_tree, libcrypto };

struct ProviderChoice {
    Provider provider = Provider::in_tree;
    char const* reason = "";  // one phrase for people
};

ProviderChoice const& mldsa65_provider();
ProviderChoice const& mlkem768_provider();

char const* provider_name(Provider provider);  // "in-tree" or "libcrypto"
std::string libcrypto_version();               // of the library loaded, "OpenSSL 3.0.19 ..."

// The rule itself. `Backend` is that of mldsa/backend.h or mlkem/backend.h.
template <class Backend>
ProviderChoice choose_provider(Backend const& candidate) {
    if (!candidate.is_offered())
        return {Provider::in_tree, "the loaded libcrypto does not offer it"};
    if (!KITH_GUARD("E2.self_test", passes_self_test(candidate)))
        return {Provider::in_tree, "the loaded libcrypto failed the self-test"};
    return {Provider::libcrypto, "the loaded libcrypto passed the self-test"};
}

}  // namespace kith::crypto
