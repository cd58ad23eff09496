#include "feature/ask/ask.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/sabotage.h"

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
    auto store = KITH_TRY(ModelStore::open(options.models_directory, options.threads));
    std::unique_ptr<Ask> ask(new Ask(std::move(options), std::move(store), node, pool));
    for (auto const& folder : ask->store_.folders())
        ask->reload(folder, [raw = ask.get(), folder](base::Status status) {
            if (!status)
                raw->node_.log("model " + folder.string() +
                               " is not used: " + status.error().message);
        });
    return ask;
}

Ask::Ask(Options options, ModelStore store, node::Node& node, ports::Pool& pool)
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
      server_(node, store_, pool) {}

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
        holder.round_trip_us = 1;
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
                       PrivacyFlags flags) const {
    std::vector<Hop> hops;
    for (auto const& stage : stages)
        hops.push_back({.node = stage.is_self ? "you" : stage.node.to_short(),
                        .is_asker = stage.is_self,
                        .layers_begin = stage.layers.begin,
                        .layers_end = stage.layers.end,
                        .does_embedding = stage.does_embedding,
                        .does_head = stage.does_head});
    return who_sees_what(model.manifest.name, std::move(hops), flags);
}

base::Result<RouteView> Ask::planned_route(std::string const& wanted) const {
    auto const model = KITH_TRY(store_.find(wanted));
    return view_of(*model, KITH_TRY(plan_route(*model, flags_)), flags_);
}

base::Result<Plan> Ask::make_plan(Question const& question) const {
    Plan plan;
    plan.model = KITH_TRY(store_.find(question.model));
    if (loading() && plan.model->shards.empty())
        return fail(Code::unavailable, "the model is still being checked; try again in a moment");
    if (!plan.model->tokenizer)
        return fail(Code::unavailable,
                    "this machine needs shard 0 of the model for the tokenizer; get it with: kith "
                    "models fetch " +
                        plan.model->manifest.name + " --shards 0");
    if (!plan.model->family)
        return fail(Code::unsupported,
                    "the chat template of this model is of no family that kith knows");
    plan.flags = flags_;
    plan.stages = KITH_TRY(plan_route(*plan.model, plan.flags));
    plan.view = view_of(*plan.model, plan.stages, plan.flags);
    std::vector<infer::ChatMessage> messages;
    for (auto const& message : question.messages)
        messages.push_back({.role = message.role == "system"      ? infer::ChatRole::system
                                    : message.role == "assistant" ? infer::ChatRole::assistant
                                                                  : infer::ChatRole::user,
                            .content = message.content});
    plan.prompt = KITH_TRY(infer::encode_chat(*plan.model->tokenizer, *plan.model->family, messages,
                                              infer::Answer::open));
    if (plan.prompt.empty())
        return fail(Code::unsupported,
                    "the vocabulary of this model has no token for anything in the question");
    auto const context =
        std::min<std::size_t>(plan.model->manifest.context_length, positions_max_max);
    if (plan.prompt.size() >= context)
        return fail(Code::too_large, "the conversation has " + std::to_string(plan.prompt.size()) +
                                         " tokens, the model reads " + std::to_string(context) +
                                         " at most");
    plan.tokens_max = std::min<std::size_t>(question.tokens_max, context - plan.prompt.size());
    plan.sampling = {
        .temperature = question.temperature, .top_k = question.top_k, .top_p = question.top_p};
    plan.stop = question.stop;
    return plan;
}

// --- questions

bool Ask::has_room() const {
    return running_.size() < questions_running_max || waiting_.size() < questions_waiting_max;
}

base::Result<QuestionId> Ask::ask(Question question, Listener listener) {
    if (!has_room())
        return fail(Code::unavailable, "too many questions wait already; try again later");
    auto const id = next_id_++;
    if (running_.size() < questions_running_max) {
        KITH_TRY(start_question(id, question, listener));
        return id;
    }
    KITH_TRY(make_plan(question));  // say at once what will not work
    waiting_.push_back({id, std::move(question), std::move(listener)});
    return id;
}

base::Status Ask::start_question(QuestionId id, Question const& question,
                                 Listener const& listener) {
    auto plan = KITH_TRY(make_plan(question));
    if (question.seed)
        plan.sampling.seed = *question.seed;
    else
        KITH_TRY(node_.rng().fill(
            {reinterpret_cast<std::uint8_t*>(&plan.sampling.seed), sizeof(plan.sampling.seed)}));
    RequestId request;
    KITH_TRY(node_.rng().fill(request));
    auto ended = [this, id] {
        // The pipeline is still on the stack; it dies with the last reference, after this turn.
        auto const found = running_.find(id);
        if (found == running_.end()) return;
        pool_.submit(
            ports::Lane::own, [] {}, [keep = found->second] {});
        running_.erase(found);
        start_waiting();
    };
    auto pipeline = KITH_TRY(
        Pipeline::create(node_, pool_, std::move(plan), request, listener, std::move(ended)));
    running_.emplace(id, pipeline);
    last_route_ = pipeline->view();
    pipeline->start(now());
    return {};
}

void Ask::start_waiting() {
    while (!waiting_.empty() && running_.size() < questions_running_max) {
        auto next = std::move(waiting_.front());
        waiting_.pop_front();
        if (auto const started = start_question(next.id, next.question, next.listener); !started)
            next.listener(Failed{started.error()});
    }
}

void Ask::cancel(QuestionId id) {
    std::erase_if(waiting_, [&](auto const& waiting) { return waiting.id == id; });
    auto const found = running_.find(id);
    if (found == running_.end()) return;
    auto const pipeline = found->second;
    running_.erase(found);
    pipeline->cancel();
    start_waiting();
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
        return;
    }
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
}

void Ask::on_peer_up(identity::NodeId const& peer, base::Instant) {
    exchange_.announce_to(peer);
}

void Ask::on_peer_down(identity::NodeId const& peer, base::Error const& reason, base::Instant now) {
    server_.on_peer_down(peer);
    exchange_.on_peer_down(peer, now);
    for (auto const& [question, pipeline] : std::map(running_))
        pipeline->on_peer_down(peer, reason);
}

std::optional<base::Instant> Ask::deadline() const {
    auto earliest = std::optional(std::min(expire_at_, announce_at_));
    if (auto const when = exchange_.deadline(); when && *when < *earliest) earliest = when;
    for (auto const& [question, pipeline] : running_)
        if (auto const when = pipeline->deadline(); when && *when < *earliest) earliest = when;
    return earliest;
}

void Ask::on_deadline(base::Instant now) {
    if (now >= expire_at_) {
        expire_at_ = now + expire_interval;
        server_.expire(now);
    }
    if (now >= announce_at_) {
        announce_at_ = now + announce_interval;
        exchange_.announce_all();
    }
    exchange_.on_deadline(now);
    for (auto const& [question, pipeline] : std::map(running_)) pipeline->on_deadline(now);
}

}  // namespace kith::ask
