// node/membership/membership_upkeep.h: what a node remembers while it keeps its own membership
// alive: when to renew its binding and to show it to the coordinator, and whether it has to ask the
// coordinator over a bare link for what a session cannot bring (node_membership.cpp).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "node/link/link.h"
#include "ports/network_core.h"
#include "wire/frame.h"

namespace kith::node {

inline constexpr base::Duration renewal_retry = std::chrono::minutes(10);
inline constexpr base::Duration announce_retry = std::chrono::seconds(15);
inline constexpr std::size_t alarms_max = 16;  // different sentences; further ones are only logged

// A request on the join stream of the coordinator, by a machine that is a member already: its key
// or its secret is not the one that a session needs.
struct Refresh {
    ports::ConnectionId connection{};
    StreamId stream{};
    wire::FrameReader reader;
};

struct MembershipUpkeep {
    base::Instant renew_at{};
    base::Instant announce_at{};
    bool secret_may_be_old = false;  // the last session with the coordinator did not come about
    std::optional<Refresh> refresh;
    base::Bytes epoch_signature;  // of the operator's root, for the present epoch; empty: not yet
    std::vector<identity::RootId> untold;  // members with a session that lack the present secret
    std::vector<std::string> alarms;       // for `kith status`
};

// What `kith peers kick` did.
struct Kicked {
    identity::Address address;
    identity::NodeId node;
    std::uint64_t list_version = 0;
    std::uint64_t epoch = 0;
    std::size_t told_count = 0;  // members that got the new secret at once
    std::size_t left_count = 0;  // members that get it at their next contact
};

}  // namespace kith::node
