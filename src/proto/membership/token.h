// proto/membership/token.h: the invite token (kith1...), the one secret that makes somebody a
// member.
//
// The token carries the seed of a key pair, not a password: the operator's root has signed the
// public half (invite certificate), the joiner signs its own identity with the private half and
// throws it away. The coordinator sees only the public half and a ciphertext of the swarm secret it
// cannot open (DESIGN 6, REQUIREMENTS C1). The token also names the operator and the coordinator's
// peer id, so a joiner cannot be led to somebody else's swarm (P25).
//
// Text: "kith1" || base64url(body || first 4 bytes of SHA-256(body)). About 250 characters; never
// logged or stored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "crypto/ed25519.h"
#include "crypto/secret.h"
#include "identity/ids.h"
#include "identity/peer_id.h"

namespace kith::proto::membership {

using SwarmId = base::ByteArray<32>;
using LookupId = base::ByteArray<32>;

inline constexpr std::size_t token_chars_max = 1024;
inline constexpr std::size_t token_addresses_max = 4;

struct Token {
    SwarmId swarm_id{};
    identity::RootId operator_root{};
    identity::PeerId coordinator;
    std::vector<std::string> addresses;  // multiaddrs of the coordinator, without /p2p/
    base::UnixTime expires{};  // 0: never; told here so that a joiner learns it without asking
    crypto::Secret<32> seed;
};

// The result is secret: hand it to the user once and wipe it.
std::string format_token(Token const& token);
// Refuses what format_token cannot have made, with a sentence for the person who pasted it.
base::Result<Token> parse_token(std::string_view text);

// What the seed yields. lookup_id may be stored and sent; the other two never leave the machine.
struct TokenKeys {
    LookupId lookup_id{};
    crypto::Ed25519KeyPair invite_key;
    crypto::Secret<32> wrap_key;
};
TokenKeys derive_token_keys(crypto::Secret<32> const& seed);

}  // namespace kith::proto::membership
