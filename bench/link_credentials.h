// bench/link_credentials.h: keys for links that only a benchmark uses.
#pragma once

#include "crypto/x25519.h"
#include "node/link/link.h"

namespace kith::bench {

inline proto::noise::PrivateKey key_of(std::uint8_t fill) {
    base::ByteArray<32> bytes;
    bytes.fill(fill);
    return proto::noise::PrivateKey(bytes);
}

inline proto::noise::Credentials credentials_of(std::uint8_t fill) {
    using proto::noise::Credentials;
    crypto::Ed25519KeyPair const signer(key_of(fill));
    auto static_key = key_of(static_cast<std::uint8_t>(fill + 100));
    auto const signature = signer.sign(Credentials::to_sign(crypto::x25519_public_key(static_key)));
    return {std::move(static_key), identity::PeerId(signer.public_key()), signature};
}

}  // namespace kith::bench
