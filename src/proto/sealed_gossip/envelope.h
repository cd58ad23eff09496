// proto/sealed_gossip/envelope.h: what members tell the whole swarm (DESIGN 5, Tier 3): sealed
// under the swarm's epoch key, signed by its origin, fresh, and opened once.
//
// Layout (big endian): version u8 = 1, epoch u64, epoch id 32, sender 32 (his NodeId), boot nonce
// 16, counter u64, ChaCha20-Poly1305(body), signature 64. The 97 bytes before the ciphertext are
// its associated data; nonce = 4 zero bytes || counter; body = time i64 (Unix seconds) || content.
// signature = Ed25519 of the sender over "kith/sealed-gossip/v1" || swarm id || topic
// (u16-prefixed) || header || ciphertext.
//
// The signature is checked before anything else is done with the bytes: a member knows the epoch
// key and could otherwise speak as any other. A refusal says whose fault it is: who passes on an
// envelope that is well signed has done what a relay can do (S36).
//
// Invariants: 1. VerifiedGossip exists only behind a verified signature, epoch, decryption, time
// and replay check. 2. a (key, nonce) pair seals at most once. 3. nothing is kept of what was
// refused.
#pragma once

#include <expected>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ed25519.h"
#include "crypto/secret.h"
#include "identity/identity.h"
#include "proto/sealed_gossip/epoch.h"
#include "proto/sealed_gossip/replay.h"

namespace kith::proto::sealed_gossip {

inline constexpr std::size_t header_bytes = 1 + 8 + 32 + 32 + 16 + 8;
inline constexpr std::size_t time_bytes = 8;
inline constexpr std::size_t overhead_bytes =
    header_bytes + time_bytes + crypto::aead_tag_bytes + sizeof(crypto::Ed25519Signature);
inline constexpr std::size_t content_bytes_max = 64 * 1024;
inline constexpr std::size_t topic_bytes_max = 256;
inline constexpr std::size_t members_max = senders_max;
inline constexpr std::uint64_t counter_max = std::uint64_t{1} << 48;
inline constexpr std::int64_t age_seconds_max = 300;   // S42
inline constexpr std::int64_t ahead_seconds_max = 30;  // S42: skew of clocks

// Makes envelopes for one start of one process. A new swarm secret means a new Sealer with a fresh
// boot nonce.
class Sealer {
public:
    // `boot`: fresh from the system generator. `self` must outlive the sealer.
    Sealer(SwarmId const& swarm, crypto::Secret<32> const& swarm_secret,
           identity::Identity const& self, BootNonce const& boot);

    // The one way to make an envelope. Code::too_large: content_bytes_max, topic_bytes_max, or the
    // counter is used up.
    base::Result<base::Bytes> seal_signed(std::string_view topic, base::ByteView content,
                                          base::UnixTime now);

private:
    SwarmId swarm_;
    crypto::Secret<32> swarm_secret_;
    identity::Identity const& self_;
    BootNonce boot_;
    std::uint64_t counter_ = 0;
};

// Content together with the member that said it; only Opener makes one, and parsers of gossip take
// nothing else (S13).
class VerifiedGossip {
public:
    [[nodiscard]] identity::NodeId const& origin() const { return origin_; }
    [[nodiscard]] std::string const& topic() const { return topic_; }
    [[nodiscard]] base::ByteView content() const { return content_; }
    [[nodiscard]] base::UnixTime sealed_at() const { return sealed_at_; }

private:
    friend class Opener;
    VerifiedGossip(identity::NodeId origin, std::string topic, base::Bytes content,
                   base::UnixTime sealed_at)
        : origin_(origin),
          topic_(std::move(topic)),
          content_(std::move(content)),
          sealed_at_(sealed_at) {}
    identity::NodeId origin_;
    std::string topic_;
    base::Bytes content_;
    base::UnixTime sealed_at_;
};

enum class Fault {
    nobody,  // late, seen before, another epoch's key, a clock: no proof against anyone
    relay,   // malformed or badly signed: an honest relay would not have passed it on
    origin   // well signed by `origin`, and wrong inside: his doing alone
};
struct Refusal {
    base::Error error;
    Fault fault = Fault::nobody;
    std::optional<identity::NodeId> origin;  // proven; only behind a good signature
};
template <class T>
struct [[nodiscard]] Opened : std::expected<T, Refusal> {
    using std::expected<T, Refusal>::expected;
};

class Opener {
public:
    Opener(SwarmId const& swarm, crypto::Secret<32> const& swarm_secret);

    // Who may speak, from the current member list; replaces the last one. Nobody may until the
    // first call. Code::too_large above members_max: nothing changes.
    base::Status set_members(std::span<identity::NodeId const> members);
    // Codes: unauthorized (signature, tag), invalid (malformed), too_large, forbidden (not a
    // member), timeout (epoch or time not now), conflict (seen before, or sealed under another
    // secret).
    Opened<VerifiedGossip> open(std::string_view topic, base::ByteView envelope,
                                base::UnixTime now);

private:
    struct Parts;
    [[nodiscard]] EpochKey const& key_of(std::uint64_t epoch, std::uint64_t epoch_now);
    Opened<VerifiedGossip> open_signed(std::string_view topic, Parts const& parts,
                                       base::UnixTime now);

    SwarmId swarm_;
    crypto::Secret<32> swarm_secret_;
    std::set<identity::NodeId> members_;
    std::vector<EpochKey> keys_;  // of the epochs around now
    ReplayGuard replays_;
};

// What the origin signs.
base::Bytes signed_statement(SwarmId const& swarm, std::string_view topic,
                             base::ByteView header_and_ciphertext);

}  // namespace kith::proto::sealed_gossip
