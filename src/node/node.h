// node/node.h: one machine of a swarm: composes links, membership and sessions, and owns all of
// their state on one thread. A byte from the network passes exactly one path: Host (Noise) ->
// admission -> PeerChannel (Tier 1) -> Dispatcher -> Feature.
//
// Driven like any ports::NetworkCore; commands (create_swarm, join, ...) are called on the same
// thread, after which the owner lets the driver pump. A node is in at most one swarm for now.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "identity/keystore.h"
#include "identity/nickname.h"
#include "node/feature.h"
#include "node/link/host.h"
#include "node/membership/coordinator.h"
#include "node/membership/join_desk.h"
#include "node/membership/joiner.h"
#include "node/membership/membership_upkeep.h"
#include "node/peers/pairing.h"
#include "node/peers/peer_table.h"
#include "node/peers/reputation.h"
#include "node/protocols.h"
#include "node/services/dcutr_service.h"
#include "node/services/identify_service.h"
#include "node/services/relay_service.h"
#include "node/services/swarm_discovery.h"
#include "node/services/swarm_gossip.h"
#include "ports/clock.h"

namespace kith::node {

class Node final : public ports::NetworkCore {
public:
    struct Edges {  // all outlive the node
        identity::Identity const& identity;
        ports::Rng& rng;
        ports::Clock const& clock;
        ports::Store& store;
        ports::SecretStore& secrets;
        std::function<void(std::string)>
            log;  // one line per event; never secrets, never text of questions
        TrustOptions trust = {};
        SwarmServices services = {};
        // identity::change_identity(): the file first, then `identity`. Empty: it never changes.
        std::function<base::Status(identity::KeyChange)> change_identity = {};
    };
    // Reads the swarm from the store, if there is one. Fails when what is stored cannot be trusted.
    static base::Result<std::unique_ptr<Node>> create(Edges edges, base::Instant now);
    ~Node() override;

    void attach(Feature& feature);  // before the first input; outlives the node
    // Multiaddrs others can reach this node at (without /p2p/); told to the coordinator and put
    // into invites.
    void set_listen_addresses(std::vector<std::string> addresses);
    // The port under which a router hands connections on to us, or nullopt when none does (any
    // more). Announced with the outside address that enough members have seen us at, never with the
    // one the router claims.
    void set_mapped_port(std::optional<std::uint16_t> port, base::Instant now);

    // --- commands
    base::Status create_swarm(std::string const& name, base::Instant now);
    // Redeems the token; `done` is called once, now or later.
    using JoinDone = std::function<void(base::Result<JoinedSwarm>)>;
    void join(std::string_view token, JoinDone done, base::Instant now);
    base::Result<Coordinator*> coordinator();  // Code::forbidden unless this node runs one
    // Dials a peer outside the swarm ("/ip4/.../tcp/...", with or without /p2p/...) and says which
    // key it proved, or why it was refused. `done` is called once, now or later.
    using PairDone = std::function<void(base::Result<identity::NodeId>)>;
    void pair(std::string_view address, PairDone done, base::Instant now);
    // Forgets the pinned keys of one peer and cuts what is open to it. Its trust score stays.
    struct Forgotten {
        identity::NodeId node;
        std::size_t pins_count = 0;
        std::size_t links_count = 0;
    };
    base::Result<Forgotten> forget_peer(std::string_view short_id, base::Instant now);
    // Code::invalid: the name breaks a rule. Code::conflict: changed too often just now.
    base::Status set_nickname(std::string const& name);
    // Removes a member for good (address, peer id, or 8 characters of its node id) and gives the
    // others a new secret (P19). Operator only.
    base::Result<Kicked> kick(std::string_view who, base::Instant now);
    // New keys under the same root; all links end and begin anew. Not for the coordinator's node.
    base::Status rotate_identity(base::Instant now);

