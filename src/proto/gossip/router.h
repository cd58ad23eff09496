// proto/gossip/router.h: GossipSub as one machine: which peers get which messages (libp2p/specs
// pubsub/gossipsub, versions 1.0, 1.1 and 1.2). Wire-compatible with js-libp2p; numbers in
// limits.h.
//
//   message from a peer:  unseen, well signed -> pending -> accept -> cached, sent to the mesh
//                                                  |-> ignore: forgotten   |-> reject: P4 for who
//                                                  sent it
//   peer in a mesh:       (subscribed) -GRAFT-> mesh -PRUNE-> backoff -> (subscribed)
//
// Sans-IO. Speaks in peers and RPC bytes: the owner frames them on streams
// (node/services/gossip_service.h). After each call drain poll_output(); after Transmit{peer} call
// poll_transmit(peer) until it is empty or the peer's stream is full, and go on when there is room.
// No second Transmit comes before it was empty. Then wait until deadline().
//
// Invariants: 1. nothing is forwarded before the owner accepted it. 2. no peer is grafted during
// its backoff. 3. state is bounded by limits.h whatever peers send. 4. what one peer does not read
// costs others nothing: its queue is cut, then the peer is given up.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "identity/identity.h"
#include "proto/gossip/backoff.h"
#include "proto/gossip/limits.h"
#include "proto/gossip/mesh.h"
#include "proto/gossip/message_cache.h"
#include "proto/gossip/outbox.h"
#include "proto/gossip/peer_score.h"
#include "proto/gossip/promises.h"
#include "proto/gossip/router_types.h"
#include "proto/gossip/seen.h"

namespace kith::proto::gossip {

class Router {
public:
    Router(Options options, base::Instant now);

    // The stream to the peer is open. Code::conflict: known already. Code::too_large: peers_max.
    base::Status on_peer_added(identity::PeerId const& peer, Version version, Direction direction,
                               std::string ip, base::Instant now);
    void on_peer_removed(identity::PeerId const& peer, base::Instant now);
    // One RPC without its frame. An error means that the peer breaks the protocol: drop it.
    // Code::not_found: the peer was not added.
    base::Status on_rpc(identity::PeerId const& peer, base::ByteView rpc, base::Instant now);

    // Code::too_large: topics_max, or the name is longer than topic_bytes_max (or empty).
    base::Status subscribe(std::string const& topic, base::Instant now);
    void unsubscribe(std::string const& topic, base::Instant now);
    // Sends to whoever wants it; nobody being there is no error, it is kept for gossip for a while.
    // Code::too_large: does not fit message_bytes_max. Code::conflict: the same id was seen.
    base::Result<MessageId> publish(std::string const& topic, base::ByteView data,
                                    base::Instant now);
    void validated(MessageHandle handle, Verdict verdict, base::Instant now);
    // P5, clamped: what the owner thinks of a peer, for example from trust/.
    void set_owner_score(identity::PeerId const& peer, double value);

    void on_deadline(base::Instant now);
    [[nodiscard]] base::Instant deadline() const { return heartbeat_next_; }
    std::optional<Output> poll_output();
    std::optional<base::Bytes> poll_transmit(identity::PeerId const& peer);

    [[nodiscard]] std::set<identity::PeerId> mesh(std::string const& topic) const;
    [[nodiscard]] std::size_t subscribers_count(std::string const& topic) const;
    [[nodiscard]] double score(identity::PeerId const& peer, base::Instant now) const;
    [[nodiscard]] Counters const& counters() const { return counters_; }
    [[nodiscard]] std::size_t pending_count() const { return pending_.size(); }

private:
    struct Peer {
        Version version;
        Direction direction;
        std::set<std::string> topics;
        Outbox outbox;
        enum class Standing { good, given_up } standing = Standing::good;
        enum class Notice { none, sent } transmit = Notice::none;
        std::uint64_t stalled_heartbeats = 0;
        std::size_t pending = 0;  // its messages that wait for a verdict
        // Since the last heartbeat:
        std::size_t ihave_messages = 0, ids_asked = 0, idontwant_count = 0;
        std::map<MessageId, std::uint64_t> idontwant;  // and the heartbeat that told us
    };
    using Peers = std::map<identity::PeerId, Peer>;
    using PeerIds = std::set<identity::PeerId>;
    struct Fanout {
        PeerIds peers;
        base::Instant last_used;
    };
    struct Pending {
        SharedMessage message;
        std::optional<Origin> origin;
        identity::PeerId relay;
        PeerIds senders;  // relay and those who sent copies meanwhile
        base::Instant since;
    };

