// proto/gossip/promises.h: a peer that advertised a message (IHAVE) and was asked for it (IWANT)
// has to send it within iwant_followup, or its advertisement was a lie.
//
// One id of each IWANT is watched, chosen at random, so the peer does not know which.
// Invariant: at most promises_max watched ids; beyond that nothing more is watched.
#pragma once

#include <map>
#include <span>

#include "base/time.h"
#include "identity/peer_id.h"
#include "proto/gossip/mesh.h"
#include "proto/gossip/rpc.h"

namespace kith::proto::gossip {

class Promises {
public:
    void watch(identity::PeerId const& peer, std::span<MessageId const> asked, base::Instant now,
               Generator& random);
    // The message came, from whomever.
    void kept(MessageId const& id);
    void peer_gone(identity::PeerId const& peer);
    // How many each peer broke since the last call.
    std::map<identity::PeerId, std::size_t> take_broken(base::Instant now);

    [[nodiscard]] std::size_t count() const { return count_; }

private:
    std::map<MessageId, std::map<identity::PeerId, base::Instant>> due_;
    std::size_t count_ = 0;
};

}  // namespace kith::proto::gossip