    // --- what features and doors ask
    [[nodiscard]] identity::Identity const& identity() const { return edges_.identity; }
    [[nodiscard]] Swarm const* swarm() const { return swarm_ ? &*swarm_ : nullptr; }
    [[nodiscard]] proto::membership::Registry const* registry() const {
        return registry_ ? &*registry_ : nullptr;
    }
    [[nodiscard]] std::vector<std::string> const& listen_addresses() const {
        return listen_addresses_;
    }
    // What members are told: where we listen, what a router maps, and relays to reach us through.
    [[nodiscard]] std::vector<std::string> announced_addresses(base::Instant now) const;
    [[nodiscard]] std::vector<PeerView> peers(base::Instant now) const;
    [[nodiscard]] Pairing const& pairing() const { return *pairing_; }
    [[nodiscard]] trust::Score trust_in(identity::NodeId const& peer) const {
        return reputation_->score(peer);
    }
    // S33: a peer did its part of the question `request`; counts once for each of the two.
    void note_inference_success(identity::NodeId const& peer, base::ByteView request,
                                base::Instant now);
    // S35: what it computed for the question `request` was wrong; counts once for each of the two.
    void note_spot_check_failed(identity::NodeId const& peer, base::ByteView request,
                                base::Instant now);
    // S34: a transaction of the peer with this node was applied; counts once for its id.
    void note_transaction(identity::NodeId const& peer, base::ByteView id, base::Instant now);
    // What a member said to a feature was bad: charged, counted and logged now and then.
    void note_fault(trust::Fault fault, identity::NodeId const& sender, std::string const& sentence,
                    base::Instant now);
    [[nodiscard]] std::string nickname_of(identity::NodeId const& node) const;  // empty: none known
    // What a person should look at, newest last; at most alarms_max.
    [[nodiscard]] std::vector<std::string> const& alarms() const { return upkeep_.alarms; }
    [[nodiscard]] bool is_ready(identity::NodeId const& peer) const;  // a Tier 1 session stands
    ports::Rng& rng() { return edges_.rng; }
    ports::Clock const& clock() const { return edges_.clock; }
    ports::Store& store() { return edges_.store; }
    void log(std::string line) const { edges_.log(std::move(line)); }

    // Sealed under the session with the peer. Code::unavailable: no session, or the peer does not
    // take its bytes.
    base::Status send(identity::NodeId const& peer, wire::v1::Control const& control);
    base::Status send(identity::NodeId const& peer, wire::v1::StageMessage const& message,
                      base::ByteView tensor);
    // Tells the whole swarm, also members without a link to this one, and again each minute; the
    // newest of its kind counts. Only kinds that Carried::by_gossip_too allows.
    void broadcast(wire::v1::Control const& control, base::Instant now);
    [[nodiscard]] SwarmGossip::Counts gossip_counts() const;
    [[nodiscard]] SwarmDiscovery::Counts discovery_counts() const;

    // --- the driver's side
    void on_accepted(ports::ConnectionId id, ports::SocketAddress remote,
                     base::Instant now) override;
    void on_connected(ports::ConnectionId id, base::Instant now) override;
    void on_bytes(ports::ConnectionId id, base::ByteView bytes, base::Instant now) override;
    void on_closed(ports::ConnectionId id, base::Error reason, base::Instant now) override;
    void on_deadline(base::Instant now) override;
    bool poll_transmit(ports::ConnectionId id, base::Bytes& out, base::Instant now) override;
    std::optional<ports::NetworkOutput> poll_output() override;
    [[nodiscard]] std::optional<base::Instant> deadline() const override;
    // Handles everything that happened; called by the inputs above and by the owner after commands.
    void pump(base::Instant now);

private:
    explicit Node(Edges edges) : edges_(std::move(edges)) {}
    enum class ListFrom { disk, coordinator };
    base::Status enter(Swarm swarm, std::optional<base::Bytes> list, ListFrom from,
                       base::Instant now);

