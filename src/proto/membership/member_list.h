// proto/membership/member_list.h: who is in the swarm, as a signed, versioned document.
//
// Layout (big endian): version u8 = 2, swarm_id 32, list version u64, issued i64, operator binding
// (u16 prefixed), entry count u16, entries {binding u16 prefixed, certificate u16 prefixed,
// statement signature 64, joined i64}, revocation count u16, revocations {root_id 32, time i64,
// signature 3309}, then the coordinator's Ed25519 signature over "kith/member-list/v1" ||
// SHA-256(everything before it).
//
// The coordinator's signature stops others from inventing versions; each entry is proved by its own
// chain, each revocation by the operator's root, so the coordinator can neither add a member nor
// bring a revoked one back. An entry carries the binding that counts now: the invite key vouched
// for the root, and the root for the binding, however often it was renewed since. Layout version 1
// (statements over the first binding) is refused: a list of it could not outlive its bindings.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "proto/membership/certificate.h"

namespace kith::proto::membership {

inline constexpr std::size_t members_max = 256;
inline constexpr std::size_t revocations_max = 1024;
inline constexpr std::size_t list_bytes_max = 8 * 1024 * 1024;

struct Entry {
    base::Bytes binding;  // the root's newest, encoded identity::IdentityBinding
    base::Bytes certificate;
    crypto::Ed25519Signature statement_signature{};
    base::UnixTime joined{};
};

// The same layout as inside the list; how the coordinator keeps its log.
base::Bytes encode_entry(Entry const& entry);
base::Result<Entry> decode_entry(base::ByteView bytes);

struct Revocation {
    identity::RootId root_id;
    base::UnixTime time{};
    base::Bytes signature;  // operator's root over revocation_body(), context "kith/revocation/v1"
};
base::Bytes revocation_body(SwarmId const& swarm_id, identity::RootId const& root_id,
                            base::UnixTime time);

struct MemberList {
    SwarmId swarm_id{};
    std::uint64_t version = 0;
    base::UnixTime issued{};
    base::Bytes operator_binding;
    std::vector<Entry> entries;
    std::vector<Revocation> revocations;
};

base::Bytes encode_list_body(MemberList const& list);
// What the coordinator's operational key signs for a body.
base::Bytes list_statement(base::ByteView body);
base::Bytes append_list_signature(base::Bytes body, crypto::Ed25519Signature const& signature);

// Which binding of a root was seen last. A lower counter never comes back, and one counter never
// means two bindings (E5): the keys of a binding that was replaced may be in a thief's hands.
struct BindingMark {
    std::uint64_t counter = 0;
    base::ByteArray<32> digest{};  // SHA-256 of the encoded binding

