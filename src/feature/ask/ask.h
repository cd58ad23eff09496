// feature/ask/ask.h: the ask feature of one node: models it holds, stages it computes for others,
// questions it drives.
//
// Owns no sockets and no clock; the node tells it what members say, the pool computes. One instance
// per node.
#pragma once

#include <deque>
#include <map>

#include "feature/ask/credits.h"
#include "feature/ask/model_store.h"
#include "feature/ask/pipeline.h"
#include "feature/ask/service.h"
#include "feature/ask/shard_exchange.h"
#include "feature/ask/spot_checks.h"
#include "feature/ask/stage_server.h"
#include "node/node.h"

namespace kith::ask {

inline constexpr std::size_t questions_running_max = 4;
inline constexpr std::size_t questions_waiting_max = 512;  // S61

struct Options {
    PrivacyFlags flags;  // as configured; effective() is applied
    std::size_t threads = 1;
    engine::WorkerProgram worker = {};  // which becomes the models' worker processes
    std::filesystem::path models_directory;
};

class Ask final : public node::Feature, public Service {
public:
    // All outlive the feature. Starts hashing the shards on disk; models appear as they pass.
    static base::Result<std::unique_ptr<Ask>> create(Options options, node::Node& node,
                                                     ports::Pool& pool);
    ~Ask() override;

    // --- Service
    [[nodiscard]] bool has_room() const override;
    base::Result<QuestionId> ask(Question question, Listener listener) override;
    void cancel(QuestionId id) override;
    std::vector<ModelCard> models() const override;
    std::optional<RouteView> last_route() const override { return last_route_; }
    base::Result<RouteView> planned_route(std::string const& model) const override;

    // --- model management
    struct AddRequest {
        std::filesystem::path file;
        std::string name;                  // empty: from the file
        std::size_t layers_per_shard = 0;  // 0: chosen
    };
    using OnProgress = ShardExchange::OnProgress;
    using OnModel = std::function<void(base::Result<ModelCard>)>;
    void add_model(AddRequest const& request, OnProgress const& progress, OnModel done);
    void fetch_model(std::string model, std::vector<std::uint32_t> shards, OnProgress progress,
                     OnModel done);
    void cancel_fetch() { exchange_.cancel_fetch(); }
    // Deletes shards here; without any named, the model with all it has here. Refused when no
    // connected member announces what would go, but with Drop::last_copy_too.
    enum class Drop { if_held_elsewhere, last_copy_too };
    void drop_shards(std::string const& model, std::vector<std::uint32_t> const& shards, Drop drop,
                     OnModel done);

    [[nodiscard]] std::uint64_t weight_bytes() const;
    [[nodiscard]] std::uint64_t kv_bytes() const { return server_.kv_bytes(); }
    [[nodiscard]] bool loading() const { return loads_running_ > 0; }
    // Calls back when no model is being loaded (any more): at once or later.
    void when_loaded(std::function<void()> then);
    // What this machine or a member serves, for people: "guide: shards 1-3".
    [[nodiscard]] std::vector<std::string> serving(identity::NodeId const& node) const;
    [[nodiscard]] StageServer const& stage_server() const { return server_; }
    [[nodiscard]] SpotChecks::Counts const& spot_checks() const { return checks_.counts(); }
    [[nodiscard]] Credits const& credits() const { return credits_; }

    // --- node::Feature
    void on_control(node::AuthenticatedControl const& message, base::Instant now) override;
    void on_activation(node::AuthenticatedActivation message, base::Instant now) override;
    void on_peer_up(identity::NodeId const& peer, base::Instant now) override;
    void on_peer_down(identity::NodeId const& peer, base::Error const& reason,
                      base::Instant now) override;
    [[nodiscard]] std::optional<base::Instant> deadline() const override;
    void on_deadline(base::Instant now) override;

private:
    Ask(Options options, ModelStore store, Credits credits, node::Node& node, ports::Pool& pool);
    // Asked and not started: its text is on the worker, or it waits for its turn.
    struct Waiting {
        QuestionId id = 0;
        Question question;  // without its messages: they are the worker's
        Listener listener;
        std::string model_id;
        std::vector<infer::TokenId> prompt;              // empty: not tokenised yet
        std::optional<infer::grammar::Grammar> grammar;  // of question.form
    };

    [[nodiscard]] LoadOptions load_options(std::string const& model_name) const;
    void end_later(LoadedModelPtr model);
    void tell_confinement(LoadedModel const& model);
    void reload(std::filesystem::path const& folder, std::function<void(base::Status)> done);
    void remove_model(LoadedModelPtr const& model, OnModel done);
    [[nodiscard]] ModelCard card(LoadedModel const& model) const;
    [[nodiscard]] std::vector<Holder> holders(LoadedModel const& model) const;
    [[nodiscard]] std::set<std::uint32_t> shards_elsewhere(std::string const& model_id) const;
    base::Result<LoadedModelPtr> model_for(std::string const& wanted) const;
    base::Result<Plan> make_plan(Waiting const& asked);
    void tokenise(LoadedModelPtr const& model, std::vector<Message> messages, QuestionId id);
    void on_tokenised(QuestionId id, base::Result<std::vector<infer::TokenId>> prompt);
    base::Result<std::vector<Stage>> plan_route(LoadedModel const& model, PrivacyFlags flags) const;
    RouteView view_of(LoadedModel const& model, std::vector<Stage> const& stages,
                      PrivacyFlags flags, std::optional<SpotChecks::Drawn> const& check = {}) const;
    base::Status start_question(Waiting const& asked);
    void start_waiting();
    void pay_for(RequestId const& id, std::vector<RemoteRun::HopWork> const& work);
    [[nodiscard]] base::Instant now() const { return node_.clock().now(); }

    Options options_;
    PrivacyFlags flags_;
    ModelStore store_;
    node::Node& node_;
    ports::Pool& pool_;
    ShardExchange exchange_;
    Credits credits_;
    StageServer server_;
    SpotChecks checks_;
    std::map<QuestionId, std::shared_ptr<Pipeline>> running_;
    std::deque<Waiting> waiting_;  // in the order they were asked
    QuestionId next_id_ = 1;
    std::optional<RouteView> last_route_;
    std::size_t loads_running_ = 0;
    bool has_no_landlock_ = false;  // and said so
    std::vector<std::function<void()>> after_loading_;
    base::Instant expire_at_{};
    base::Instant announce_at_{};
};

}  // namespace kith::ask
