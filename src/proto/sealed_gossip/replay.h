// proto/sealed_gossip/replay.h: which envelopes were opened already, per (sender, boot nonce).
//
// A window of 1024 counters each, in the manner of RFC 6479. A boot nonce is forgotten only once
// everything sealed under it is too old to be fresh, so forgetting never opens the door to a
// replay; a member that restarts more often than that waits.
//
// Invariants: 1. at most senders_max senders with boots_per_sender_max windows each. 2. a window
// moves only for an envelope that opened.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>

#include "base/result.h"
#include "base/time.h"
#include "proto/sealed_gossip/epoch.h"

namespace kith::proto::sealed_gossip {

inline constexpr std::size_t replay_window = 1024;
inline constexpr std::size_t senders_max = 1024;
inline constexpr std::size_t boots_per_sender_max = 8;

class CounterWindow {
public:
    // False: seen before, or too old to tell.
    [[nodiscard]] bool is_new(std::uint64_t counter) const;
    void accept(std::uint64_t counter);

private:
    std::bitset<replay_window> seen_;  // bit `age`: counter next_ - 1 - age
    std::uint64_t next_ = 0;           // one above the highest accepted
};

class ReplayGuard {
public:
    // Code::conflict: opened before, or older than the window. Code::too_large: no room for another
    // sender or boot nonce now.
    [[nodiscard]] base::Status check(identity::NodeId const& sender, BootNonce const& boot,
                                     std::uint64_t counter) const;
    // Call only behind a check() that succeeded, for an envelope that opened. `forget_at`: when all
    // that this boot nonce sealed until now is stale.
    void accept(identity::NodeId const& sender, BootNonce const& boot, std::uint64_t counter,
                base::UnixTime forget_at);
    void expire(base::UnixTime now);

    [[nodiscard]] std::size_t senders_count() const { return senders_.size(); }

private:
    struct Boot {
        CounterWindow window;
        base::UnixTime forget_at{};
    };
    std::map<identity::NodeId, std::map<BootNonce, Boot>> senders_;
};

}  // namespace kith::proto::sealed_gossip