    bool operator==(BindingMark const&) const = default;
};
using BindingMarks = std::map<identity::RootId, BindingMark>;
BindingMark mark_of(identity::IdentityBinding const& binding);

// What a list holds against the marks: the member it is about is not served by that list.
enum class Conflict {
    replaced,      // the binding was replaced by one this node has seen: somebody plays it back
    equivocation,  // its root signed two bindings with one counter: a copied identity, or a lie
};
struct BindingConflict {
    Conflict conflict;
    identity::RootId root_id;
    base::Bytes binding;  // as the list had it: evidence
};

// One member whose whole chain was checked.
class VerifiedMember {
public:
    identity::RootId const& root_id() const { return root_id_; }
    identity::NodeId const& node_id() const { return node_id_; }
    identity::Address const& address() const { return address_; }
    crypto::X25519PublicKey const& static_key() const { return static_key_; }  // for Tier 1
    identity::RootPublicKey const& root_key() const { return root_key_; }      // for root proofs
    BindingMark const& mark() const { return mark_; }  // the binding all of this is from
    base::UnixTime not_before() const { return not_before_; }
    base::UnixTime not_after() const { return not_after_; }
    bool is_operator() const { return is_operator_; }

private:
    friend class ListChecker;
    VerifiedMember(identity::VerifiedBinding const& binding, bool is_operator);
    identity::RootId root_id_;
    identity::NodeId node_id_;
    identity::Address address_;
    crypto::X25519PublicKey static_key_{};
    identity::RootPublicKey root_key_{};
    BindingMark mark_;
    base::UnixTime not_before_{};
    base::UnixTime not_after_{};
    bool is_operator_ = false;
};

// A list whose signature, chains, uses and revocations were all checked. Revoked members are not in
// members().
class VerifiedList {
public:
    std::uint64_t version() const { return list_.version; }
    base::ByteArray<32> const& hash() const { return hash_; }  // SHA-256 of the encoded list
    std::vector<VerifiedMember> const& members() const { return members_; }
    // Also those whose binding has run out, or begins later.
    std::vector<VerifiedMember> const& listed() const { return listed_; }
    MemberList const& document() const { return list_; }
    base::Bytes const& encoded() const { return encoded_; }
    VerifiedMember const* find(identity::NodeId const& node) const;
    VerifiedMember const* find(identity::RootId const& root) const;
    std::vector<BindingConflict> const& conflicts() const { return conflicts_; }
    // Who is a member changes with the clock, since bindings begin and run out. The operator stays
    // as the head of the list. True: members() has changed.
    bool reconsider(base::UnixTime now);

private:
    friend class ListChecker;
    VerifiedList() = default;
    MemberList list_;
    base::ByteArray<32> hash_{};
    base::Bytes encoded_;
    std::vector<VerifiedMember> listed_;   // members whether or not their binding is valid now
    std::vector<VerifiedMember> members_;  // those of listed_ whose binding is
    std::vector<BindingConflict> conflicts_;
};

// Checks lists of one swarm. Costs two ML-DSA verifications per member, so about 0.1 s for a full
// list; what stood in the list checked before, byte for byte, is not verified again.
class ListChecker {
public:
    struct Anchors {
        SwarmId swarm_id{};
        identity::RootId operator_root;    // from the token
        identity::NodeId coordinator_key;  // whose operational key signs lists
    };
    explicit ListChecker(Anchors anchors);

    // `now` only decides the validity of bindings. A member whose binding goes against `seen` is
    // left out and reported by conflicts(); with the operator's binding the whole list falls.
    // Errors: Code::unauthorized (a signature or chain fails), Code::corrupt (the operator's
    // binding goes against `seen`), Code::invalid, Code::too_large.
    base::Result<VerifiedList> check(base::Bytes encoded, base::UnixTime now,
                                     BindingMarks const& seen = {});
    // For a list that was checked before and kept on disk: the operator's binding may have run out
    // since, or the clock be wrong. It decides nothing until a poll is answered.
    base::Result<VerifiedList> check_again(base::Bytes encoded, base::UnixTime now,
                                           BindingMarks const& seen);

private:
    base::Result<MemberList> parse_signed(base::ByteView encoded) const;
    base::Result<VerifiedMember> check_operator(MemberList const& list, base::UnixTime now,
                                                BindingMarks const& seen);
    enum class OperatorDates { hold, may_be_over };
    base::Result<VerifiedList> check_all(base::Bytes encoded, base::UnixTime now,
                                         BindingMarks const& seen, OperatorDates dates);
    base::Status check_members(VerifiedList& list, base::UnixTime now, BindingMarks const& seen);
    using Digest = base::ByteArray<32>;
    using Uses = std::map<LookupId, std::uint32_t>;
    struct Checked {  // an entry whose signatures hold
        VerifiedMember member;
        LookupId lookup_id{};
        std::uint32_t uses_max = 0;
    };
    struct Memory {  // of one list, so at most members_max and revocations_max
        std::map<Digest, Checked> entries;
        std::set<Digest> revocations;
    };
    base::Result<Checked> verify_entry(Entry const& entry, base::UnixTime now) const;
    base::Result<VerifiedMember> check_entry(Entry const& entry, Uses& uses, Memory& checked,
                                             base::UnixTime now) const;
    base::Status check_revocations(MemberList const& list, Memory& checked) const;

    Anchors anchors_;
    Memory memory_;  // by SHA-256 of an entry or a revocation as it stands in the list
    identity::RootPublicKey
        operator_key_{};  // from the operator's binding, once it matched operator_root
};

}  // namespace kith::proto::membership
