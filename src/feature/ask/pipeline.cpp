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

constexpr std::size_t sentence_bytes_max = 200;  // of what another machine says went wrong

bool is_empty_part(Stage const& stage) {
    return stage.layers.begin == stage.layers.end && !stage.does_embedding && !stage.does_head;
}

Sequence::Part part_of(Stage const& stage) {
    return {.layers = stage.layers,
            .does_embedding = stage.does_embedding,
            .does_head = stage.does_head};
}

wire::v1::RouteHop hop_of(Stage const& stage) {
    wire::v1::RouteHop hop;
    hop.set_node_id(base::to_text(stage.node.bytes));
    hop.set_layers_begin(stage.layers.begin);
    hop.set_layers_end(stage.layers.end);
    hop.set_does_embedding(stage.does_embedding);
    hop.set_does_head(stage.does_head);
    return hop;
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
    auto const local = [&](Stage const& stage) -> base::Result<std::shared_ptr<Sequence>> {
        return std::make_shared<Sequence>(
            KITH_TRY(Sequence::create(plan_.model, part_of(stage), positions_max, plan_.sampling)));
    };
    auto begin = plan_.stages.begin();
    auto end = plan_.stages.end();
    if (begin->is_self) first_ = KITH_TRY(local(*begin++));
    if (begin == end) {
        last_ = first_;
    } else if ((end - 1)->is_self) {
        last_ = KITH_TRY(local(*--end));
    }
    for (auto stage = begin; stage != end; ++stage)
        if (!is_empty_part(*stage)) hops_.push_back(hop_of(*stage));
    return hops_.empty() ? base::Status{} : prepare_seals();
}

// Tier 2: a key of this question alone; its private half does not outlive this function.
base::Status Pipeline::prepare_seals() {
    crypto::X25519PrivateKey request_key;
    KITH_TRY(node_.rng().fill(request_key.mutable_view()));
    request_key_ = crypto::x25519_public_key(request_key);
    auto const channel =
        [&](wire::v1::RouteHop const& hop,
            proto::seal::Direction direction) -> base::Result<proto::seal::Channel> {
        auto const stage = KITH_TRY(parse_node_id(hop.node_id()));
        auto const* list = node_.registry() != nullptr ? node_.registry()->list() : nullptr;
        auto const* member = list != nullptr ? list->find(stage) : nullptr;
        if (member == nullptr)
            return fail(Code::unavailable, "a machine of the route is no member any more");
        return proto::seal::Channel::at_asker(
            request_key, member->static_key(),
            {.request = id_, .asker = node_.identity().node_id(), .stage = stage}, direction);
    };
    to_first_ = KITH_TRY(channel(hops_.front(), proto::seal::Direction::prompt));
    from_last_ = KITH_TRY(channel(hops_.back(), proto::seal::Direction::answer));
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
    struct Job {
        base::Status status;
        std::vector<float> hidden;
    };
    auto job = std::make_shared<Job>();
    on_worker(
        [job, sequence = first_, step_tokens = tokens_, position = position_,
         cancelled = cancelled_] {
            job->status = sequence->embed(step_tokens, job->hidden);
            if (job->status) job->status = sequence->forward(job->hidden, position, *cancelled);
        },
        [this, job] { after_first(std::move(job->status), std::move(job->hidden)); });
}

void Pipeline::after_first(base::Status status, std::vector<float> hidden) {
    if (!status) return fail_with(status.error());
    if (hops_.empty()) return run_last(std::move(hidden));
    send_step(hidden);
}

