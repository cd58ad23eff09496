#include "trust/admission.h"

#include "base/sabotage.h"

namespace kith::trust {

Decision admit(Policy policy, PeerFacts const& facts) {
    switch (policy) {
        case Policy::members:
            if (!KITH_GUARD("P2.in_swarm", facts.in_swarm))
                return {false, "this node is in no swarm"};
            if (!KITH_GUARD("P5.fail_closed", facts.has_lease))
                return {false, "the member list is not fresh"};
            if (!KITH_GUARD("P2.member", facts.on_list)) return {false, "untrusted peer ID"};
            return {true, "member"};
    }
    return {false, "unknown policy"};
}

}  // namespace kith::trust
