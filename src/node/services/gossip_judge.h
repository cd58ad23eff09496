// node/services/gossip_judge.h: what follows from sealed gossip that was refused (S36): for the
// router that asked whether to pass the bytes on, and for the score of the member who is at fault.
#pragma once

#include <optional>

#include "proto/gossip/router_types.h"
#include "proto/sealed_gossip/envelope.h"

namespace kith::node {

struct GossipJudgement {
    // reject: only where an honest relay would have refused it too (it checks the signature); P4
    // then falls on who sent it to us. Everything else is ignore: not forwarded, no relay punished.
    proto::gossip::Verdict verdict;
    // The member whose own signature proves that he said it.
    std::optional<identity::NodeId> to_blame;
};

GossipJudgement judge(proto::sealed_gossip::Refusal const& refusal);

}  // namespace kith::node
