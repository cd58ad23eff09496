// trust/admission.h: may this peer be spoken to at all? Facts in, decision out; no state, no I/O
// (DESIGN 2, 4). And what is said when the answer is no.
//
// Inside a swarm only the signed member list decides who is served. The other policies are about
// links to peers outside of it: whether such a link stays up. None of them switches authentication
// or encryption off; a peer reaches this code only after the link has proved its key.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace kith::trust {

enum class Policy {
    members,     // only who is on the signed, leased member list
    tofu,        // trust on first use: an address keeps the key that it first proved (M10)
    allow_list,  // only keys the user has listed in full (M11)
    allow_all,   // everybody; for closed networks (M12)
};
std::optional<Policy> parse_policy(std::string_view word);
std::string_view policy_name(Policy policy);

// What is remembered of the address at which a key was just proved.
enum class Pin {
    none,   // this address was never seen, or the link has none (it was accepted, not dialled)
    same,   // the key is the pinned one
    other,  // another key is pinned there
};

// What is known about a peer whose key the link has proved.
struct PeerFacts {
    bool in_swarm = false;   // this node belongs to a swarm
    bool has_lease = false;  // the member list is fresh enough to act on (P5)
    bool on_list = false;    // the proved key is that of a member who is not revoked
    Pin pin = Pin::none;
    bool listed = false;  // the whole key is in the user's allow_list
};

struct Decision {
    bool allow = false;
    std::string_view reason;  // for logs and `kith peers`; a constant
};

Decision admit(Policy policy, PeerFacts const& facts);

// Why two machines did not come together (M13). The words are an interface.
enum class PairFailure { untrusted_peer, handshake_rejected, timeout };
inline constexpr std::string_view untrusted_peer_words = "untrusted peer ID";             // M14
inline constexpr std::string_view handshake_rejected_words = "noise handshake rejected";  // M15
inline constexpr std::string_view timeout_words = "timeout";                              // M16
std::string_view words_of(PairFailure failure);

// How far a link had come when it ended.
enum class LinkStage { connecting, handshake, proved };

// nullopt: nobody was there to pair with (refused, unreachable), or this node ended the link for a
// reason of its own. A proved link that is refused is `untrusted_peer`, which the caller knows.
std::optional<PairFailure> classify(LinkStage stage, base::Code code);

// M20: what a person reads when an address proves another key than before. There is no option that
// goes on regardless: the only way is to compare, forget, and pair again.
struct Mismatch {
    std::string address;
    std::string pinned_id;  // whole ids in hex, to be compared
    std::string proved_id;
    std::string pinned_short;  // what `kith peers forget` takes
};
std::string mismatch_warning(Mismatch const& mismatch);
// The same for a peer that was dialled by its id, and whoever answered could not prove to be it.
std::string impersonation_warning(std::string_view address, std::string_view expected_id);

}  // namespace kith::trust
