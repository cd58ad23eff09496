#include "feature/ask/pipeline.h"

#include <algorithm>

#include "base/check.h"
#include "base/encoding.h"
#include "base/sabotage.h"
#include "base/text.h"
#include "feature/ask/request_content.h"

namespace kith::ask {

using base::Code;
using base::fail;

namespace {

Sequence::Part part_of(Stage const& stage) {
    return {.layers = stage.layers,
            .does_embedding = stage.does_embedding,
            .does_head = stage.does_head};
}

}  // namespace

base::Result<std::shared_ptr<Pipeline>> Pipeline::create(node::Node& node, ports::Pool& pool,
                                                         Plan plan, RequestId id, Listener listener,
                                                         Ended ended) {
    std::shared_ptr<Pipeline> pipeline(
        new Pipeline(node, pool, std::move(plan), id, std::move(listener), std::move(ended)));
    KITH_TRY(pipeline->prepare());
    return pipeline;
}

Pipeline::Pipeline(node::Node& node, ports::Pool& pool, Plan plan, RequestId id, Listener listener,
                   Ended ended)
    : node_(node),
      pool_(pool),
      plan_(std::move(plan)),
      id_(id),
      listener_(std::move(listener)),
      ended_(std::move(ended)),
      cancelled_(std::make_shared<std::atomic<bool>>(false)) {}

Pipeline::~Pipeline() {
    *cancelled_ = true;
}

base::Status Pipeline::prepare() {
    KITH_ASSERT(plan_.model->tokenizer && !plan_.stages.empty());
    // A vocabulary of somebody else's making may have no token for anything that was asked.
    if (plan_.prompt.empty()) return fail(Code::invalid, "a question without any token");
    decoder_ = std::make_unique<infer::StreamingDecoder>(*plan_.model->tokenizer);
    stops_.emplace(KITH_TRY(infer::StopMatcher::create(plan_.stop)));
    auto const positions_max = plan_.prompt.size() + plan_.tokens_max;
    auto const local = [&](Stage const& stage) -> base::Result<decltype(first_)> {
        std::optional<Sequence::Sampling> sampling;
        if (stage.does_head)
            sampling = {.options = plan_.sampling,
                        .grammar = std::exchange(plan_.grammar, std::nullopt),
                        .prompt = plan_.prompt};
        return std::make_shared<Sequence>(KITH_TRY(
            Sequence::create(plan_.model, part_of(stage), positions_max, std::move(sampling))));
    };
    auto const& front = plan_.stages.front();
    auto const& back = plan_.stages.back();
    if (front.is_self) first_ = KITH_TRY(local(front));
    if (plan_.stages.size() == 1)
        last_ = first_;
    else if (back.is_self)
        last_ = KITH_TRY(local(back));
    RemoteRun::Options run{.model = plan_.model,
                           .hops = remote_hops(plan_.stages),
                           .id = id_,
                           .positions_max = positions_max,
                           .sampling = plan_.sampling};
    if (run.hops.empty()) return {};
    if (plan_.on_record) recorder_.emplace(run);
    remote_ = KITH_TRY(RemoteRun::create(node_, std::move(run)));
    return {};
}

void Pipeline::start(base::Instant now) {
    auto const rows = std::min(prefill_rows, plan_.prompt.size());
    step({plan_.prompt.begin(), plan_.prompt.begin() + static_cast<std::ptrdiff_t>(rows)}, now);
}

void Pipeline::on_worker(std::function<void()> work, std::function<void()> then) {
    auto cancelled = cancelled_;
    pool_.submit(
        ports::Lane::own,
        [work = std::move(work), cancelled] {
            if (!*cancelled) work();
        },
        [then = std::move(then), weak = weak_from_this()] {
            auto const alive = weak.lock();
            if (alive && !alive->over_) then();
        });
}

void Pipeline::step(std::vector<infer::TokenId> tokens, base::Instant now) {
    now_ = now;
    rows_ = tokens.size();
    tokens_ = std::move(tokens);
    deadline_ =
        now + (position_ < plan_.prompt.size() ? prefill_step_timeout : decode_step_timeout);
    if (!first_) return send_step({});
    bool const is_all = first_ == last_;
    auto job = std::make_shared<Job>();
    on_worker(
        [job, sequence = first_, step_tokens = tokens_, position = position_,
         output = is_all ? output_of_last() : Sequence::Output::rows, cancelled = cancelled_] {
            job->choice = sequence->run({.tokens = step_tokens,
                                         .hidden = job->hidden,
                                         .position = position,
                                         .output = output},
                                        *cancelled);
        },
        [this, job, is_all] {
            if (!job->choice) return fail_with(job->choice.error());
            if (is_all) return step_done(*job->choice);
            after_first(std::move(job->hidden));
        });
}

void Pipeline::after_first(std::vector<float> hidden) {
    if (!remote_) return run_last(std::move(hidden));
    send_step(std::move(hidden));
}

void Pipeline::send_step(std::vector<float> hidden) {
    // With a local last part that has layers every row must come back; else only the last one
    // counts.
    bool const needs_all_rows = last_ && last_->part().layers.begin != last_->part().layers.end;
    RemoteRun::Step step{.position = position_,
                         .rows = rows_,
                         .last_row_only = !needs_all_rows && step_is_last_of_prompt(),
                         .input = std::move(hidden)};
    // The one place where token ids leave this machine, and only when no privacy flag forbids it
    // (S66).
    bool const tokens_allowed = !plan_.flags.local_embedding_privacy;
    if (remote_->hops().front().does_embedding() && KITH_GUARD("S66.tokens_stay", tokens_allowed))
        step.input = tokens_;
    if (recorder_) recorder_->on_step(step);
    if (auto const sent = remote_->send(std::move(step)); !sent) fail_with(sent.error());
}

void Pipeline::on_result(identity::NodeId const& sender, wire::v1::StageResult const& result,
                         base::ByteView sealed, base::Instant now) {
    if (over_ || !remote_) return;
    auto output = remote_->on_result(sender, result, sealed);
    if (!output) return;
    if (!*output) return fail_with(output->error());
    now_ = now;
    if (recorder_) recorder_->on_output(**output);
    if (!remote_->hops().back().does_head()) return run_last(std::move((*output)->hidden));
    auto const& token = (*output)->token;
    step_done(token ? std::optional(infer::Choice{.token = *token}) : std::nullopt);
}

void Pipeline::run_last(std::vector<float> hidden) {
    auto job = std::make_shared<Job>();
    job->hidden = std::move(hidden);
    on_worker(
        [job, sequence = last_, position = position_, output = output_of_last(),
         cancelled = cancelled_] {
            job->choice = sequence->run(
                {.tokens = {}, .hidden = job->hidden, .position = position, .output = output},
                *cancelled);
        },
        [this, job] {
            if (!job->choice) return fail_with(job->choice.error());
            step_done(*job->choice);
        });
}

// All rows of a step are through every layer.
void Pipeline::step_done(std::optional<infer::Choice> const& choice) {
    position_ += rows_;
    ++step_;
    if (choice) return on_choice(*choice);
    auto const rows = std::min(prefill_rows, plan_.prompt.size() - position_);
    auto const from = plan_.prompt.begin() + static_cast<std::ptrdiff_t>(position_);
    step({from, from + static_cast<std::ptrdiff_t>(rows)}, now_);
}

TokenLogprob Pipeline::logprob_of(infer::Logprob const& logprob) const {
    TokenLogprob out;
    out.bytes = plan_.model->tokenizer->piece(logprob.token);
    infer::StreamingDecoder decoder(*plan_.model->tokenizer);
    out.text = decoder.push(logprob.token);
    out.text += decoder.finish();
    out.logprob = logprob.value;
    return out;
}

void Pipeline::on_choice(infer::Choice const& choice) {
    auto const token = choice.token;
    if (plan_.model->tokenizer->ends_answer(token)) {
        emit(decoder_->finish());
        return finish(FinishReason::stop);
    }
    ++generated_;
    if (choice.logprob) {
        logprobs_.push_back(logprob_of(*choice.logprob));
        for (auto const& other : choice.top) logprobs_.back().top.push_back(logprob_of(other));
    }
    emit(decoder_->push(token));
    if (over_) return;  // a stop string ended it, or the listener cancelled
    if (generated_ >= plan_.tokens_max) {
        emit(decoder_->finish());
        return finish(FinishReason::length);
    }
    step({token}, now_);
}

void Pipeline::emit(std::string const& text) {
    if (over_ || text.empty()) return;
    auto const output = stops_->push(text);
    if (!output.text.empty()) listener_(Piece{output.text, std::exchange(logprobs_, {})});
    if (output.stopped && !over_) {
        logprobs_.clear();  // of what stopped it
        finish(FinishReason::stop);
    }
}

void Pipeline::finish(FinishReason reason) {
    if (over_) return;
    auto const held = stops_->finish();
    if (!held.empty() || !logprobs_.empty()) listener_(Piece{held, std::exchange(logprobs_, {})});
    if (over_) return;
    over_ = true;
    credit_hops();
    close_hops();
    if (recorder_) plan_.on_record(recorder_->take());
    listener_(Finished{.reason = reason,
                       .prompt_tokens = static_cast<std::uint32_t>(plan_.prompt.size()),
                       .completion_tokens = static_cast<std::uint32_t>(generated_)});
    ended_();
}

// S33: each machine whose part of the answer arrived, once per question.
void Pipeline::credit_hops() {
    if (!remote_) return;
    for (auto const& hop : remote_->hops())
        if (auto const node = parse_node_id(hop.node_id()); node)
            node_.note_inference_success(*node, id_, now_);
}

std::vector<RemoteRun::HopWork> Pipeline::work_done() const {
    return remote_ ? remote_->work_done() : std::vector<RemoteRun::HopWork>{};
}

void Pipeline::fail_with(base::Error error) {
    if (over_) return;
    over_ = true;
    close_hops();
    listener_(Failed{std::move(error)});
    ended_();
}

void Pipeline::cancel() {
    if (over_) return;
    over_ = true;
    close_hops();
}

void Pipeline::close_hops() {
    *cancelled_ = true;
    deadline_.reset();
    if (remote_) remote_->close();
}

void Pipeline::on_failed(identity::NodeId const& sender, wire::v1::StageFailed const& failed) {
    if (auto error = remote_ ? remote_->failure(sender, failed) : std::nullopt)
        fail_with(std::move(*error));
}

void Pipeline::on_peer_down(identity::NodeId const& peer, base::Error const& reason) {
    if (auto error = remote_ ? remote_->loss(peer, reason) : std::nullopt)
        fail_with(std::move(*error));
}

void Pipeline::on_deadline(base::Instant now) {
    if (over_ || !deadline_ || now < *deadline_) return;
    fail_with({Code::timeout, remote_ && remote_->is_waiting()
                                  ? remote_->hop_name(0) +
                                        " or a stage behind it did not answer in time; ask again"
                                  : "this machine was too slow to compute its part"});
}

}  // namespace kith::ask
