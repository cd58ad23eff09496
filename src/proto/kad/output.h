// proto/kad/output.h: what the Kademlia machine wants from its driver, and what it tells its owner.
#pragma once

#include <variant>

#include "proto/kad/record.h"

namespace kith::proto::kad {

// Neither is ever used twice by one machine.
struct RequestId {
    std::uint64_t value = 0;
    auto operator<=>(RequestId const&) const = default;
};
struct QueryId {
    std::uint64_t value = 0;
    auto operator<=>(QueryId const&) const = default;
};

enum class ExpectsResponse {
    yes,
    no,  // ADD_PROVIDER: report on_response with no bytes once all is written
};

// Send `bytes` behind a varint length on a stream of the protocol to `peer`: over a connection to
// it, or a new one to one of `addresses`, which must prove the peer id. Exactly one on_response or
// on_request_failed is expected, unless CancelRequest comes first.
struct SendRequest {
    RequestId id;
    identity::PeerId peer;
    std::vector<wire::Multiaddr> addresses;
    base::Bytes bytes;
    ExpectsResponse expects = ExpectsResponse::yes;
};
struct CancelRequest {  // its answer is of no use any more
    RequestId id;
};

// ---- results of queries ----

struct PeerFound {  // it answered itself at these addresses; nothing: nobody by this id did
    std::optional<PeerInfo> peer;
    std::vector<PeerInfo> closest;  // the nearest that answered
};
struct ValueFound {  // the best of all valid ones, over all paths
    std::optional<VerifiedRecord> record;
};
struct ProvidersFound {
    std::vector<ProviderInfo> providers;
};
struct Stored {  // a value or a provider entry; peers that took it
    std::size_t peers_count = 0;
};
struct QueryFinished {
    QueryId id;
    std::variant<PeerFound, ValueFound, ProvidersFound, Stored> result;
};

// Something we publish was published again by itself (S26).
struct Republished {
    RecordKind kind = RecordKind::value;
    base::Bytes key;
    std::size_t peers_count = 0;
};
// A peer handed us a record or provider entry that is not valid; it was discarded (S25). For logs
// and scores.
struct BadRecord {
    identity::PeerId from;
    base::Bytes key;
    base::Error reason;
};

using Output = std::variant<SendRequest, CancelRequest, QueryFinished, Republished, BadRecord>;

}  // namespace kith::proto::kad
