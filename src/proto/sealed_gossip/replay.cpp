#include "proto/sealed_gossip/replay.h"

#include <algorithm>

namespace kith::proto::sealed_gossip {

using base::Code;
using base::fail;
using base::Status;
using base::UnixTime;
using identity::NodeId;

bool CounterWindow::is_new(std::uint64_t counter) const {
    if (counter >= next_) return true;
    auto const age = next_ - 1 - counter;
    return age < replay_window && !seen_[age];
}

void CounterWindow::accept(std::uint64_t counter) {
    if (counter >= next_) {
        auto const by = counter + 1 - next_;
        seen_ = by >= replay_window ? std::bitset<replay_window>() : seen_ << by;
        next_ = counter + 1;
    }
    if (auto const age = next_ - 1 - counter; age < replay_window) seen_.set(age);
}

Status ReplayGuard::check(NodeId const& sender, BootNonce const& boot,
                          std::uint64_t counter) const {
    auto const known = senders_.find(sender);
    if (known == senders_.end()) {
        if (senders_.size() >= senders_max)
            return fail(Code::too_large, "sealed gossip: too many senders");
        return {};
    }
    auto const window = known->second.find(boot);
    if (window == known->second.end()) {
        if (known->second.size() >= boots_per_sender_max)
            return fail(Code::too_large, "sealed gossip: the sender restarts too often");
        return {};
    }
    if (!window->second.window.is_new(counter))
        return fail(Code::conflict, "sealed gossip: seen before");
    return {};
}

void ReplayGuard::accept(NodeId const& sender, BootNonce const& boot, std::uint64_t counter,
                         UnixTime forget_at) {
    auto& known = senders_[sender][boot];
    known.window.accept(counter);
    known.forget_at = std::max(known.forget_at, forget_at);
}

void ReplayGuard::expire(UnixTime now) {
    for (auto& [sender, boots] : senders_)
        std::erase_if(boots, [now](auto const& entry) { return entry.second.forget_at < now; });
    std::erase_if(senders_, [](auto const& entry) { return entry.second.empty(); });
}

}  // namespace kith::proto::sealed_gossip
