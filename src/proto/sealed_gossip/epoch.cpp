#include "proto/sealed_gossip/epoch.h"

#include "crypto/kdf.h"
#include "wire/writer.h"

namespace kith::proto::sealed_gossip {

using base::as_bytes;

namespace {

crypto::Secret<32> extract(SwarmId const& swarm, crypto::Secret<32> const& swarm_secret,
                           std::uint64_t epoch) {
    wire::Writer salt;
    salt.bytes(as_bytes("kith/sealed-gossip/epoch/v1")).bytes(swarm).u64(epoch);
    return crypto::hkdf_sha256_extract(salt.view(), swarm_secret.view());
}

}  // namespace

std::uint64_t epoch_of(base::UnixTime time) {
    auto const seconds = base::seconds(time);
    return seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds / epoch_seconds);
}

EpochKey::EpochKey(SwarmId const& swarm, crypto::Secret<32> const& swarm_secret,
                   std::uint64_t epoch)
    : epoch_(epoch), prk_(extract(swarm, swarm_secret, epoch)) {
    crypto::hkdf_sha256_expand(prk_.view(), as_bytes("kith/sealed-gossip/epoch-id/v1"), id_);
}

crypto::AeadKey EpochKey::sender_key(std::string_view topic, identity::NodeId const& sender,
                                     BootNonce const& boot) const {
    wire::Writer info;
    info.bytes(as_bytes("kith/sealed-gossip/sender/v1")).prefixed_u16(as_bytes(topic));
    info.bytes(sender.bytes).bytes(boot);
    crypto::AeadKey key;
    crypto::hkdf_sha256_expand(prk_.view(), info.view(), key.mutable_view());
    return key;
}

}  // namespace kith::proto::sealed_gossip
