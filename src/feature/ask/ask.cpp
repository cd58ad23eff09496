#include "feature/ask/ask.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "feature/ask/question.h"
#include "trust/score.h"

namespace kith::ask {

using base::Code;
using base::fail;

namespace {
constexpr base::Duration expire_interval = std::chrono::seconds(30);
// A member that has no lease yet hears nothing (P5), so what is served is said again and again.
constexpr base::Duration announce_interval = std::chrono::seconds(5);
constexpr std::size_t shards_for_boomerang_min = 3;  // S82
}  // namespace

base::Result<std::unique_ptr<Ask>> Ask::create(Options options, node::Node& node,
                                               ports::Pool& pool) {
    auto store = KITH_TRY(ModelStore::open(options.models_directory));
    auto credits = KITH_TRY(Credits::create(node));
    std::unique_ptr<Ask> ask(
        new Ask(std::move(options), std::move(store), std::move(credits), node, pool));
    for (auto const& folder : ask->store_.folders())
        ask->reload(folder, [raw = ask.get(), folder](base::Status status) {
            if (!status)
                raw->node_.log("model " + folder.string() +
                               " is not used: " + status.error().message);
        });
    return ask;
}

Ask::Ask(Options options, ModelStore store, Credits credits, node::Node& node, ports::Pool& pool)
    : options_(std::move(options)),
      flags_(effective(options_.flags)),
      store_(std::move(store)),
      node_(node),
      pool_(pool),
      exchange_(node, store_, pool,
                [this](std::string const& id) {
                    reload(store_.folder(id), [this](base::Status status) {
                        if (!status)
                            node_.log("a fetched shard is not used: " + status.error().message);
                    });
                }),
      credits_(std::move(credits)),
      server_(node, store_, pool, credits_),
      checks_(
          node, [this](LoadedModel const& model) { return holders(model); },
          [this](RequestId const& id, auto const& work) { pay_for(id, work); }) {}

Ask::~Ask() = default;

// --- routes

namespace {

Holder holder_of(LoadedModel const& model, std::ranges::input_range auto const& shards) {
    Holder holder;
    for (auto const shard : shards) {
        if (shard >= model.manifest.shards.size()) continue;  // a member may announce nonsense
        auto const& entry = model.manifest.shards[shard];
        holder.has_embedding |= entry.has_embedding;
        holder.has_head |= entry.has_head;
        if (entry.layers.begin != entry.layers.end)
            holder.spans.push_back({static_cast<std::uint32_t>(entry.layers.begin),
                                    static_cast<std::uint32_t>(entry.layers.end)});
    }
    return holder;
}

}  // namespace

std::vector<Holder> Ask::holders(LoadedModel const& model) const {
    std::vector<Holder> holders;
    auto self = holder_of(model, model.shards);
    self.node = node_.identity().node_id();
    self.is_self = true;
    holders.push_back(std::move(self));
    for (auto const& peer : node_.peers(now())) {
        if (peer.is_self || !node_.is_ready(peer.node)) continue;
        auto const* models = exchange_.holdings(peer.node);
        if (models == nullptr || !models->contains(model.id)) continue;
        auto holder = holder_of(model, models->at(model.id).shards);
        holder.node = peer.node;
        holder.takes_embeddings = exchange_.takes_embeddings(peer.node);
        if (peer.round_trip_us != 0) holder.round_trip_us = peer.round_trip_us;
        holder.weight = trust::scheduling_weight(trust::percentile_unit, node_.trust_in(peer.node));
        holders.push_back(std::move(holder));
    }
    return holders;
}

base::Result<std::vector<Stage>> Ask::plan_route(LoadedModel const& model,
                                                 PrivacyFlags flags) const {
    auto stages = KITH_TRY(
        plan(static_cast<std::uint32_t>(model.manifest.layers_count), holders(model), flags));
    auto const view = view_of(model, stages, flags);
    KITH_TRY(check_route(view.hops, flags));
    bool const remote =
        std::ranges::any_of(stages, [](auto const& stage) { return !stage.is_self; });
    if (flags.encrypted_pipeline && remote &&
        model.manifest.shards.size() < shards_for_boomerang_min)
        return fail(Code::forbidden,
                    "encrypted_pipeline needs a model of 3 or more shards; this one has fewer and "
                    "must be wholly local");
    return stages;
}

RouteView Ask::view_of(LoadedModel const& model, std::vector<Stage> const& stages,
                       PrivacyFlags flags, std::optional<SpotChecks::Drawn> const& check) const {
    std::vector<Hop> hops;
    hops.reserve(stages.size());
    for (auto const& stage : stages)
        hops.push_back({.node = stage.is_self ? "you" : stage.node.to_short(),
                        .is_asker = stage.is_self,
                        .layers_begin = stage.layers.begin,
                        .layers_end = stage.layers.end,
                        .does_embedding = stage.does_embedding,
                        .does_head = stage.does_head});
    std::optional<Hop> checker;
    if (check) {
        auto const part = remote_hops(stages).at(check->hop);
        checker = Hop{.node = check->checker.to_short(),
                      .layers_begin = part.layers_begin(),
                      .layers_end = part.layers_end(),
                      .does_embedding = part.does_embedding(),
                      .does_head = part.does_head()};
    }
    return who_sees_what(model.manifest.name, std::move(hops), flags, std::move(checker));
}

base::Result<RouteView> Ask::planned_route(std::string const& wanted) const {
    auto const model = KITH_TRY(store_.find(wanted));
    auto const stages = KITH_TRY(plan_route(*model, flags_));
    auto view = view_of(*model, stages, flags_);
    if (!remote_hops(stages).empty())
        view.sentences.emplace_back(
            "Of one question in 20, or in 4 where many members sit in one network, another member "
            "computes a part again to check it, and then sees the same.");
    return view;
}

namespace {

std::size_t context_of(LoadedModel const& model) {
    return std::min<std::size_t>(model.manifest.context_length, positions_max_max);
}

base::Status too_long(std::string const& has, std::size_t context) {
    return fail(Code::too_large, "the conversation has " + has + " tokens, the model reads " +
                                     std::to_string(context) + " at most");
}

// Before anybody tokenises it: no token stands for more bytes than the longest one has.
base::Status check_length(LoadedModel const& model, std::vector<Message> const& messages) {
    std::size_t bytes = 0;
    for (auto const& message : messages) bytes += message.content.size();
    auto const tokens_min = bytes / std::max<std::size_t>(model.token_bytes_max, 1);
    auto const context = context_of(model);
    if (tokens_min < context) return {};
    return too_long("at least " + std::to_string(tokens_min), context);
}

// Worker. Never empty.
base::Result<std::vector<infer::TokenId>> prompt_of(LoadedModel const& model,
                                                    infer::Conversation const& conversation) {
    auto prompt = KITH_TRY(model.chat->encode(*model.tokenizer, conversation, infer::Answer::open));
    if (prompt.empty())
        return fail(Code::unsupported,
                    "the vocabulary of this model has no token for anything in the question");
    auto const context = context_of(model);
    if (prompt.size() >= context) KITH_TRY(too_long(std::to_string(prompt.size()), context));
    return prompt;
}

}  // namespace

// A model that this machine can put a question to.
base::Result<LoadedModelPtr> Ask::model_for(std::string const& wanted) const {
    auto model = KITH_TRY(store_.find(wanted));
    if (loading() && model->shards.empty())
        return fail(Code::unavailable, "the model is still being checked; try again in a moment");
    if (!model->tokenizer)
        return fail(Code::unavailable,
                    "this machine needs shard 0 of the model for the tokenizer; get it with: kith "
                    "models fetch " +
                        model->manifest.name + " --shards 0");
    if (!model->chat) return fail(Code::unsupported, model->chat_objection);
    return model;
}

base::Result<Plan> Ask::make_plan(Waiting const& asked) {
    Plan plan;
    plan.model = KITH_TRY(model_for(asked.model_id));
    plan.flags = flags_;
    plan.stages = KITH_TRY(plan_route(*plan.model, plan.flags));
    auto const check = checks_.draw(plan.model, plan.stages);
    plan.view = view_of(*plan.model, plan.stages, plan.flags, check);
    if (check)
        plan.on_record = [this, check = *check](RunRecord record) {
            checks_.begin(std::move(record), check, now());
        };
    plan.prompt = asked.prompt;
    plan.tokens_max = std::min<std::size_t>(asked.question.tokens_max,
                                            context_of(*plan.model) - plan.prompt.size());
    plan.sampling = sampling_of(asked.question);
    plan.grammar = asked.grammar;
    KITH_TRY(check_head(plan.stages, asked.question));
    plan.stop = asked.question.stop;
    return plan;
}

// --- questions

bool Ask::has_room() const {
    return running_.size() + waiting_.size() < questions_running_max + questions_waiting_max;
}

base::Result<QuestionId> Ask::ask(Question question, Listener listener) {
    if (!has_room())
        return fail(Code::unavailable, "too many questions wait already; try again later");
    // Say at once what will not work; whether it still does is looked at again when it starts.
    auto const model = KITH_TRY(model_for(question.model));
    KITH_TRY(check_head(KITH_TRY(plan_route(*model, flags_)), question));
    KITH_TRY(check_length(*model, question.messages));
    auto grammar = KITH_TRY(grammar_of(question));
    auto const id = next_id_++;
    auto messages = std::exchange(question.messages, {});
    waiting_.push_back(
        {id, std::move(question), std::move(listener), model->id, {}, std::move(grammar)});
    tokenise(model, std::move(messages), id);
    return id;
}

// Text to tokens takes up to seconds, so it is the worker's; once for each question.
void Ask::tokenise(LoadedModelPtr const& model, std::vector<Message> messages, QuestionId id) {
    struct Job {
        infer::Conversation conversation;
        base::Result<std::vector<infer::TokenId>> prompt = std::vector<infer::TokenId>{};
    };
    auto job = std::make_shared<Job>();
    job->conversation.now = node_.clock().unix_now();
    for (auto& message : messages)
        job->conversation.messages.push_back(chat_message(std::move(message)));
    pool_.submit(
        ports::Lane::own,
        [job, model] {
            job->prompt = prompt_of(*model, job->conversation);
            job->conversation.messages.clear();
        },
        [this, job, id] { on_tokenised(id, std::move(job->prompt)); });
}

void Ask::on_tokenised(QuestionId id, base::Result<std::vector<infer::TokenId>> prompt) {
    auto const found = std::ranges::find(waiting_, id, &Waiting::id);
    if (found == waiting_.end()) return;  // cancelled meanwhile
    if (prompt) {
        found->prompt = *std::move(prompt);
    } else {
        auto const listener = std::move(found->listener);
        waiting_.erase(found);
        listener(Failed{prompt.error()});
    }
    start_waiting();
}

base::Status Ask::start_question(Waiting const& asked) {
    auto plan = KITH_TRY(make_plan(asked));
    if (asked.question.seed)
        plan.sampling.seed = *asked.question.seed;
    else
        KITH_TRY(node_.rng().fill(
            {reinterpret_cast<std::uint8_t*>(&plan.sampling.seed), sizeof(plan.sampling.seed)}));
    RequestId request;
    KITH_TRY(node_.rng().fill(request));
    auto ended = [this, id = asked.id] {
        // The pipeline is still on the stack; it dies with the last reference, after this turn.
        auto const found = running_.find(id);
        if (found == running_.end()) return;
        pay_for(found->second->id(), found->second->work_done());
        pool_.submit(
            ports::Lane::own, [] {},
            [&pool = pool_, keep = found->second]() mutable {
                auto const model = keep->model();
                keep.reset();
                sweep_later(pool, model);
            });
        running_.erase(found);
        start_waiting();
    };
    auto pipeline = KITH_TRY(
        Pipeline::create(node_, pool_, std::move(plan), request, asked.listener, std::move(ended)));
    running_.emplace(asked.id, pipeline);
    last_route_ = pipeline->view();
    pipeline->start(now());
    return {};
}

// In the order they were asked: the worker tokenises in that order too.
void Ask::start_waiting() {
    while (!waiting_.empty() && !waiting_.front().prompt.empty() &&
           running_.size() < questions_running_max) {
        auto const next = std::move(waiting_.front());
        waiting_.pop_front();
        if (auto const started = start_question(next); !started)
            next.listener(Failed{started.error()});
    }
}

void Ask::cancel(QuestionId id) {
    std::erase_if(waiting_, [&](auto const& waiting) { return waiting.id == id; });
    auto const found = running_.find(id);
    if (found == running_.end()) return;
    auto pipeline = std::move(found->second);
    running_.erase(found);
    pipeline->cancel();
    pay_for(pipeline->id(), pipeline->work_done());
    auto const model = pipeline->model();
    pipeline.reset();
    sweep_later(pool_, model);
    start_waiting();
}

// However it ended: what was computed was computed.
void Ask::pay_for(RequestId const& id, std::vector<RemoteRun::HopWork> const& work) {
    for (auto const& hop : work) credits_.owe(hop.node, hop.work, id);
}

// --- what members say

void Ask::on_control(node::AuthenticatedControl const& message, base::Instant now) {
    if (message->has_stage_close()) {
        if (auto const id = parse_request_id(message->stage_close().request_id()))
            server_.on_close(message.sender(), *id);
        return;
    }
    if (message->has_stage_failed()) {
        auto const id = parse_request_id(message->stage_failed().request_id());
        for (auto const& [question, pipeline] : std::map(running_))
            if (id && pipeline->id() == *id)
                pipeline->on_failed(message.sender(), message->stage_failed());
        checks_.on_failed(message.sender(), message->stage_failed(), now);
        return;
    }
    if (message->has_credit_transaction() || message->has_credit_gossip())
        return credits_.on_control(message, now);
    exchange_.on_control(message, now);
}

void Ask::on_activation(node::AuthenticatedActivation message, base::Instant now) {
    if (message->message.has_forward()) return server_.on_forward(message, now);
    if (!message->message.has_result()) return;
    auto const& result = message->message.result();
    auto const id = parse_request_id(result.request_id());
    for (auto const& [question, pipeline] : std::map(running_))
        if (id && pipeline->id() == *id)
            pipeline->on_result(message.sender(), result, message->tensor, now);
    checks_.on_result(message.sender(), result, message->tensor, now);
}

void Ask::on_peer_up(identity::NodeId const& peer, base::Instant) {
    exchange_.announce_to(peer);
    credits_.on_peer_up(peer);
}

void Ask::on_peer_down(identity::NodeId const& peer, base::Error const& reason, base::Instant now) {
    server_.on_peer_down(peer);
    exchange_.on_peer_down(peer, now);
    for (auto const& [question, pipeline] : std::map(running_))
        pipeline->on_peer_down(peer, reason);
    checks_.on_peer_down(peer, reason, now);
}

std::optional<base::Instant> Ask::deadline() const {
    auto earliest = std::optional(std::min({expire_at_, announce_at_, credits_.deadline()}));
    if (auto const when = exchange_.deadline(); when && *when < *earliest) earliest = when;
    for (auto const& [question, pipeline] : running_)
        if (auto const when = pipeline->deadline(); when && *when < *earliest) earliest = when;
    if (auto const when = checks_.deadline(); when && *when < *earliest) earliest = when;
    return earliest;
}

void Ask::on_deadline(base::Instant now) {
    if (now >= expire_at_) {
        expire_at_ = now + expire_interval;
        server_.expire(now);
        for (auto const& [id, model] : store_.all()) sweep_later(pool_, model);
    }
    if (now >= announce_at_) {
        announce_at_ = now + announce_interval;
        exchange_.announce_all();
    }
    exchange_.on_deadline(now);
    credits_.on_deadline(now);
    for (auto const& [question, pipeline] : std::map(running_)) pipeline->on_deadline(now);
    checks_.on_deadline(now);
}

}  // namespace kith::ask