void Pipeline::send_step(std::vector<float> const& hidden) {
    wire::v1::StageMessage message;
    auto* forward = message.mutable_forward();
    forward->set_request_id(base::to_text(id_));
    forward->set_asker(base::to_text(node_.identity().node_id().bytes));
    forward->set_model_id(base::to_text(base::from_hex(plan_.model->id).value_or(base::Bytes{})));
    forward->set_step(step_);
    forward->set_position(static_cast<std::uint32_t>(position_));
    forward->set_rows(static_cast<std::uint32_t>(rows_));
    forward->set_hidden(static_cast<std::uint32_t>(plan_.model->manifest.hidden_size));
    forward->set_positions_max(static_cast<std::uint32_t>(plan_.prompt.size() + plan_.tokens_max));
    for (auto const& hop : hops_) *forward->add_hops() = hop;
    // With a local last part that has layers every row must come back; else only the last one
    // counts.
    bool const needs_all_rows = last_ && last_->part().layers.begin != last_->part().layers.end;
    forward->set_last_row_only(!needs_all_rows && step_is_last_of_prompt());
    if (hops_.back().does_head()) {
        auto* sampling = forward->mutable_sampling();
        sampling->set_temperature(plan_.sampling.temperature);
        sampling->set_top_p(plan_.sampling.top_p);
        sampling->set_top_k(static_cast<std::uint32_t>(plan_.sampling.top_k));
        sampling->set_seed(plan_.sampling.seed);
    }
    forward->set_request_key(base::to_text(request_key_));
    // The one place where token ids leave this machine, and only when no privacy flag forbids it
    // (S66).
    bool const tokens_allowed = !plan_.flags.local_embedding_privacy;
    bool const sends_tokens =
        hops_.front().does_embedding() && KITH_GUARD("S66.tokens_stay", tokens_allowed);
    forward->set_pre_embedded(!sends_tokens);
    auto const content =
        sends_tokens ? encode_tokens(tokens_) : base::to_bytes(tensor_bytes(hidden));
    auto const to = parse_node_id(hops_.front().node_id());
    KITH_ASSERT(to.has_value());
    waiting_for_hops_ = true;
    auto const sent = [&]() -> base::Status {
        auto const sealed = KITH_TRY(to_first_->seal(step_, bound_fields(*forward), content));
        return node_.send(*to, message, sealed);
    }();
    if (!sent)
        fail_with({sent.error().code,
                   "the question cannot be sent to " + hop_name(0) + ": " + sent.error().message});
}

void Pipeline::on_result(identity::NodeId const& sender, wire::v1::StageResult const& result,
                         base::ByteView sealed, base::Instant now) {
    bool const from_last_hop =
        !hops_.empty() && hops_.back().node_id() == base::to_text(sender.bytes);
    if (over_ || !waiting_for_hops_ || !from_last_hop || result.step() != step_) return;
    auto const opened = from_last_->open(step_, bound_fields(result), sealed);
    if (!opened)
        return fail_with(
            {opened.error().code, hop_name(hops_.size() - 1) + ": " + opened.error().message});
    now_ = now;
    waiting_for_hops_ = false;
    if (hops_.back().does_head()) {
        if (!step_is_last_of_prompt()) return step_done(std::nullopt);
        auto const tokens = decode_tokens(opened->bytes(), result.has_token() ? 1 : 0);
        if (!tokens || tokens->empty() ||
            static_cast<std::uint64_t>(tokens->front()) >= plan_.model->manifest.vocabulary_size)
            return fail_with(
                {Code::invalid, hop_name(hops_.size() - 1) + " answered without a usable token"});
        return step_done(tokens->front());
    }
    bool const all_rows = last_->part().layers.begin != last_->part().layers.end;
    auto const rows = all_rows || !step_is_last_of_prompt() ? rows_ : std::size_t{1};
    auto hidden = decode_tensor(opened->bytes(), result.rows(), plan_.model->manifest.hidden_size);
    if (!hidden || result.rows() != rows)
        return fail_with({Code::invalid, hop_name(hops_.size() - 1) +
                                             " answered with a tensor of the wrong shape"});
    run_last(std::move(*hidden));
}

