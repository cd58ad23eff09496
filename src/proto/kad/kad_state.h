// proto/kad/kad_state.h: what kad.cpp and kad_queries.cpp keep about running work. Nobody else
// includes it.
#pragma once

#include "proto/kad/kad.h"

namespace kith::proto::kad {

// First the lookup; put_value and provide then hand `to_store` to the nearest that answered.
struct Kad::Query {
    QueryId id;
    Kind kind;
    Origin origin;
    base::Bytes key;
    Lookup lookup;
    base::Instant deadline;

    std::optional<VerifiedRecord> best;
    identity::PeerId best_from;
    std::map<identity::PeerId, ProviderInfo> providers;

    base::Bytes to_store;                          // the encoded message; empty: nothing is stored
    std::optional<std::deque<PeerInfo>> store_at;  // set when the lookup is over
    std::size_t stores_out = 0;
    std::size_t stored_count = 0;
};

struct Kad::Request {
    enum class Step { lookup, store, probe };

    RequestId id{};
    std::optional<QueryId> query;  // nothing for a probe
    Step step = Step::probe;
    MessageType type = MessageType::find_node;
    PeerInfo peer;  // with the addresses that were offered for dialling
    std::size_t path = 0;
    base::Instant deadline{};
};

// A token bucket: what one peer may ask.
struct Kad::Budget {
    std::size_t tokens = requests_burst_max;
    base::Instant refilled;
};

struct Kad::Seen {
    Stamp stamp;
    base::Bytes value;
    base::Instant until;
};

}  // namespace kith::proto::kad
