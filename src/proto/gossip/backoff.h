// proto/gossip/backoff.h: when a peer may be grafted again after a PRUNE.
//
// A remote peer names its backoff in seconds, up to 2^64 - 1: it is clamped before it becomes a
// Duration (GHSA-gc42-3jg7-rxr2: the sum overflowed and ended the process).
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "identity/peer_id.h"

namespace kith::proto::gossip {

// What a PRUNE says, clamped to backoff_max; prune_backoff when it says nothing or zero.
base::Duration clamped_backoff(std::optional<std::uint64_t> seconds);

class Backoffs {
public:
    // Never shortens one that runs.
    void add(std::string const& topic, identity::PeerId const& peer, base::Duration duration,
             base::Instant now);
    // When it ends; nullopt: there is none.
    [[nodiscard]] std::optional<base::Instant> until(std::string const& topic,
                                                     identity::PeerId const& peer) const;
    // For our own GRAFTs: it is over, with a heartbeat of slack, because the peer's clock started a
    // little later.
    [[nodiscard]] bool may_graft(std::string const& topic, identity::PeerId const& peer,
                                 base::Instant now) const;
    void expire(base::Instant now);  // forgets what is over, slack included

    // Bounded by what the router lets in: its own topics times the peers it knows; those that left
    // are kept until their backoff is over, at most backoffs_max in all (then the shortest goes).
    static constexpr std::size_t backoffs_max = 32768;
    [[nodiscard]] std::size_t count() const { return ends_.size(); }

private:
    std::map<std::pair<std::string, identity::PeerId>, base::Instant> ends_;
};

}  // namespace kith::proto::gossip
