// proto/membership/registry.h: the newest member list this node believes, and whether it may still
// act on it.
//
//   empty --list--> fresh --29 s without an answer to a poll--> stale --answer--> fresh
//
// Invariants: 1. the list version never goes back, also across restarts (the caller persists
// encoded()).
//             2. two lists of one version with different content are an alarm, never a choice.
//             3. a revocation that this node has seen stays: a later list without it is refused.
//             4. the counter of a root's binding never goes back (E5), also across restarts.
//             5. without a lease nobody is a member (fail closed, P5): the lease counts on this
//             node's monotonic clock from
//                the moment it SENT the poll that brought the newest answer
//                (research/reliability.md 0.2).
#pragma once

#include <optional>

#include "proto/membership/member_list.h"

namespace kith::proto::membership {

inline constexpr base::Duration lease_length = std::chrono::seconds(29);
inline constexpr base::Duration poll_interval = std::chrono::seconds(8);

// Roots whose newest binding is remembered; beyond it those that are no members are forgotten
// first.
inline constexpr std::size_t binding_marks_max = 4096;

using Nonce = base::ByteArray<16>;

// The coordinator's answer to a poll: "kith/member-list-fresh/v1" || swarm_id || nonce || version
// || list hash, signed with its operational key. Layout on the wire: nonce 16, version u64, hash
// 32, signature 64.
base::Bytes fresh_statement(SwarmId const& swarm_id, Nonce const& nonce, std::uint64_t version,
                            base::ByteArray<32> const& hash);
base::Bytes encode_fresh(Nonce const& nonce, std::uint64_t version, base::ByteArray<32> const& hash,
                         crypto::Ed25519Signature const& signature);

class Registry {
public:
    explicit Registry(ListChecker::Anchors anchors);

    // What earlier lists said of each root; call before the first offer().
    void remember(BindingMarks marks) { marks_ = std::move(marks); }
    // Of all bindings ever seen here, the newest per root; the caller persists them.
    [[nodiscard]] BindingMarks const& marks() const { return marks_; }

    // A list from disk, a join, a push or a poll. True: it replaced the one before. False: not
    // newer. Look at list()->conflicts() after a true one.
    base::Result<bool> offer(base::Bytes encoded, base::UnixTime now);
    // The list this node stored itself: valid then, whatever the clock says now. Before any other.
    base::Status restore(base::Bytes encoded, base::UnixTime now);
    // Bindings begin and run out while a list stands. True: there are other members now.
    bool reconsider(base::UnixTime now) { return list_ && list_->reconsider(now); }

    // Poll bookkeeping: the nonce to send, then the answer (after its list, if any, was offered).
    void poll_sent(Nonce const& nonce, base::Instant now);
    base::Status poll_answered(base::ByteView fresh);
    // The coordinator itself needs no lease: it holds the log.
    void grant_own_lease();

    [[nodiscard]] bool has_lease(base::Instant now) const;
    [[nodiscard]] double lease_seconds_left(base::Instant now) const;
    [[nodiscard]] bool poll_due(base::Instant now) const;
    [[nodiscard]] VerifiedList const* list() const { return list_ ? &*list_ : nullptr; }

    // The member with this key if it may be served right now: on the list, and the list is leased.
    [[nodiscard]] VerifiedMember const* serveable(identity::NodeId const& node,
                                                  base::Instant now) const;

private:
    void mark_members();

    ListChecker::Anchors anchors_;
    ListChecker checker_;
    BindingMarks marks_;  // at most binding_marks_max
    std::optional<VerifiedList> list_;
    std::optional<Nonce> poll_nonce_;
    std::optional<base::Instant> poll_sent_at_;
    std::optional<base::Instant> lease_from_;
    bool own_lease_ = false;
};

}  // namespace kith::proto::membership
