// proto/kad/kad.h: a Kademlia node, client and server, compatible with libp2p's /ipfs/kad/1.0.0 and
// usable under a protocol id of its own (libp2p/specs kad-dht/README.md; docs/protocol/kad.md).
//
// Sans-IO: it speaks of peers and messages, not of sockets and streams. After each call drain
// poll_output(), then wait until deadline(). node/services/kad_service.h is the driver over real
// links.
//
// What a DHT is for here: finding, never trusting. Every value is verified before it is kept or
// handed on (record.h), every peer proves its id when it is dialled, and membership never depends
// on it.
//
// Invariants: 1. every query ends in exactly one QueryFinished (republishing in one Republished),
// within query_duration_max and the requests of its last step. 2. limits below hold whatever peers
// send. 3. only a peer that is connected and serves the protocol enters the routing table.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "ports/rng.h"
#include "proto/kad/addresses.h"
#include "proto/kad/output.h"
#include "proto/kad/publisher.h"
#include "proto/kad/query.h"
#include "proto/kad/responder.h"

namespace kith::proto::kad {

inline constexpr std::string_view libp2p_protocol = "/ipfs/kad/1.0.0";
inline constexpr std::string_view kith_protocol = "/kith/kad/1.0.0";

inline constexpr std::size_t queries_max = 32;
inline constexpr std::size_t requests_max = 128;  // without an answer yet, over all queries
inline constexpr std::size_t ready_peers_max = 1024;
inline constexpr std::size_t providers_found_max = 64;     // of one query
inline constexpr std::size_t bad_records_queued_max = 64;  // more are counted by nobody
inline constexpr std::size_t seen_records_max = 1024;
inline constexpr base::Duration request_timeout = std::chrono::seconds(10);
inline constexpr base::Duration query_duration_max = std::chrono::seconds(60);
inline constexpr base::Duration tick_interval = std::chrono::minutes(1);
inline constexpr base::Duration refresh_interval = std::chrono::minutes(10);
inline constexpr std::size_t stale_probes_max = 8;      // a tick
inline constexpr std::size_t requests_burst_max = 100;  // of one peer, then request_refill
inline constexpr base::Duration request_refill = std::chrono::milliseconds(50);

enum class Mode {
    server,
    client,  // asks and answers nothing; the driver must not accept the protocol then
};
enum class ServesKad { yes, no };  // whether a peer's identify lists the protocol

struct KadOptions {
    PeerInfo self;       // and the addresses it is to be found at; see set_addresses
    std::string domain;  // bound into signatures: the protocol id, and with it the swarm
    Signer signer;       // of self.id
    std::vector<Namespace> namespaces;
    UnsignedProviders unsigned_providers = UnsignedProviders::refused;
    Mode mode = Mode::server;
    Reach reach = Reach::private_network;
    // Addresses that count for no network limit; loopback never does. A team behind one NAT or in
    // one office needs this: without it three of them are known to each other.
    GroupExempt group_exempt;
    // Whom we ask, answer, dial and name; everybody when empty. A closed group (the members of a
    // swarm) leaves no place for Sybils (S88). May change: then call forget_unadmitted().
    std::function<bool(identity::PeerId const&)> admits = {};
    LookupOptions lookup;
    StoreLimits store;
};

struct ReadyPeer {
    PeerInfo peer;                          // addresses it says it listens on
    std::optional<wire::Multiaddr> remote;  // where the connection goes
    ServesKad serves = ServesKad::no;
};

class Kad {
public:
    // `rng` must outlive the machine; it only draws what to look for when refreshing the table.
    Kad(KadOptions options, ports::Rng& rng);
    ~Kad();
    Kad(Kad const&) = delete;
    Kad& operator=(Kad const&) = delete;

    // A connection to the peer is up and it has been identified; may be repeated when something
    // changed. on_peer_gone: the last connection to it is down.
    void on_peer_ready(ReadyPeer ready, Now now);
    void on_peer_gone(identity::PeerId const& peer, Now now);
    void forget_unadmitted();

    // The answer to write, or nothing to write. An error: reset the stream. Code::too_large: it
    // asks faster than request_refill allows, or a limit of the store. Code::forbidden: not
    // admitted.
    base::Result<std::optional<base::Bytes>> on_request(identity::PeerId const& peer,
                                                        base::ByteView bytes, Now now);
    // For an id that is over or was cancelled: no effect. A failure is held against the peer unless
    // its code says that it was ours: too_large, cancelled, internal.
    void on_response(RequestId id, base::ByteView bytes, Now now);
    void on_request_failed(RequestId id, base::Error const& error, Now now);

