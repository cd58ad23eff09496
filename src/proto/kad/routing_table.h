// proto/kad/routing_table.h: the peers we know, in k-buckets by how many bits their key shares with
// ours (Maymounkov and Mazieres 2002, 2.2 and 2.4), hardened against eclipse (S88).
//
//   offer -> room? -> added
//            full  -> waits; the oldest is probed -> answered: stays, the newcomer is forgotten
//                                                 -> failed:   goes, the newcomer takes its place
//
// Invariants: 1. a peer that answers is never evicted for a new one. 2. at most group_table_max
// peers of one network (/24, /64) in the table and group_bucket_max in a bucket, counted by where
// the connection really came from. 3. at most table_peers_max entries, one waiting peer a bucket.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "proto/kad/key.h"
#include "proto/kad/message.h"
#include "proto/kad/network_group.h"

namespace kith::proto::kad {

inline constexpr std::size_t bucket_peers_max = 20;  // k of the specification
inline constexpr std::size_t table_peers_max = 1024;
inline constexpr std::size_t group_table_max = 3;   // as go-libp2p-kad-dht
inline constexpr std::size_t group_bucket_max = 2;  // as go-libp2p-kad-dht
inline constexpr std::size_t failures_max = 2;      // in a row, then a peer leaves the table
inline constexpr base::Duration probe_interval = std::chrono::minutes(1);  // of one bucket
inline constexpr base::Duration stale_after = std::chrono::minutes(10);    // then it is asked again

enum class Offered {
    added,
    refreshed,  // it was there; addresses are the new ones
    waiting,    // its bucket is full: it takes the place of the oldest if that one fails
    refused,    // ourselves, too many of its network, or the table is full
};

class RoutingTable {
public:
    RoutingTable(identity::PeerId const& self, GroupExempt exempt)
        : self_(self), self_key_(Key::of(self)), exempt_(std::move(exempt)) {}

    // A peer that is connected now and serves the protocol. `remote` is where the connection goes:
    // it decides the network; without it all of the peer's addresses do. A known peer that comes
    // from another network is judged anew, and leaves if there is no room for it there.
    Offered offer(PeerInfo peer, std::optional<wire::Multiaddr> const& remote, base::Instant now);
    void on_alive(identity::PeerId const& peer, base::Instant now);
    // It did not answer: leaves at failures_max, or at once when another waits for the place.
    void on_failed(identity::PeerId const& peer, base::Instant now);
    void remove(identity::PeerId const& peer);  // it stopped serving
    void remove_if(std::function<bool(identity::PeerId const&)> const& is_unwanted);

    // The oldest peer of a bucket in which another waits; at most one per bucket and
    // probe_interval. Ask it anything, then report on_alive or on_failed.
    std::optional<identity::PeerId> poll_probe(base::Instant now);
    // Up to `count` peers of which nothing was heard for stale_after, the longest silent first.
    [[nodiscard]] std::vector<identity::PeerId> stale(base::Instant now, std::size_t count) const;

    // The nearest first.
    [[nodiscard]] std::vector<PeerInfo> closest(Key const& target, std::size_t count) const;
    [[nodiscard]] PeerInfo const* find(identity::PeerId const& peer) const;
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    struct Entry {
        PeerInfo peer;
        Key key;
        std::vector<NetworkGroup> groups;
        base::Instant heard;
        std::size_t failures = 0;
    };
    struct Bucket {
        std::vector<Entry> entries;  // the longest in the table first
        GroupCounter groups;
        std::optional<Entry> waiting;
        std::optional<base::Instant> probed;
    };

    [[nodiscard]] bool has_room(Bucket const& bucket, Entry const& entry) const;
    void add(Bucket& bucket, Entry entry);
    Entry take(Bucket& bucket, std::vector<Entry>::iterator entry);
    void replace(Bucket& bucket, std::vector<Entry>::iterator entry);
    Bucket* bucket_of(identity::PeerId const& peer);

    identity::PeerId self_;
    Key self_key_;
    GroupExempt exempt_;
    std::map<std::size_t, Bucket> buckets_;  // by common prefix length
    GroupCounter groups_;
    std::size_t size_ = 0;
};

}  // namespace kith::proto::kad
