// node/membership/coordinator.h: keeps the membership log, counts the uses of invites and hands out
// the wrapped secret (DESIGN 6).
//
// It can refuse service. It cannot add a member (every entry needs an invite key the operator's
// root has signed), and of the swarm secret it stores only ciphertext under keys it does not have
// (P10, C1). Today it runs inside the operator's node, on the same store; the operator's own secret
// is in swarm.key, never in the coordinator's tables.
#pragma once

#include <map>

#include "identity/identity.h"
#include "node/link/link.h"
#include "node/membership/swarm.h"
#include "ports/rng.h"
#include "proto/membership/registry.h"
#include "schema/wire.pb.h"

namespace kith::node {

inline constexpr std::size_t invites_max = 10'000;
inline constexpr std::size_t note_chars_max = 500;
// Each new binding costs every member the check of a new list.
inline constexpr std::int64_t binding_update_interval_s = 60;
inline constexpr std::int64_t invite_lifetime_default_s = 24 * 3600;  // P16, C4
inline constexpr std::int64_t invite_lifetime_max_s = 365 * 24 * 3600;

struct InviteOptions {
    std::uint32_t uses_max = 1;
    std::int64_t lifetime_s =
        invite_lifetime_default_s;  // 0: never expires, only on an explicit wish (P17)
    std::string note;
};

struct IssuedInvite {
    std::string token;  // shown once; the caller wipes it
    proto::membership::LookupId lookup_id{};
    std::uint32_t uses_max = 0;
    base::UnixTime expires{};
};

class Coordinator {
public:
    struct Edges {
        identity::Identity const& identity;  // the operator's; all three outlive the coordinator
        ports::Rng& rng;
        ports::Store& store;
    };
    // Reads the log and signs the current list.
    static base::Result<Coordinator> create(Edges edges, Swarm const& swarm, base::UnixTime now);

    base::Result<IssuedInvite> create_invite(InviteOptions const& options, Swarm const& swarm,
                                             std::vector<std::string> const& addresses,
                                             base::UnixTime now);
    // By the first characters of the hex lookup id, at least 8; Code::conflict when they fit
    // several.
    base::Result<proto::membership::LookupId> revoke_invite(std::string_view prefix);
    base::Result<std::vector<ports::InviteRow>> invites();

    // A stranger whose key the link has proved asks to become a member. Everything is verified
    // before the invite is counted; the sentence of an error may be told to the stranger.
    base::Result<wire::v1::Grant> redeem(wire::v1::JoinRequest const& request,
                                         AuthenticatedPeer const& peer, Swarm const& swarm,
                                         base::UnixTime now);
    // A member of today's list shows its binding, renewed or with exchanged keys: the signatures in
    // it prove it, whoever carries it. Code::conflict: it was replaced already. Code::corrupt: its
    // root signed two bindings of one number. Code::unavailable: more than one in
    // binding_update_interval_s. True: there is a new list.
    base::Result<bool> update_binding(base::ByteView binding, base::UnixTime now);
    // The same over a bare link, from a machine that proves the key in it; the answer has the list
    // unless the member has it. The secret of the epoch is the caller's to add.
    base::Result<wire::v1::Grant> refresh(wire::v1::JoinRequest const& request,
                                          AuthenticatedPeer const& peer, Swarm const& swarm,
                                          base::UnixTime now);
    // Code::invalid: the operator. Code::too_large: as many were removed as can be remembered.
    [[nodiscard]] base::Status check_can_remove(identity::RootId const& root) const;
    // Signs that this member is none any more, for ever, and a list without it (P19).
    base::Status remove(identity::RootId const& root, base::UnixTime now);
    // The next list, after the operator's own binding changed.
    base::Status renew_list(base::UnixTime now) { return rebuild(now); }

    // A member asks whether its list is the newest.
    wire::v1::ListReply answer_poll(wire::v1::ListRequest const& request,
                                    identity::NodeId const& from);
    // The list as a push, for members that are connected when it changes.
    wire::v1::ListReply push() const;

    [[nodiscard]] base::Bytes const& list() const { return encoded_; }
    [[nodiscard]] std::uint64_t list_version() const { return version_; }
    void set_addresses(identity::NodeId const& node, std::vector<std::string> addresses);
    // Where the member said it listens; empty when it has not said so since this node started.
    [[nodiscard]] std::vector<std::string> addresses_of(identity::NodeId const& node) const;

private:
    Coordinator(Edges edges, proto::membership::SwarmId swarm_id)
        : edges_(edges), swarm_id_(swarm_id) {}
    base::Status rebuild(base::UnixTime now);
    base::Result<base::Bytes> entry_for(wire::v1::JoinRequest const& request,
                                        AuthenticatedPeer const& peer, base::UnixTime now) const;
    base::Status check_not_removed(identity::RootId const& root) const;
    enum class Standing { stranger, known, newer };
    struct Known {
        Standing standing = Standing::stranger;
        proto::membership::Entry entry{};  // of the log, unless a stranger's
    };
    base::Result<Known> known_by(identity::IdentityBinding const& binding) const;
    void forget_key(crypto::Ed25519PublicKey const& key);
    void add_addresses(wire::v1::ListReply& reply) const;

    Edges edges_;
    proto::membership::SwarmId swarm_id_;
    base::Bytes encoded_;
    std::uint64_t version_ = 0;
    bool is_behind_ = false;  // the log has what the list has not: the last rebuild() failed
    base::ByteArray<32> hash_{};
    std::map<identity::NodeId, std::vector<std::string>>
        addresses_;                                       // of members only; at most members_max
    std::map<identity::RootId, base::UnixTime> updated_;  // members' last new binding
    std::map<crypto::Ed25519PublicKey, identity::RootId> keys_;  // of the members in the log
};

// At most four addresses of at most 128 characters each that parse as multiaddrs; the rest is
// dropped.
std::vector<std::string> acceptable_addresses(
    google::protobuf::RepeatedPtrField<std::string> const& addresses);

}  // namespace kith::node