    // node_events.cpp
    void on_event(HostEvent event, base::Instant now);
    void on_peer_connected(ports::ConnectionId id, PeerConnected const& connected,
                           base::Instant now);
    void admit(ports::ConnectionId id, base::Instant now);
    [[nodiscard]] bool replaces(Peer const& peer, LinkState const& link, base::Instant now) const;
    void open_peer_stream(identity::NodeId const& node, Peer& peer, base::Instant now);
    std::unique_ptr<PeerChannel> make_channel(identity::NodeId const& node, base::Instant now);
    void on_stream_opened(ports::ConnectionId id, StreamOpened const& opened, base::Instant now);
    void on_stream_data(ports::ConnectionId id, StreamData const& data, base::Instant now);
    void on_stream_gone(ports::ConnectionId id, StreamId stream,
                        std::optional<base::Error> const& reason, base::Instant now);
    void on_link_down(ports::ConnectionId id, LinkDown const& down, base::Instant now);
    void drop_channel(identity::NodeId const& peer, base::Error const& reason, base::Instant now);
    void deliver(identity::NodeId const& peer, base::Instant now);
    void on_inbound(Inbound inbound, base::Instant now);
    void on_join_request(ports::ConnectionId id, StreamId stream, base::ByteView frame,
                         base::Instant now);
    void on_list_reply(identity::NodeId const& from, wire::v1::ListReply const& reply,
                       base::Instant now);
    void list_changed(base::Instant now);
    void push_list();

    // node_peers.cpp
    void judge_stranger(ports::ConnectionId id, base::Instant now);
    void refuse_stranger(ports::ConnectionId id, std::string const& sentence);
    void note_link_failure(ports::ConnectionId id, LinkDown const& down);
    void note_failure(trust::PairFailure reason, std::optional<identity::NodeId> peer,
                      ports::SocketAddress address, Direction direction, std::string sentence);
    void finish_pairing(ports::ConnectionId id, base::Result<identity::NodeId> outcome);
    void note_dropped(identity::NodeId const& sender, std::string const& sentence);
    void charge_false_claim(identity::NodeId const& sender, std::string const& sentence,
                            base::Instant now);
    base::Status load_nicknames();
    base::Result<bool> keep_nickname(identity::VerifiedNickname record);
    void on_nickname(AuthenticatedControl const& message, base::Instant now);
    void send_nickname(identity::NodeId const& to);
    void forget_nickname(identity::NodeId const& node);
    void send_strangers_away(base::Instant now);
    [[nodiscard]] bool is_member(identity::NodeId const& node) const;

    // node_services.cpp
    void make_services();
    void addresses_changed(base::Instant now);
    void welcome(ports::ConnectionId id, Audience audience, base::Instant now);
    base::Result<ports::ConnectionId> dial(wire::Multiaddr const& address,
                                           identity::NodeId const& peer, base::Instant now);
    [[nodiscard]] Path path_to(Peer const& peer) const;  // direct, while there is no link
    [[nodiscard]] proto::relay::Grant relay_grant(identity::PeerId const& peer) const;
    [[nodiscard]] std::vector<wire::Multiaddr> direct_addresses(base::Instant now) const;

    // node_handover.cpp
    void make_hole_punching();
    [[nodiscard]] bool may_take_over(Peer const& peer, LinkState const& link) const;
    void seat_beside(ports::ConnectionId id, Peer& peer, base::Instant now);
    void begin_handover(ports::ConnectionId id, StreamId stream, Peer& peer, base::Instant now);
    bool on_handover_data(identity::NodeId const& node, ports::ConnectionId id,
                          StreamData const& data, base::Instant now);
    bool on_handover_stream_gone(identity::NodeId const& node, Carrier const& at,
                                 std::optional<base::Error> const& reason, base::Instant now);
    bool advance_handovers(base::Instant now);
    void keep_handovers(base::Instant now);
    void finish_handover(identity::NodeId const& node, base::Instant now);
    void fail_handover(identity::NodeId const& node, base::Error const& reason, base::Instant now);
    void end_spare_links(identity::NodeId const& node);

    // node_gossip.cpp
    void begin_gossip(base::Instant now);
    void renew_gossip_secret(base::Instant now);
    void tell_gossip_members(base::Instant now);
    void admit_to_gossip(ports::ConnectionId id, LinkState const& link, base::Instant now);
    void gossip_nickname(base::Instant now);
    void hear_gossip(base::Instant now);
    void on_gossip_refused(GossipRefused const& refused, base::Instant now);