    // router.cpp: peers, our topics, our messages
    void give_up(Peers::iterator peer, Misbehaviour what);
    void announce(std::string const& topic, Interest interest);
    void touch(Peers::iterator peer);  // something was put into its outbox
    void settle(Peers::iterator peer, Queued queued);
    void graft(std::string const& topic, identity::PeerId const& peer, base::Instant now);
    void leave(std::string const& topic, identity::PeerId const& peer, base::Duration backoff,
               base::Instant now);
    void send_prune(std::string const& topic, Peers::iterator peer, base::Duration backoff);
    enum class Want { subscriber, graftable };
    [[nodiscard]] std::vector<Candidate> candidates(std::string const& topic,
                                                    PeerIds const& without, double score_min,
                                                    Want want, base::Instant now) const;
    [[nodiscard]] PeerIds publish_targets(std::string const& topic, base::Instant now);
    void send(SharedMessage const& message, PeerIds const& to, PeerIds const& without);

    // router_messages.cpp: messages of others
    void on_message(Peers::iterator from, libp2p::PubsubMessage& message, base::Instant now);
    void on_duplicate(Peers::iterator from, MessageId const& id, std::string const& topic,
                      base::Instant now);
    void invalid(identity::PeerId const& from, std::string const& topic);
    [[nodiscard]] bool has_room(Peer const& from, std::size_t bytes) const;
    void tell_idontwant(SharedMessage const& message, identity::PeerId const& from);
    [[nodiscard]] MessageId id_of(libp2p::PubsubMessage const& message,
                                  std::optional<Origin> const& origin) const;

    // router_control.cpp: subscriptions and control of others
    base::Status on_subscription(Peers::iterator from,
                                 libp2p::PubsubRpc::Subscription const& subscription,
                                 base::Instant now);
    void on_control(Peers::iterator from, libp2p::PubsubControl const& control, base::Instant now);
    void on_ihave(Peers::iterator from, libp2p::PubsubControl const& control, base::Instant now);
    void on_iwant(Peers::iterator from, libp2p::PubsubControl const& control, base::Instant now);
    void on_graft(Peers::iterator from, std::string const& topic, base::Instant now);
    void on_prune(Peers::iterator from, libp2p::PubsubControl::Prune const& prune,
                  base::Instant now);
    void on_idontwant(Peers::iterator from, libp2p::PubsubControl const& control);

    // router_heartbeat.cpp
    void heartbeat(base::Instant now);
    void refresh_peers(base::Instant now);
    void maintain_mesh(std::string const& topic, base::Instant now);
    void maintain_fanouts(base::Instant now);
    void emit_gossip(std::string const& topic, PeerIds const& without, base::Instant now);

    Options options_;
    identity::PeerId self_;
    Generator random_;
    Peers peers_;
    std::map<std::string, PeerIds> topics_;  // ours, with their meshes
    std::map<std::string, Fanout> fanouts_;
    Backoffs backoffs_;
    PeerScore score_;
    Promises promises_;
    Seen seen_;
    MessageCache cache_;
    std::map<MessageHandle, Pending> pending_;
    std::map<MessageId, MessageHandle> pending_by_id_;
    std::size_t pending_bytes_ = 0;
    std::uint64_t handle_next_ = 1;
    std::uint64_t seqno_next_;
    std::uint64_t ticks_ = 0;
    base::Instant heartbeat_next_;
    std::deque<Output> outputs_;
    Counters counters_;
};

}  // namespace kith::proto::gossip
