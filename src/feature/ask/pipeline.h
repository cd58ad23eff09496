// feature/ask/pipeline.h: one question on its way: prefill in chunks, then one token at a time,
// over the local parts and the remote hops of a fixed route. The asker drives; the hops pass
// activations on to each other directly.
//
//   prefill --(all prompt rows are through)--> decode --(end token, stop string, limit)--> finished
//   prefill, decode --(hop lost, refused, timed out)--> failed: one clear error; the answer so far
//   stays
//
// Output is the same, bit for bit, wherever the layers are computed: the engine guarantees it, the
// route only decides.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "feature/ask/remote_run.h"
#include "feature/ask/run_record.h"
#include "feature/ask/sequence.h"
#include "feature/ask/service.h"
#include "feature/ask/stage_server.h"
#include "node/node.h"
#include "ports/pool.h"
#include "schema/wire.pb.h"

namespace kith::ask {

inline constexpr std::size_t prefill_rows = 64;  // of one step; at most rows_per_forward_max
inline constexpr base::Duration prefill_step_timeout = std::chrono::seconds(120);
inline constexpr base::Duration decode_step_timeout = std::chrono::seconds(60);

// What was decided before a question starts.
struct Plan {
    LoadedModelPtr model;
    std::vector<Stage> stages;  // the whole route, in order
    PrivacyFlags flags;         // effective
    RouteView view;
    std::vector<infer::TokenId> prompt;
    std::size_t tokens_max = 0;  // generated
    infer::SamplerOptions sampling;
    std::optional<infer::grammar::Grammar> grammar;  // what the answer must be
    std::vector<std::string> stop;
    // Set when this question will be spot-checked: gets what the remote part was given and gave,
    // once, when the question is finished.
    std::function<void(RunRecord)> on_record;
};

class Pipeline : public std::enable_shared_from_this<Pipeline> {
public:
    // `ended` is called once, with the last update, after the listener heard it. Never calls back
    // from the constructor.
    using Ended = std::function<void()>;
    static base::Result<std::shared_ptr<Pipeline>> create(node::Node& node, ports::Pool& pool,
                                                          Plan plan, RequestId id,
                                                          Listener listener, Ended ended);
    ~Pipeline();

    void start(base::Instant now);
    // Silently: the listener hears nothing more.
    void cancel();

    void on_result(identity::NodeId const& sender, wire::v1::StageResult const& result,
                   base::ByteView sealed, base::Instant now);
    void on_failed(identity::NodeId const& sender, wire::v1::StageFailed const& failed);
    void on_peer_down(identity::NodeId const& peer, base::Error const& reason);
    [[nodiscard]] std::optional<base::Instant> deadline() const { return deadline_; }
    void on_deadline(base::Instant now);

    [[nodiscard]] RequestId const& id() const { return id_; }
    [[nodiscard]] std::vector<RemoteRun::HopWork> work_done() const;
    [[nodiscard]] LoadedModelPtr const& model() const { return plan_.model; }
    [[nodiscard]] RouteView const& view() const { return plan_.view; }

private:
    Pipeline(node::Node& node, ports::Pool& pool, Plan plan, RequestId id, Listener listener,
             Ended ended);
    base::Status prepare();

    void step(std::vector<infer::TokenId> tokens, base::Instant now);
    void after_first(std::vector<float> hidden);
    void send_step(std::vector<float> hidden);
    void run_last(std::vector<float> hidden);
    void step_done(std::optional<infer::Choice> const& choice);
    void on_choice(infer::Choice const& choice);
    void emit(std::string const& text);
    [[nodiscard]] TokenLogprob logprob_of(infer::Logprob const& logprob) const;
    void finish(FinishReason reason);
    void fail_with(base::Error error);
    void credit_hops();
    void close_hops();
    [[nodiscard]] bool step_is_last_of_prompt() const {
        return position_ + rows_ >= plan_.prompt.size();
    }

    [[nodiscard]] Sequence::Output output_of_last() const {
        return step_is_last_of_prompt() ? Sequence::Output::token : Sequence::Output::rows;
    }

    // A step of a local part, on its way through the compute thread.
    struct Job {
        std::vector<float> hidden;
        base::Result<std::optional<infer::Choice>> choice = std::optional<infer::Choice>{};
    };
    // Runs `work` on the worker and `then` on the loop, unless the pipeline has ended by then.
    void on_worker(std::function<void()> work, std::function<void()> then);

    node::Node& node_;
    ports::Pool& pool_;
    Plan plan_;
    RequestId id_;
    Listener listener_;
    Ended ended_;
    std::optional<RemoteRun> remote_;      // the hops, if any
    std::optional<RunRecorder> recorder_;  // of what the hops got and gave, for a spot check
    std::shared_ptr<Sequence> first_;      // local front, if any
    std::shared_ptr<Sequence> last_;  // local back, if any; the same as first_ when all is local
    std::shared_ptr<std::atomic<bool>> cancelled_;
    std::unique_ptr<infer::StreamingDecoder> decoder_;
    std::optional<infer::StopMatcher> stops_;
    std::size_t position_ = 0;  // rows that are through
    std::size_t rows_ = 0;      // of the step under way
    std::uint32_t step_ = 0;
    std::vector<infer::TokenId> tokens_;  // of the step under way
    std::size_t generated_ = 0;
    std::vector<TokenLogprob> logprobs_;  // of tokens whose text the listener has not heard yet
    bool over_ = false;
    base::Instant now_;
    std::optional<base::Instant> deadline_;
};

}  // namespace kith::ask
