// proto/kad/record.h: what a stored value must be before anybody believes it: the signed form, and
// the checker that turns bytes of strangers into a VerifiedRecord (S23, S24, S25, S26).
//
// A signed value is, in this order (S23):
//
//   32 bytes   Ed25519 public key of the author
//   64 bytes   signature over  label || kind || domain || key || payload  (lengths in front)
//   payload:   8 bytes sequence, 8 bytes issued (Unix seconds), then the body; all big endian
//
// The domain (protocol id, and with it the swarm) and the whole key are in what is signed: a record
// moved to another key or another swarm fails. The time ends a record after record_seconds_max, on
// every node by itself; the sequence says which of two valid ones is the newer (S25).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "crypto/ed25519.h"
#include "proto/kad/message.h"

namespace kith::proto::kad {

inline constexpr std::size_t record_head_bytes = 96;   // key and signature
inline constexpr std::size_t record_stamp_bytes = 16;  // sequence and time
inline constexpr std::size_t body_bytes_max =
    value_bytes_max - record_head_bytes - record_stamp_bytes;
inline constexpr std::int64_t record_seconds_max = 3600;     // S26
inline constexpr std::int64_t clock_skew_seconds_max = 300;  // how far ahead an author may be
inline constexpr std::size_t namespace_chars_max = 64;
inline constexpr std::size_t namespaces_max = 32;

// The two clocks: timers run on `instant`, what is signed and expires on `wall`.
struct Now {
    base::Instant instant;
    base::UnixTime wall;
};

enum class RecordKind : std::uint8_t { value = 1, provider = 2 };

// What a signature is bound to besides the payload.
struct RecordScope {
    RecordKind kind = RecordKind::value;
    std::string_view domain;
    base::ByteView key;
};

// Who signs: the node's operational key.
struct Signer {
    crypto::Ed25519PublicKey public_key{};
    std::function<crypto::Ed25519Signature(base::ByteView)> sign;
};

struct Stamp {
    std::uint64_t sequence = 0;
    base::UnixTime issued{};
    auto operator<=>(Stamp const&) const = default;
};

// The 96 + 16 + body bytes; asserts body_bytes_max.
base::Bytes sign_record(RecordScope const& scope, Stamp const& stamp, base::ByteView body,
                        Signer const& signer);

// What a namespace demands of its values. A key is "/name/rest".
struct Namespace {
    enum class Form {
        signed_by_author,  // the form above
        plain,             // any bytes: only for values that prove themselves, and for interop
    };
    enum class Author {
        in_key,  // the rest of the key begins with the author's 32-byte public key
        judged,  // `judge` decides who may write here
    };
    struct Candidate {
        base::ByteView key;
        crypto::Ed25519PublicKey const* author;  // null in plain form
        base::ByteView body;                     // the value itself in plain form
    };

    std::string name;
    Form form = Form::signed_by_author;
    Author author = Author::in_key;
    // An error refuses the value. Empty: everything is right; asserted not to be with
    // Author::judged in signed form.
    std::function<base::Status(Candidate const&)> judge;
    // Plain form: `a` is to be preferred to `b`; must be stable. Empty: the greater bytes are.
    std::function<bool(base::ByteView a, base::ByteView b)> is_better;
};

// Only RecordChecker makes one: form, signature, scope, author, age and the namespace's own rules
// held when it was checked.
class VerifiedRecord {
public:
    [[nodiscard]] base::Bytes const& key() const { return key_; }
    [[nodiscard]] base::Bytes const& value() const { return value_; }  // as on the wire
    [[nodiscard]] base::ByteView body() const { return base::ByteView(value_).subspan(body_at_); }
    // Nothing in plain form.
    [[nodiscard]] std::optional<crypto::Ed25519PublicKey> const& author() const { return author_; }
    [[nodiscard]] std::optional<Stamp> const& stamp() const { return stamp_; }

private:
    friend class RecordChecker;
    VerifiedRecord() = default;

    base::Bytes key_, value_;
    std::size_t body_at_ = 0;
    std::optional<crypto::Ed25519PublicKey> author_;
    std::optional<Stamp> stamp_;
};

// A peer that says itself that it provides a key: by its signature, or, where unsigned providers
// are allowed, by having been connected when it said so.
class VerifiedProvider {
public:
    [[nodiscard]] base::Bytes const& key() const { return key_; }
    [[nodiscard]] ProviderInfo const& info() const { return info_; }
    [[nodiscard]] std::optional<Stamp> const& stamp() const { return stamp_; }

private:
    friend class RecordChecker;
    VerifiedProvider() = default;

    base::Bytes key_;
    ProviderInfo info_;
    std::optional<Stamp> stamp_;
};

enum class UnsignedProviders {
    refused,
    allowed,  // the public libp2p protocol has no signature
};

class RecordChecker {
public:
    // Asserts namespaces_max and namespace_chars_max.
    RecordChecker(std::string domain, std::vector<Namespace> namespaces,
                  UnsignedProviders unsigned_providers);

    // Codes: unsupported (no such namespace), invalid (form, too short, from the future),
    // unauthorized (signature, author), conflict (expired), or what the namespace says.
    [[nodiscard]] base::Result<VerifiedRecord> check(base::ByteView key, base::ByteView value,
                                                     base::UnixTime now) const;
    // As check; `info.peer` must be whose key signed. Code::unauthorized: no proof where one is
    // needed.
    [[nodiscard]] base::Result<VerifiedProvider> check_provider(base::ByteView key,
                                                                ProviderInfo info,
                                                                base::UnixTime now) const;
    // `a` is to be preferred to `b`, both of one key: a total order over different values.
    [[nodiscard]] bool is_better(VerifiedRecord const& a, VerifiedRecord const& b) const;

    [[nodiscard]] Namespace const* find(base::ByteView key) const;  // null: unknown or no form
    [[nodiscard]] std::string const& domain() const { return domain_; }

private:
    std::string domain_;
    std::vector<Namespace> namespaces_;
    UnsignedProviders unsigned_providers_;
};

}  // namespace kith::proto::kad
