// tests/fuzz/fuzz_identity.h: identities and secrets that are the same in every run.
#pragma once

#include "identity/identity.h"

namespace kith::fuzz {

inline constexpr base::UnixTime today{1'800'000'000};

template <std::size_t N>
crypto::Secret<N> secret_of(std::uint8_t fill) {
    base::ByteArray<N> bytes;
    bytes.fill(fill);
    return crypto::Secret<N>(bytes);
}

inline identity::Identity identity_of(std::uint8_t fill) {
    return identity::Identity::create(secret_of<identity::identity_random_bytes>(fill), today)
        .value();
}

}  // namespace kith::fuzz
