// identity/nickname.h: the name a node gives itself, signed, and who holds which one (S30, S31).
//
// A nickname is decoration: two nodes may have the same one, so whoever shows one shows the node id
// beside it, and nothing is ever decided by it.
//
// Layout (big endian): version u8 = 1, node id 32, unix time i64, sequence u64, name u16 prefixed,
// Ed25519 signature 64 of the node's operational key over "kith/nickname/v1" || all before.
//
// Of two records of one node the later timestamp wins (S30), provided its sequence is higher as
// well, so that a machine whose clock was set back cannot be fed its own old name. Of two with the
// same timestamp the one with the lower SHA-256 wins, everywhere the same. A timestamp more than
// 30 s ahead is refused: it would hold the name until then (C27).
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/hash.h"
#include "identity/identity.h"
#include "identity/node_id.h"

namespace kith::identity {

inline constexpr std::size_t nickname_chars_max = 32;  // Unicode code points
inline constexpr std::size_t nickname_bytes_max = 4 * nickname_chars_max;
inline constexpr std::size_t nickname_record_bytes_max =
    1 + 32 + 8 + 8 + 2 + nickname_bytes_max + 64;
inline constexpr std::size_t nicknames_max = 10'000;     // S31
inline constexpr std::int64_t nickname_future_max = 30;  // s

// 1 to 32 characters of valid UTF-8 (RFC 3629), without control characters, without marks that
// change the direction of text or that nobody sees, and without a space at either end.
base::Status check_nickname(std::string_view name);

struct Nickname {
    NodeId node;
    std::string name;
    base::UnixTime time{};
    std::uint64_t sequence = 0;
};

// Asserts check_nickname(). The node is the identity's own.
base::Bytes sign_nickname(Identity const& identity, std::string const& name, base::UnixTime time,
                          std::uint64_t sequence);

// A record whose layout and signature hold, so content().node is to answer for it. Whether its name
// is allowed, and newer, and of a member, is the registry's to say.
class VerifiedNickname {
public:
    [[nodiscard]] Nickname const& content() const { return content_; }
    [[nodiscard]] base::Bytes const& encoded() const { return encoded_; }
    [[nodiscard]] crypto::Sha256Digest const& hash() const { return hash_; }

private:
    friend class NicknameChecker;
    VerifiedNickname(Nickname content, base::Bytes encoded);
    Nickname content_;
    base::Bytes encoded_;
    crypto::Sha256Digest hash_;
};

class NicknameChecker {
public:
    // Code::too_large, invalid: not a record. Code::unauthorized: the signature fails.
    static base::Result<VerifiedNickname> check(base::ByteView record);
};

class NicknameRegistry {
public:
    // Who may have a nickname here: members of the swarm.
    using IsMember = std::function<bool(NodeId const&)>;

    // True: it is the node's name now. False: the one that is known wins. Code::forbidden: not a
    // member. Code::invalid: the name breaks a rule, or the time is too far ahead. Code::conflict:
    // later, but of a lower sequence. Code::too_large: nicknames_max members have one.
    // At nicknames_max the names of nodes that are no members any more make room; the name of a
    // member is never dropped for another.
    base::Result<bool> offer(VerifiedNickname record, IsMember const& is_member,
                             base::UnixTime now);
    // Drops the names of nodes that are no members.
    void keep(IsMember const& is_member);

    [[nodiscard]] VerifiedNickname const* find(NodeId const& node) const;
    [[nodiscard]] std::size_t size() const { return names_.size(); }

private:
    std::map<NodeId, VerifiedNickname> names_;
};

}  // namespace kith::identity
