// feature/ask/shard_exchange.h: who holds which shards, and fetching them. Members tell each other
// what they serve (ShardAnnounce); shards travel in chunks on request and count for nothing before
// their BLAKE3 fits the manifest, whose own hash is the model's name (S87). A fetch asks for what
// it wants; nothing is ever pushed to a member.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "feature/ask/model_store.h"
#include "node/node.h"
#include "ports/pool.h"
#include "schema/wire.pb.h"

namespace kith::ask {

inline constexpr std::size_t announced_models_max = 64;    // of one member
inline constexpr std::size_t announced_shards_max = 1100;  // of one model
inline constexpr std::uint32_t chunk_bytes = 256 * 1024;
inline constexpr std::size_t chunks_in_flight = 8;
inline constexpr base::Duration chunk_timeout = std::chrono::seconds(20);

struct FetchProgress {
    std::string stage;
    std::uint64_t done = 0;
    std::uint64_t total = 0;
};

struct Holding {  // what a member says it serves of one model
    std::string name;
    std::set<std::uint32_t> shards;
};

class ShardExchange {
public:
    using OnProgress = std::function<void(FetchProgress const&)>;
    using OnDone = std::function<void(base::Result<std::string>)>;  // the model's id
    using OnShard = std::function<void(std::string const& model_id)>;

    // All outlive the exchange; `on_shard` is called when a fetched shard is verified and in place.
    ShardExchange(node::Node& node, ModelStore& store, ports::Pool& pool, OnShard on_shard);
    ~ShardExchange();

    void announce_to(identity::NodeId const& peer);
    void announce_all();
    void on_control(node::AuthenticatedControl const& message, base::Instant now);
    void on_peer_down(identity::NodeId const& peer, base::Instant now);

    // One fetch at a time. `shards` empty: all that are not held. Errors of the start come through
    // `done` as well. A name is what some member says: Code::conflict when it fits several ids, of
    // this machine or announced by anybody, and when the manifest then has another name. An id
    // never is in doubt.
    void fetch(std::string model, std::vector<std::uint32_t> shards, OnProgress progress,
               OnDone done, base::Instant now);
    void cancel_fetch();
    [[nodiscard]] std::optional<base::Instant> deadline() const;
    void on_deadline(base::Instant now);

    [[nodiscard]] std::map<std::string, Holding> const* holdings(
        identity::NodeId const& peer) const;
    [[nodiscard]] bool takes_embeddings(identity::NodeId const& peer) const;
    // Every model id any member announces, with the names it is announced under. Those without a
    // link announce by gossip.
    [[nodiscard]] std::map<std::string, std::set<std::string>> announced() const;

private:
    struct Fetch;
    struct Announced {
        std::map<std::string, Holding> models;
        bool takes_embeddings = false;
    };

    [[nodiscard]] wire::v1::Control announcement() const;
    void on_announce(identity::NodeId const& from, wire::v1::ShardAnnounce const& announce);
    void on_manifest_request(identity::NodeId const& from, std::string const& model);
    void on_chunk_request(identity::NodeId const& from, wire::v1::ChunkRequest const& request);
    void on_manifest_reply(wire::v1::ManifestReply const& reply, base::Instant now);
    void on_chunk_reply(identity::NodeId const& from, wire::v1::ChunkReply const& reply,
                        base::Instant now);

    base::Result<std::string> resolve(std::string const& wanted) const;
    base::Status begin_shards(LoadedModelPtr const& model, base::Instant now);
    void next_shard(base::Instant now);
    void choose_source(base::Instant now);
    void request_chunks(base::Instant now);
    void shard_complete(base::Instant now);
    void end_fetch(base::Result<std::string> outcome);

    node::Node& node_;
    ModelStore& store_;
    ports::Pool& pool_;
    OnShard on_shard_;
    std::map<identity::NodeId, Announced> announced_;
    std::shared_ptr<Fetch> fetch_;
};

}  // namespace kith::ask