    // node_discovery.cpp
    void begin_discovery(base::Instant now);
    void tell_discovery_members();
    void tell_discovery_addresses(base::Instant now);
    void hear_identities(base::Instant now);
    void hear_discovery(base::Instant now);
    void look_for(identity::NodeId const& node, Peer const& peer, base::Instant now);

    // node_membership.cpp
    void alarm(std::string sentence);
    base::Result<bool> accept_list(base::Bytes encoded, base::Instant now);
    void note_conflict(proto::membership::BindingConflict const& conflict, base::ByteView before);
    void note_second_binding(base::ByteView encoded);
    base::Status publish_list(base::Instant now);
    [[nodiscard]] bool is_listed() const;  // under the keys of now
    [[nodiscard]] std::uint64_t known_counter() const;
    void keep_membership(base::Instant now);
    void on_binding_update(AuthenticatedControl const& control, base::Instant now);
    [[nodiscard]] bool needs_refresh() const;
    [[nodiscard]] bool has_moved(LinkState const& from_coordinator) const;
    void ask_for_refresh(ports::ConnectionId id, base::Instant now);
    void on_refresh_bytes(base::ByteView bytes, base::Instant now);
    struct JoinAnswer {
        enum class Kind { joined, refresh } kind;
        wire::v1::Grant grant;
    };
    void note_join_refused(std::string const& sentence);
    base::Result<JoinAnswer> answer_join(base::ByteView frame, AuthenticatedPeer const& peer);
    void seat(ports::ConnectionId id, base::Instant now);
    base::Status tell_epoch(proto::membership::VerifiedMember const& member);
    void tell_untold();
    base::Result<wire::v1::EpochSecret> epoch_for(identity::RootId const& root,
                                                  crypto::X25519PublicKey const& static_key);
    base::Status take_epoch(wire::v1::EpochSecret const& offered);
    void note_process(Peer& peer, AuthenticatedPeer const& proved, base::Instant since);
    void tell_of_twin(identity::NodeId const& node);
    void on_identity_twin(AuthenticatedControl const& control);
    void cut_off(identity::NodeId const& node, base::Instant now);
    base::Status replace_secret(crypto::Secret<32> secret, std::uint64_t epoch);

    // node.cpp
    void dial_coordinator_to_join(base::Instant now);
    void finish_join(base::Result<JoinOutcome> outcome, base::Instant now);
    void housekeeping(base::Instant now);
    void enforce_lease(base::Instant now);
    void poll_coordinator(base::Instant now);
    void dial_members(base::Instant now);
    void flush(base::Instant now);

    Edges edges_;
    std::unique_ptr<Host> host_;
    std::optional<Pairing> pairing_;  // these two always, after create()
    std::optional<Reputation> reputation_;
    identity::NicknameRegistry nicknames_;
    std::map<ports::ConnectionId, PairDone> pairings_;
    std::unique_ptr<RelayService> relay_;
    std::unique_ptr<IdentifyService> identify_;
    std::unique_ptr<DcutrService> dcutr_;
    std::unique_ptr<SwarmGossip> gossip_;  // these two in a swarm, unless they are switched off
    std::unique_ptr<SwarmDiscovery> discovery_;
    std::vector<Feature*> features_;
    std::vector<std::string> listen_addresses_;
    std::optional<std::uint16_t> mapped_port_;
    std::optional<Swarm> swarm_;
    std::optional<proto::membership::Registry> registry_;
    std::optional<Coordinator> coordinator_;
    std::map<ports::ConnectionId, LinkState> links_;
    JoinDesk join_desk_;  // used by the coordinator only
    std::uint64_t joins_refused_count_ = 0;
    base::Instant housekeeping_at_{};
    PeerTable peers_;
    MembershipUpkeep upkeep_;
    std::optional<Joiner> joiner_;
    JoinDone join_done_;
};

}  // namespace kith::node
