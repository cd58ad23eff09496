#include "node/services/gossip_judge.h"

#include "base/sabotage.h"

namespace kith::node {

using proto::gossip::Verdict;
using proto::sealed_gossip::Fault;

GossipJudgement judge(proto::sealed_gossip::Refusal const& refusal) {
    GossipJudgement judgement{.verdict = Verdict::ignore, .to_blame = {}};
    if (refusal.fault == Fault::origin) judgement.to_blame = refusal.origin;
    if (KITH_GUARD("S36.spares_relay", refusal.fault == Fault::relay))
        judgement.verdict = Verdict::reject;
    return judgement;
}

}  // namespace kith::node
