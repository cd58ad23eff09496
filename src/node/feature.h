// node/feature.h: what a feature (ask, host, connect) hears from the node. All calls come on the
// loop thread.
#pragma once

#include <optional>

#include "base/time.h"
#include "node/dispatch/dispatch.h"

namespace kith::node {

class Feature {
public:
    virtual ~Feature() = default;
    virtual void on_control(AuthenticatedControl const& message, base::Instant now) = 0;
    virtual void on_activation(AuthenticatedActivation message, base::Instant now) = 0;
    // The Tier 1 session with a member is ready, or is gone (the member may have left, crashed or
    // been cut off).
    virtual void on_peer_up(identity::NodeId const& peer, base::Instant now) = 0;
    virtual void on_peer_down(identity::NodeId const& peer, base::Error const& reason,
                              base::Instant now) = 0;
    [[nodiscard]] virtual std::optional<base::Instant> deadline() const = 0;
    virtual void on_deadline(base::Instant now) = 0;
};

}  // namespace kith::node
