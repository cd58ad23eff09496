// proto/gossip/router_types.h: what the router and its owner say to each other.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "identity/identity.h"
#include "proto/gossip/limits.h"
#include "proto/gossip/peer_score.h"
#include "proto/gossip/signing.h"

namespace kith::proto::gossip {

enum class Version { v1_0, v1_1, v1_2 };  // what the stream to the peer was agreed as
std::optional<Version> version_of(std::string_view protocol);

enum class FloodPublish { on, off };  // own messages to all subscribers, not only to the mesh

struct Options {
    // strict_sign: signs what we publish; must outlive the router. strict_no_sign: not used.
    identity::Identity const* author = nullptr;
    SignaturePolicy policy = SignaturePolicy::strict_sign;
    MessageIdFunction message_id;   // strict_no_sign; empty: content_id
    std::uint64_t first_seqno = 0;  // strict_sign: Unix time in ns, so that it grows over restarts
    std::uint64_t seed = 0;         // from the system generator
    MeshDegrees degrees;
    FloodPublish flood_publish = FloodPublish::on;
    ScoreParams score;
};

struct MessageHandle {
    std::uint64_t value = 0;
    auto operator<=>(MessageHandle const&) const = default;
};
// A message new to us. Answer with validated() within verdict_within, or it is ignored.
struct Deliver {
    MessageHandle handle;
    std::string topic;
    identity::PeerId relay;                  // who sent it to us
    std::optional<identity::PeerId> author;  // proven by its signature; nullopt: strict_no_sign
    base::Bytes data;
};
struct Transmit {
    identity::PeerId peer;
};
enum class Misbehaviour { low_score, too_slow };
struct PeerMisbehaved {  // drop the peer; said once. Until then it is neither heard nor sent to
    identity::PeerId peer;
    Misbehaviour what;
};
using Output = std::variant<Transmit, Deliver, PeerMisbehaved>;

enum class Verdict {
    accept,  // forward it
    reject,  // no honest relay could have forwarded it: its senders lose score (P4)
    ignore   // not for us or not now; nobody's fault
};

struct Counters {  // since the start
    std::uint64_t rpcs_received = 0, messages_received = 0, duplicates_received = 0;
    std::uint64_t messages_invalid = 0, messages_dropped = 0, messages_forwarded = 0;
    std::uint64_t idontwant_received = 0, idontwant_sent = 0, iwant_served = 0;
};

}  // namespace kith::proto::gossip
