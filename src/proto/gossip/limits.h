// proto/gossip/limits.h: every number of the router: what it accepts, what it keeps, how it meshes.
//
// Sources: libp2p/specs pubsub/gossipsub/gossipsub-v1.0.md to v1.2.md (parameters);
// go-libp2p-pubsub, js-libp2p and rust-libp2p (limits), as written down in research/libp2p.md
// sections 3 and 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace kith::proto::gossip {

inline constexpr std::string_view protocol_v1_0 = "/meshsub/1.0.0";
inline constexpr std::string_view protocol_v1_1 = "/meshsub/1.1.0";
inline constexpr std::string_view protocol_v1_2 = "/meshsub/1.2.0";

// ---- one RPC, checked on its bytes before anything is built from them ----
inline constexpr std::size_t rpc_bytes_sent_max = std::size_t{1} << 20;    // go accepts no more
inline constexpr std::size_t rpc_bytes_max = 2 * rpc_bytes_sent_max;       // js does not split
inline constexpr std::size_t message_bytes_max = rpc_bytes_sent_max - 16;  // as serialised
inline constexpr std::size_t topic_bytes_max = 256;
inline constexpr std::size_t message_id_bytes_max = 128;
inline constexpr std::size_t ids_per_rpc_max = 5000;          // IHAVE, IWANT, IDONTWANT together
inline constexpr std::size_t control_bytes_max = 256 * 1024;  // 5000 ids of go and js are 230 KB
inline constexpr std::size_t control_entries_max = 512;
inline constexpr std::size_t subscriptions_per_rpc_max = 100;
inline constexpr std::size_t messages_per_rpc_max = 512;
inline constexpr std::size_t prune_peers_max =
    64;  // of all PRUNEs of an RPC; read past, never used

// ---- what is kept ----
inline constexpr std::size_t peers_max = 300;
inline constexpr std::size_t topics_max = 64;   // subscribed by us
inline constexpr std::size_t fanouts_max = 64;  // published to without being subscribed
inline constexpr std::size_t topics_per_peer_max = 256;
inline constexpr std::size_t seen_max = 65536;
inline constexpr std::size_t authors_max = 4096;  // replay floors
inline constexpr std::size_t cache_messages_max = 8192;
inline constexpr std::size_t cache_bytes_max = 32 * rpc_bytes_sent_max;
inline constexpr std::size_t pending_max = 256;  // messages that wait for the owner's verdict
inline constexpr std::size_t pending_per_peer_max = 64;
inline constexpr std::size_t pending_bytes_max = 16 * rpc_bytes_sent_max;
inline constexpr std::size_t promises_max = 8192;
inline constexpr std::size_t outbox_bytes_max = 4 * rpc_bytes_sent_max;  // messages for one peer
inline constexpr std::size_t outbox_messages_max = 1024;
inline constexpr std::size_t outbox_gossip_bytes_max = control_bytes_max / 4;  // each kind of ids
inline constexpr std::size_t batch_bytes = 64 * 1024;  // messages are put together up to this
inline constexpr std::size_t idontwant_per_heartbeat_max = 512;
inline constexpr std::size_t ihave_messages_per_heartbeat_max = 10;
inline constexpr std::size_t ihave_ids_per_heartbeat_max = 5000;

// ---- time ----
inline constexpr base::Duration heartbeat_interval = std::chrono::seconds(1);
inline constexpr base::Duration seen_for = std::chrono::seconds(120);
inline constexpr base::Duration prune_backoff = std::chrono::seconds(60);
inline constexpr base::Duration unsubscribe_backoff = std::chrono::seconds(10);
inline constexpr base::Duration backoff_max = std::chrono::seconds(3600);  // whatever a peer asks
inline constexpr base::Duration backoff_slack = heartbeat_interval;
inline constexpr base::Duration graft_flood = std::chrono::seconds(10);
inline constexpr base::Duration iwant_followup = std::chrono::seconds(3);
inline constexpr base::Duration fanout_for = std::chrono::seconds(60);
inline constexpr base::Duration verdict_within = std::chrono::seconds(60);
inline constexpr base::Duration slow_peer_after = std::chrono::seconds(30);
inline constexpr std::uint64_t opportunistic_ticks = 60;
inline constexpr std::size_t opportunistic_peers = 2;
inline constexpr std::size_t history_length = 5;  // heartbeats a message can be asked for
inline constexpr std::size_t history_gossip = 3;  // heartbeats it is advertised
inline constexpr std::uint32_t retransmissions_max = 3;
inline constexpr std::size_t idontwant_min_bytes =
    1024;  // below, the notice costs more than it saves
static_assert(history_gossip <= history_length);

// The mesh of one topic.
struct MeshDegrees {
    std::size_t target = 6;    // D
    std::size_t low = 4;       // Dlo: below, peers are grafted
    std::size_t high = 12;     // Dhi: above, peers are pruned
    std::size_t lazy = 6;      // Dlazy: peers outside the mesh told what there is
    std::size_t by_score = 4;  // Dscore: kept for their score when pruning
    std::size_t outbound = 2;  // Dout: kept because we dialled them; < low, <= target / 2
};
inline constexpr double gossip_factor = 0.25;  // of the peers outside the mesh, if more than lazy

}  // namespace kith::proto::gossip
