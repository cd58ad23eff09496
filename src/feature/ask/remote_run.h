// feature/ask/remote_run.h: the part of a route that other machines compute, as the asker drives
// it: one step goes to the first hop, one result comes back from the last. Tier 2 is here: what
// goes in is sealed for the first hop, what comes out was sealed by the last.
//
// Runs on the loop thread. One step at a time: send(), then on_result() until it gives an outcome.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "crypto/x25519.h"
#include "feature/ask/model_store.h"
#include "feature/ask/planner.h"
#include "feature/ask/stage_server.h"
#include "infer/sampler.h"
#include "node/node.h"
#include "proto/seal/request_seal.h"
#include "schema/wire.pb.h"

namespace kith::ask {

wire::v1::RouteHop hop_of(Stage const& stage);
// What of a route others compute: without the local part at the front and the one at the back, and
// without stages that do nothing.
std::vector<wire::v1::RouteHop> remote_hops(std::vector<Stage> const& stages);

class RemoteRun {
public:
    struct Options {
        LoadedModelPtr model;
        std::vector<wire::v1::RouteHop> hops;  // in order, at least one; may pass through this node
        RequestId id{};                        // random, never used before
        std::size_t positions_max = 0;         // of the whole question
        infer::SamplerOptions sampling;        // used when the last hop has the head
    };
    // Code::unavailable: a machine of the route is no member any more.
    static base::Result<RemoteRun> create(node::Node& node, Options options);

    // What the first hop computes on: token ids when it embeds, else hidden rows.
    using Input = std::variant<std::vector<infer::TokenId>, std::vector<float>>;
    struct Step {
        std::size_t position = 0;    // of its first row
        std::size_t rows = 0;        // at most rows_per_forward_max
        bool last_row_only = false;  // the last hop answers with its last row, or samples from it
        Input input;
    };
    // Fails when there is no session with the first hop; then the run is over.
    base::Status send(Step step);

    // A token; or hidden rows; or neither, when the last hop has the head and nothing was sampled.
    struct Output {
        std::optional<infer::TokenId> token;
        std::vector<float> hidden;
    };
    // nullopt: not the answer that is waited for. An error names the hop; the run is over.
    std::optional<base::Result<Output>> on_result(identity::NodeId const& sender,
                                                  wire::v1::StageResult const& result,
                                                  base::ByteView sealed);
    // The error to end with, if `sender` is a hop that says it failed, or that was lost.
    [[nodiscard]] std::optional<base::Error> failure(identity::NodeId const& sender,
                                                     wire::v1::StageFailed const& failed) const;
    [[nodiscard]] std::optional<base::Error> loss(identity::NodeId const& peer,
                                                  base::Error const& reason) const;
    // Of the tokens that came through every hop: what each of them computed for it.
    struct HopWork {
        identity::NodeId node;
        std::uint64_t work = 0;  // credits.h: work_of()
    };
    [[nodiscard]] std::vector<HopWork> work_done() const;
    // Tells every hop that the request is over; whoever began it calls this, also after an error.
    void close();

    [[nodiscard]] RequestId const& id() const { return options_.id; }
    [[nodiscard]] std::vector<wire::v1::RouteHop> const& hops() const { return options_.hops; }
    [[nodiscard]] bool is_waiting() const { return step_.has_value(); }
    [[nodiscard]] std::string hop_name(std::size_t hop) const;

private:
    RemoteRun(node::Node& node, Options options) : node_(&node), options_(std::move(options)) {}
    base::Status prepare_seals();
    [[nodiscard]] wire::v1::StageMessage message_of(Step const& step) const;
    base::Result<Output> read(Step const& step, wire::v1::StageResult const& result,
                              base::ByteView sealed) const;

    node::Node* node_;
    Options options_;
    crypto::X25519PublicKey request_key_{};          // of this question (Tier 2)
    std::optional<proto::seal::Channel> to_first_;   // seals prompts to the first hop
    std::optional<proto::seal::Channel> from_last_;  // opens answers of the last hop
    std::uint32_t number_ = 0;                       // of the step under way, or of the next one
    std::uint64_t rows_done_ = 0;
    std::optional<Step> step_;  // sent, without a result; its input is gone
};

}  // namespace kith::ask
