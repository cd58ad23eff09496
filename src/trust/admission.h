// trust/admission.h: may this peer be spoken to at all? Facts in, decision out; no state, no I/O
// (DESIGN 2, 4).
#pragma once

#include <string_view>

namespace kith::trust {

enum class Policy {
    members,  // inside a swarm: only who is on the signed, leased member list
};

// What is known about a peer whose key the link has proved.
struct PeerFacts {
    bool in_swarm = false;   // this node belongs to a swarm
    bool has_lease = false;  // the member list is fresh enough to act on (P5)
    bool on_list = false;    // the proved key is that of a member who is not revoked
};

struct Decision {
    bool allow = false;
    std::string_view reason;  // for logs and `kith peers`; a constant
};

Decision admit(Policy policy, PeerFacts const& facts);

}  // namespace kith::trust
