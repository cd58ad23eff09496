// node/peers/pairing.h: links to peers outside the swarm: whether one may stay up, which key each
// dialled address had first, and why pairings failed (M10-M16, M19).
//
// What is pinned is the address this node dialled, since reaching it is what the key vouches for.
// An accepted link has no such address: its port is chance and its host may be the NAT of many, so
// there the key alone says who it is, and nothing is pinned.
//
// Invariants: 1. the store changes only in remember() and forget(); remember() takes a peer whose
// key a link has proved, which nobody else can make (M10). 2. pins_count() <= pins_max. 3. at most
// failures_per_reason_max failures of one reason are kept, so a flood of one kind hides no other.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "node/link/link.h"
#include "ports/network_core.h"
#include "ports/store.h"
#include "trust/admission.h"

namespace kith::node {

inline constexpr std::size_t pins_max = 4096;
inline constexpr std::size_t allow_list_max = 1024;
inline constexpr std::size_t failures_per_reason_max = 32;
inline constexpr std::size_t short_id_chars_min = 8;

struct TrustOptions {
    trust::Policy policy = trust::Policy::members;
    std::vector<std::string> allow_list;  // whole node ids in hex, or peer ids
};

// Whole ids only: a short one is also that of every key an attacker makes to fit it (M11).
// Code::invalid names the entry; Code::too_large above allow_list_max. Entries may repeat.
base::Result<std::set<identity::NodeId>> parse_allow_list(std::vector<std::string> const& entries);

// One pair_failed event; the same failure again counts up in `times`.
struct PairFailed {
    trust::PairFailure reason;
    std::optional<identity::NodeId> peer;  // the proved key, or the one that was expected
    ports::SocketAddress address;          // port 0: the other side dialled us
    base::UnixTime last{};
    std::uint64_t times = 1;
    std::string sentence;  // what happened; with a changed key the STOP text (M20)
};

class Pairing {
public:
    // `store` outlives it. Code::corrupt: a stored pin is unreadable.
    static base::Result<Pairing> create(TrustOptions const& options, ports::Store& store);

    [[nodiscard]] trust::Policy policy() const { return policy_; }

    struct Verdict {
        bool allow = false;
        std::string sentence;  // of a refusal
    };
    // `dialled`: the address this link was dialled at; nullptr for an accepted one.
    [[nodiscard]] Verdict judge(AuthenticatedPeer const& peer,
                                ports::SocketAddress const* dialled) const;
    // Pins the proved key to the address, unless one is pinned there. Code::too_large at pins_max.
    base::Status remember(AuthenticatedPeer const& peer, ports::SocketAddress const& dialled);
    // Removes every pin of the key; how many there were.
    base::Result<std::size_t> forget(identity::NodeId const& peer);
    [[nodiscard]] std::vector<identity::NodeId> pinned() const;
    [[nodiscard]] std::size_t pins_count() const { return pins_.size(); }

    // Returns the event as it stands now.
    PairFailed const& note_failure(PairFailed failure);
    // This key was replaced by its owner: that nobody proves it any more is no warning now.
    void settle(identity::NodeId const& replaced);
    // How many failures of connections that came in were noted since the start.
    [[nodiscard]] std::uint64_t inbound_failures_count() const { return inbound_failures_count_; }
    [[nodiscard]] std::vector<PairFailed> const& failures() const { return failures_; }

private:
    Pairing(trust::Policy policy, std::set<identity::NodeId> allowed, ports::Store& store)
        : policy_(policy), allowed_(std::move(allowed)), store_(&store) {}

    trust::Policy policy_;
    std::set<identity::NodeId> allowed_;
    ports::Store* store_;
    std::map<std::string, identity::NodeId> pins_;  // by address, as multiaddr
    std::vector<PairFailed> failures_;              // oldest first
    std::uint64_t inbound_failures_count_ = 0;
};

// "/ip4/1.2.3.4/tcp/8810"
std::string address_text(ports::SocketAddress const& address);

// The one id of `candidates` that `text` means: at least short_id_chars_min hex characters of its
// beginning, or the peer id. Code::invalid, not_found, or conflict (several fit; the sentence shows
// enough of them to tell them apart).
base::Result<identity::NodeId> resolve_short_id(std::string_view text,
                                                std::set<identity::NodeId> const& candidates);

}  // namespace kith::node
