// proto/membership/member_list.h: who is in the swarm, as a signed, versioned document.
//
// Layout (big endian): version u8 = 1, swarm_id 32, list version u64, issued i64, operator binding
// (u16 prefixed), entry count u16, entries {binding u16 prefixed, certificate u16 prefixed,
// statement signature 64, joined i64}, revocation count u16, revocations {root_id 32, time i64,
// signature 3309}, then the coordinator's Ed25519 signature over "kith/member-list/v1" ||
// SHA-256(everything before it).
//
// The coordinator's signature stops others from inventing versions; each entry is proved by its own
// chain, each revocation by the operator's root, so the coordinator can neither add a member nor
// bring a revoked one back.
#pragma once

#include <map>
#include <vector>

#include "proto/membership/certificate.h"

namespace kith::proto::membership {

inline constexpr std::size_t members_max = 256;
inline constexpr std::size_t revocations_max = 1024;
inline constexpr std::size_t list_bytes_max = 8 * 1024 * 1024;

struct Entry {
    base::Bytes binding;  // encoded identity::IdentityBinding
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

// One member whose whole chain was checked.
class VerifiedMember {
public:
    identity::RootId const& root_id() const { return root_id_; }
    identity::NodeId const& node_id() const { return node_id_; }
    identity::Address const& address() const { return address_; }
    crypto::X25519PublicKey const& static_key() const { return static_key_; }  // for Tier 1
    identity::RootPublicKey const& root_key() const { return root_key_; }      // for root proofs
    bool is_operator() const { return is_operator_; }

private:
    friend class ListChecker;
    VerifiedMember(identity::VerifiedBinding const& binding, bool is_operator);
    identity::RootId root_id_;
    identity::NodeId node_id_;
    identity::Address address_;
    crypto::X25519PublicKey static_key_{};
    identity::RootPublicKey root_key_{};
    bool is_operator_ = false;
    bool expired_ = false;  // of a member under check; expired ones never leave ListChecker
};

// A list whose signature, chains, uses and revocations were all checked. Revoked members are not in
// members().
class VerifiedList {
public:
    std::uint64_t version() const { return list_.version; }
    base::ByteArray<32> const& hash() const { return hash_; }  // SHA-256 of the encoded list
    std::vector<VerifiedMember> const& members() const { return members_; }
    MemberList const& document() const { return list_; }
    base::Bytes const& encoded() const { return encoded_; }
    VerifiedMember const* find(identity::NodeId const& node) const;

private:
    friend class ListChecker;
    VerifiedList() = default;
    MemberList list_;
    base::ByteArray<32> hash_{};
    base::Bytes encoded_;
    std::vector<VerifiedMember> members_;
};

// Checks lists of one swarm. Costs two ML-DSA verifications per member, so about 0.1 s for a full
// list; lists are only checked when their version changes.
class ListChecker {
public:
    struct Anchors {
        SwarmId swarm_id{};
        identity::RootId operator_root;    // from the token
        identity::NodeId coordinator_key;  // whose operational key signs lists
    };
    explicit ListChecker(Anchors anchors);

    // `now` only decides the validity of bindings. Errors: Code::unauthorized (a signature or chain
    // fails), Code::invalid, Code::too_large.
    base::Result<VerifiedList> check(base::Bytes encoded, base::UnixTime now);

private:
    base::Result<MemberList> parse_signed(base::ByteView encoded) const;
    base::Status check_members(VerifiedList& list, base::UnixTime now);
    using Uses = std::map<LookupId, std::uint32_t>;
    base::Result<VerifiedMember> check_entry(Entry const& entry, Uses& uses,
                                             base::UnixTime now) const;
    base::Status check_revocations(MemberList const& list) const;

    Anchors anchors_;
    identity::RootPublicKey
        operator_key_{};  // from the operator's binding, once it matched operator_root
};

}  // namespace kith::proto::membership
