// proto/sealed_gossip/epoch.h: the key schedule of sealed gossip (DESIGN 5, Tier 3).
//
//   epoch      = floor(Unix time / 3600)
//   prk        = HKDF-Extract(salt "kith/sealed-gossip/epoch/v1" || swarm id || epoch u64, swarm
//   secret) epoch id   = HKDF-Expand(prk, "kith/sealed-gossip/epoch-id/v1", 32) sender key =
//   HKDF-Expand(prk, "kith/sealed-gossip/sender/v1" || topic u16-prefixed || sender 32 ||
//                            boot nonce 16, 32)
//
// A sender key belongs to one start of one process: its counter begins at zero, and no counter has
// to survive on disk. The epoch id commits to prk, so a header names exactly one key and nobody
// tries several (AES-GCM and ChaCha20-Poly1305 do not commit to their keys).
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/secret.h"
#include "identity/node_id.h"

namespace kith::proto::sealed_gossip {

using SwarmId = base::ByteArray<32>;
using EpochId = base::ByteArray<32>;
using BootNonce = base::ByteArray<16>;

inline constexpr std::int64_t epoch_seconds = 3600;  // S14

// Times before 1970 are epoch 0.
std::uint64_t epoch_of(base::UnixTime time);

class EpochKey {
public:
    EpochKey(SwarmId const& swarm, crypto::Secret<32> const& swarm_secret, std::uint64_t epoch);

    [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
    [[nodiscard]] EpochId const& id() const { return id_; }
    [[nodiscard]] crypto::AeadKey sender_key(std::string_view topic, identity::NodeId const& sender,
                                             BootNonce const& boot) const;

private:
    std::uint64_t epoch_;
    crypto::Secret<32> prk_;
    EpochId id_;
};

}  // namespace kith::proto::sealed_gossip
