// feature/ask/stage_server.h: computes layers for other members (and for this node, where a route
// comes back to it).
//
// A StageForward is checked completely before any layer runs: the sender is the hop before this
// one, this node is the hop it is addressed to, the layers are held, shape and size of the tensor
// agree, the position is the next one. Then the worker computes, and the result goes to the next
// hop, or to the asker from the last one.
//
// What members sent waits in a queue where more standing goes first (step_queue.h). A step weighs
// what the lesser of its sender and its asker weighs: past the first hop the asker is only claimed,
// so a name gains nobody more than he has himself.
//
// Limits: sequences_max sequences, sequences_per_sender_max begun by one sender, kv_bytes_max of KV
// cache in all; a sequence that is not used for sequence_lives is dropped. When an asker is gone,
// so are its sequences. A refusal is answered to the asker when the hops prove the route, else to
// nobody but the sender, and logged as refusal_log.h has it.
#pragma once

#include <deque>
#include <map>

#include "feature/ask/credits.h"
#include "feature/ask/refusal_log.h"
#include "feature/ask/sequence.h"
#include "feature/ask/step_queue.h"
#include "node/node.h"
#include "ports/pool.h"
#include "schema/wire.pb.h"

namespace kith::ask {

inline constexpr std::size_t sequences_max = 256;
// Counted against who sent the first forward, because a middle hop only claims who the asker is.
inline constexpr std::size_t sequences_per_sender_max = 64;
inline constexpr std::size_t kv_bytes_max = std::size_t{4} << 30U;
inline constexpr std::size_t rows_per_forward_max = 128;
inline constexpr std::size_t positions_max_max = 131072;
inline constexpr std::size_t forwards_waiting_max = 8;  // of one sequence, not yet computed
// Of members, handed to the worker: one that runs and one that is ready, so that it never idles.
inline constexpr std::size_t steps_in_flight_max = 2;
inline constexpr base::Duration sequence_lives = std::chrono::minutes(10);
// Requests of one asker that are remembered as closed: its word can arrive before the last step
// that another stage passed on, which then would open the request again.
inline constexpr std::size_t closed_requests_max = 64;

using RequestId = base::ByteArray<16>;

class StageServer {
public:
    // All outlive the server.
    StageServer(node::Node& node, ModelStore const& store, ports::Pool& pool, Credits& credits);
    StageServer(StageServer const&) = delete;
    StageServer& operator=(StageServer const&) = delete;
    ~StageServer();  // what runs is told to stop: the pool waits for it

    void on_forward(node::AuthenticatedActivation const& message, base::Instant now);
    // From the loopback of this node's own route: the sender is this node.
    void on_close(identity::NodeId const& asker, RequestId const& id);
    void on_peer_down(identity::NodeId const& peer);
    void expire(base::Instant now);

    [[nodiscard]] std::size_t kv_bytes() const { return kv_bytes_; }
    // Forwards that passed every check and were computed; tests of P11 watch it.
    [[nodiscard]] std::uint64_t forwards_computed() const { return forwards_computed_; }

private:
    struct Served;
    using ServedPtr = std::shared_ptr<Served>;  // the worker may hold it longest
    struct Work;
    using WorkPtr = std::shared_ptr<Work>;
    // One member may be several hops of one route, each with a sequence of its own.
    struct Key {
        identity::NodeId asker;
        RequestId request;
        std::uint32_t hop = 0;
        auto operator<=>(Key const&) const = default;
    };

    base::Status check_and_submit(node::AuthenticatedActivation const& message, base::Instant now);
    static base::Status read_content(wire::v1::StageForward const& forward, base::ByteView content,
                                     Work& work);
    base::Result<LoadedModelPtr> model_for(wire::v1::StageForward const& forward) const;
    base::Result<ServedPtr> create(Key const& key, identity::NodeId const& sender,
                                   wire::v1::StageForward const& forward,
                                   LoadedModelPtr const& model, base::Instant now);
    void submit(WorkPtr const& work, ports::Lane lane);
    void submit_waiting();
    [[nodiscard]] StepCost cost_of(Work const& work, identity::NodeId const& sender,
                                   base::Instant now);
    void on_computed(Key const& key, WorkPtr const& work);
    void send_failure(identity::NodeId const& to, wire::v1::StageForward const& forward,
                      base::Error const& error);
    void log_refusal(identity::NodeId const& member, std::string const& sentence);
    void erase(Key const& key);
    void release(Served& served);
    [[nodiscard]] bool was_closed(Key const& key) const;

    node::Node& node_;
    ModelStore const& store_;
    ports::Pool& pool_;
    Credits& credits_;
    StepQueue<WorkPtr> waiting_;  // of members
    std::size_t in_flight_ = 0;   // of members
    std::map<Key, ServedPtr> served_;
    std::map<identity::NodeId, std::deque<RequestId>> closed_;  // of askers with a session
    std::size_t kv_bytes_ = 0;
    std::uint64_t forwards_computed_ = 0;
    RefusalLog refusals_;
};

base::Result<RequestId> parse_request_id(std::string const& bytes);
base::Result<identity::NodeId> parse_node_id(std::string const& bytes);

}  // namespace kith::ask