void Pipeline::run_last(std::vector<float> hidden) {
    struct Job {
        base::Status status;
        std::vector<float> hidden;
        std::optional<infer::TokenId> token;
    };
    auto job = std::make_shared<Job>();
    job->hidden = std::move(hidden);
    bool const needs_forward = last_ != first_;
    on_worker(
        [job, sequence = last_, needs_forward, position = position_,
         wants_token = step_is_last_of_prompt(), cancelled = cancelled_] {
            job->status = [&]() -> base::Status {
                if (needs_forward) KITH_TRY(sequence->forward(job->hidden, position, *cancelled));
                if (wants_token) job->token = KITH_TRY(sequence->sample(job->hidden));
                return {};
            }();
        },
        [this, job] { after_last(std::move(job->status), job->token); });
}

void Pipeline::after_last(base::Status status, std::optional<infer::TokenId> token) {
    if (!status) return fail_with(status.error());
    step_done(token);
}

// All rows of a step are through every layer.
void Pipeline::step_done(std::optional<infer::TokenId> token) {
    position_ += rows_;
    ++step_;
    if (token) return on_token(*token);
    auto const rows = std::min(prefill_rows, plan_.prompt.size() - position_);
    auto const from = plan_.prompt.begin() + static_cast<std::ptrdiff_t>(position_);
    step({from, from + static_cast<std::ptrdiff_t>(rows)}, now_);
}

void Pipeline::on_token(infer::TokenId token) {
    if (plan_.model->tokenizer->ends_answer(token)) {
        emit(decoder_->finish());
        return finish(FinishReason::stop);
    }
    ++generated_;
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
    if (!output.text.empty()) listener_(Piece{output.text});
    if (output.stopped && !over_) finish(FinishReason::stop);
}

void Pipeline::finish(FinishReason reason) {
    if (over_) return;
    if (auto const held = stops_->finish(); !held.empty()) listener_(Piece{held});
    if (over_) return;
    over_ = true;
    credit_hops();
    close_hops();
    listener_(Finished{.reason = reason,
                       .prompt_tokens = static_cast<std::uint32_t>(plan_.prompt.size()),
                       .completion_tokens = static_cast<std::uint32_t>(generated_)});
    ended_();
}

// S33: each machine whose part of the answer arrived, once per question.
void Pipeline::credit_hops() {
    for (auto const& hop : hops_)
        if (auto const node = parse_node_id(hop.node_id()); node)
            node_.note_inference_success(*node, id_, now_);
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
    for (auto const& hop : hops_) {
        auto const to = parse_node_id(hop.node_id());
        wire::v1::Control control;
        control.mutable_stage_close()->set_request_id(base::to_text(id_));
        if (to) (void)node_.send(*to, control);
    }
}

std::string Pipeline::hop_name(std::size_t hop) const {
    auto const& stage = hops_[hop];
    auto const node = parse_node_id(stage.node_id());
    return "stage " + (node ? node->to_short() : std::string("?")) + " (layers " +
           std::to_string(stage.layers_begin()) + " to " + std::to_string(stage.layers_end()) + ")";
}

void Pipeline::on_failed(identity::NodeId const& sender, wire::v1::StageFailed const& failed) {
    for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
        if (hops_[hop].node_id() != base::to_text(sender.bytes)) continue;
        auto const sentence = base::one_line(failed.sentence(), sentence_bytes_max);
        return fail_with({Code::unavailable, hop_name(hop) + " could not compute: " + sentence});
    }
}

void Pipeline::on_peer_down(identity::NodeId const& peer, base::Error const& reason) {
    for (std::size_t hop = 0; hop < hops_.size(); ++hop)
        if (hops_[hop].node_id() == base::to_text(peer.bytes))
            return fail_with({Code::unavailable, hop_name(hop) +
                                                     " was lost in the middle of the answer (" +
                                                     reason.message + "); ask again"});
}

void Pipeline::on_deadline(base::Instant now) {
    if (over_ || !deadline_ || now < *deadline_) return;
    fail_with({Code::timeout,
               waiting_for_hops_
                   ? hop_name(0) + " or a stage behind it did not answer in time; ask again"
                   : "this machine was too slow to compute its part"});
}

}  // namespace kith::ask