    // Code::too_large: queries_max or published_max. put_value and provide sign, store here and
    // publish until withdrawn; `body` is what the namespace judges, `key` of providers a multihash.
    // provide: Code::conflict when no own address is known.
    base::Result<QueryId> find_peer(identity::PeerId const& peer, Now now);
    base::Result<QueryId> get_value(base::Bytes key, Now now);
    base::Result<QueryId> put_value(base::Bytes key, base::Bytes body, Now now);
    base::Result<QueryId> provide(base::Bytes key, Now now);
    base::Result<QueryId> find_providers(base::Bytes key, Now now);
    // Looks for ourselves and for somebody random, which fills the table. Needs one ready peer.
    base::Result<QueryId> bootstrap(Now now);
    void withdraw_value(base::ByteView key);
    void withdraw_provider(base::ByteView key);

    void set_addresses(std::vector<wire::Multiaddr> addresses);  // our own, at most 8 are told
    [[nodiscard]] base::Bytes export_state() const { return publisher_.export_state(); }
    base::Status import_state(base::ByteView state, Now now);

    void on_deadline(Now now);
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    std::optional<Output> poll_output();

    [[nodiscard]] RoutingTable const& table() const { return table_; }
    [[nodiscard]] RecordStore const& store() const { return store_; }
    [[nodiscard]] std::size_t requests_count() const { return requests_.size(); }
    [[nodiscard]] std::size_t queries_count() const { return queries_.size(); }

private:
    struct Query;  // all four: kad_state.h
    struct Request;
    struct Budget;
    struct Seen;
    enum class Kind { find_peer, get_value, put_value, find_providers, provide };
    enum class Origin { command, republish, refresh };

    [[nodiscard]] bool admits(identity::PeerId const& peer) const;
    base::Status spend(identity::PeerId const& peer, Now now);
    base::Result<Query*> start(Kind kind, Origin origin, base::Bytes key, Now now);
    base::Result<Query*> publish_value(Origin origin, base::Bytes key, base::ByteView body,
                                       Now now);
    base::Result<Query*> publish_provider(Origin origin, base::Bytes key, Now now);
    void republish_due(Now now);
    void look_for_somebody(Now now);
    void refresh(Now now);
    void tick(Now now);

    void pump(Now now);  // everything that can go on goes on; the end of each input
    void advance(Query& query, Now now);
    void ask(Query& query, Lookup::Ask const& ask, Now now);
    void store_at_next(Query& query, Now now);
    void finish(Query& query, Now now);
    void send(Request request, base::Bytes bytes, Now now);
    void probe(identity::PeerId const& peer, Now now);
    void take_answer(Request const& request, base::ByteView bytes, Now now);
    void take_value(Query& query, identity::PeerId const& from, Message const& answer, Now now);
    void take_providers(Query& query, identity::PeerId const& from, Message const& answer, Now now);
    void end_request(Request const& request);
    [[nodiscard]] std::vector<wire::Multiaddr> addresses_for(PeerInfo const& peer, Now now) const;
    [[nodiscard]] std::vector<PeerInfo> usable(std::vector<PeerInfo> peers, Now now) const;
    void report(identity::PeerId const& from, base::ByteView key, base::Error reason);
    base::Status check_seen(std::optional<VerifiedRecord> const& record, Now now);

    KadOptions options_;
    ports::Rng& rng_;
    RecordChecker checker_;
    RoutingTable table_;
    RecordStore store_;
    Responder responder_;
    Publisher publisher_;
    FailedAddresses failed_;
    std::map<identity::PeerId, PeerInfo> ready_;
    std::map<identity::PeerId, Budget> budgets_;
    std::map<QueryId, std::unique_ptr<Query>> queries_;
    std::map<RequestId, Request> requests_;
    std::map<base::Bytes, Seen> seen_;  // the newest stamp read of a key
    std::deque<Output> outputs_;
    std::size_t bad_records_queued_ = 0;
    std::uint64_t next_id_ = 1;
    std::optional<base::Instant> next_tick_;
    base::Instant next_refresh_{};
};

}  // namespace kith::proto::kad
