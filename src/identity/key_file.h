// identity/key_file.h: the bytes of identity.key.
//
// Big-endian. Both begin with "KITHIDN1" | u16 version | u16 flags and end with a SHA-256 of all
// before.
//
//   version 1, flags 0, keys in clear:     seeds 96 | u32+binding
//   version 2, flags 1, with a passphrase: u32 memory (KiB) | u32 passes | salt 16 | u32+binding |
//                                          nonce 12 | seeds under AES-256-GCM 112
//
// Seeds: ML-DSA-65 root, Ed25519, X25519 private key, 32 bytes each. Of version 2 everything before
// the nonce is authenticated with the seeds. The checksum finds damage; it is no protection.
#pragma once

#include <optional>

#include "base/result.h"
#include "identity/binding.h"
#include "identity/key_seal.h"

namespace kith::identity {

struct SealedSeeds {
    crypto::PasswordCost cost;
    crypto::PasswordSalt salt{};
    crypto::AeadNonce nonce{};
    base::Bytes head;  // what is authenticated with them
    base::Bytes sealed;
};

// What a file holds: the seeds, or the seeds under a passphrase.
struct KeyFile {
    std::optional<IdentitySeeds> seeds;
    std::optional<SealedSeeds> sealed;
    IdentityBinding binding;
};

// Code::corrupt, with advice: short, altered, unknown version, or a cost out of bounds. Costs no
// more than reading the bytes.
base::Result<KeyFile> parse_key_file(base::ByteView bytes);

// With `seal` as version 2. The inverse of parse_key_file.
crypto::SecretBytes encode_key_file(IdentitySeeds const& seeds, IdentityBinding const& binding,
                                    KeySeal const* seal);

}  // namespace kith::identity
