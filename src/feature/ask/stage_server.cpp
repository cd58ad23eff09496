#include "feature/ask/stage_server.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "feature/ask/request_content.h"

namespace kith::ask {

using base::Code;
using base::fail;
using wire::v1::StageForward;

// A sequence and what is known about it on the loop thread. The worker touches `sequence` only.
struct StageServer::Served {
    std::optional<Sequence> sequence;
    LoadedModelPtr model;
    std::optional<proto::seal::Channel> prompt;  // of the first hop
    std::optional<proto::seal::Channel> answer;  // of the last hop
    identity::NodeId sender;                     // of the first forward
    Sequence::Part part;
    std::size_t positions_max = 0;
    std::size_t position_next = 0;  // checked when a forward arrives, before it is computed
    std::size_t waiting = 0;
    std::size_t bytes = 0;
    StageForward first;  // what every forward of the request must say again: see same_request()
    base::Instant used;
    std::atomic<bool> cancelled = false;
};

// One forward on its way through the worker.
struct StageServer::Work {
    Key key;
    StageForward forward;
    std::vector<infer::TokenId> tokens;
    std::vector<float> hidden;
    ServedPtr served;
    std::optional<infer::TokenId> token;
    base::Status status;

    void run();
};

void StageServer::Work::run() {
    status = [&]() -> base::Status {
        if (served->cancelled) return fail(Code::cancelled, "the request was cancelled");
        bool const wants_token = served->part.does_head && forward.last_row_only();
        auto const choice = KITH_TRY(served->sequence->run(
            {.tokens = tokens,
             .hidden = hidden,
             .position = forward.position(),
             .output = wants_token ? Sequence::Output::token : Sequence::Output::rows},
            served->cancelled));
        if (choice) token = choice->token;
        return {};
    }();
}

StageServer::~StageServer() {
    for (auto const& [key, served] : served_) served->cancelled = true;
}

StageServer::StageServer(node::Node& node, ModelStore const& store, ports::Pool& pool,
                         Credits& credits)
    : node_(node), store_(store), pool_(pool), credits_(credits) {}

base::Result<RequestId> parse_request_id(std::string const& bytes) {
    RequestId id;
    if (bytes.size() != id.size()) return fail(Code::invalid, "a request id has the wrong size");
    std::ranges::copy(base::as_bytes(bytes), id.begin());
    return id;
}

base::Result<identity::NodeId> parse_node_id(std::string const& bytes) {
    identity::NodeId node;
    if (bytes.size() != node.bytes.size())
        return fail(Code::invalid, "a node id has the wrong size");
    std::ranges::copy(base::as_bytes(bytes), node.bytes.begin());
    return node;
}

namespace {

// Who sent this, and is it addressed to this node? The hop before, or the asker for the first (S72:
// nobody is skipped).
base::Status check_hops(StageForward const& forward, identity::NodeId const& sender,
                        identity::NodeId const& self) {
    if (forward.hops_size() == 0 || forward.hops_size() > static_cast<int>(stages_max) ||
        forward.hop() >= static_cast<std::uint32_t>(forward.hops_size()))
        return fail(Code::invalid, "the route of a request is malformed");
    auto const hop = static_cast<int>(forward.hop());
    if (forward.hops(hop).node_id() != base::to_text(self.bytes))
        return fail(Code::forbidden, "a request reached a machine it is not for");
    auto const& before = hop == 0 ? forward.asker() : forward.hops(hop - 1).node_id();
    if (!KITH_GUARD("S72.previous_hop", before == base::to_text(sender.bytes)))
        return fail(Code::unauthorized,
                    "a request came from a machine that is not the hop before this one");
    return {};
}

// S75, S77: tokens for the hop that embeds, a tensor marked pre_embedded for every other first hop.
// `size`: of what the hop computes on, without its seal.
base::Status check_input(StageForward const& forward, std::size_t size, std::size_t hidden_size) {
    auto const& hop = forward.hops(static_cast<int>(forward.hop()));
    if (forward.rows() == 0 || forward.rows() > rows_per_forward_max)
        return fail(Code::invalid, "a request has an impossible number of rows");
    if (hop.does_embedding()) {
        if (forward.hop() != 0 || forward.pre_embedded() ||
            size != std::size_t{forward.rows()} * sizeof(std::uint32_t))
            return fail(Code::invalid,
                        "a request for the embedding must carry token ids and nothing else");
        return {};
    }
    if (forward.hop() == 0 && !forward.pre_embedded())
        return fail(Code::invalid, "a request without token ids must be marked pre_embedded");
    if (forward.hidden() != hidden_size ||
        size != std::size_t{forward.rows()} * hidden_size * sizeof(float))
        return fail(Code::invalid, "a tensor does not have the size its shape says");
    return {};
}

// Part, channels and sequence were made for what the first forward said; a later one that says
// something else would meet the wrong ones.
bool same_request(StageForward const& one, StageForward const& other) {
    return one.model_id() == other.model_id() && one.positions_max() == other.positions_max() &&
           one.request_key() == other.request_key() &&
           std::ranges::equal(one.hops(), other.hops(), [](auto const& a, auto const& b) {
               return a.SerializeAsString() == b.SerializeAsString();
           });
}

// The asker seals what the first hop gets; every other hop gets what the hop before computed.
std::size_t seal_bytes(StageForward const& forward) {
    return forward.hop() == 0 ? proto::seal::overhead_bytes : 0;
}

base::Result<proto::seal::Channel> seal_channel(StageForward const& forward,
                                                identity::Identity const& self,
                                                proto::seal::Direction direction) {
    crypto::X25519PublicKey request_key;
    if (forward.request_key().size() != request_key.size())
        return fail(Code::invalid, "a request has no key of its own");
    std::ranges::copy(base::as_bytes(forward.request_key()), request_key.begin());
    return proto::seal::Channel::at_stage(self.static_private_key(), request_key,
                                          KITH_TRY(seal_subject(forward, forward.hop())),
                                          direction);
}

std::optional<Sequence::Sampling> sampling_of(StageForward const& forward) {
    if (!forward.has_sampling()) return std::nullopt;
    auto const& wanted = forward.sampling();
    return Sequence::Sampling{.options = {.temperature = wanted.temperature(),
                                          .top_k = wanted.top_k(),
                                          .top_p = wanted.top_p(),
                                          .seed = wanted.seed()}};
}

}  // namespace

void StageServer::on_forward(node::AuthenticatedActivation const& message, base::Instant now) {
    auto const& forward = message->message.forward();
    auto const accepted = check_and_submit(message, now);
    if (accepted) return;
    log_refusal(message.sender(), "a stage request was refused: " + accepted.error().message);
    // Whom a message names as asker is not written to on its word: the hops must prove the route.
    auto const asker = parse_node_id(forward.asker());
    bool const on_route =
        asker && check_hops(forward, message.sender(), node_.identity().node_id()).has_value();
    send_failure(on_route ? *asker : message.sender(), forward, accepted.error());
}

void StageServer::log_refusal(identity::NodeId const& member, std::string const& sentence) {
    if (auto const times = refusals_.note(member))
        node_.log("member " + member.to_short() + ", refusal " + std::to_string(*times) + ": " +
                  sentence);
}

// Everything is checked before memory is taken or a layer runs.
base::Status StageServer::check_and_submit(node::AuthenticatedActivation const& message,
                                           base::Instant now) {
    auto const& forward = message->message.forward();
    Key const key{.asker = KITH_TRY(parse_node_id(forward.asker())),
                  .request = KITH_TRY(parse_request_id(forward.request_id())),
                  .hop = forward.hop()};
    KITH_TRY(check_hops(forward, message.sender(), node_.identity().node_id()));
    auto const known = served_.find(key);
    bool const is_closed = known == served_.end() && was_closed(key);
    if (!KITH_GUARD("S72.closed", !is_closed)) return {};  // nobody waits for it
    bool const is_same = known == served_.end() || same_request(known->second->first, forward);
    if (!KITH_GUARD("S72.same_request", is_same))
        return fail(Code::conflict, "a step of a request asks for another route than its first");
    auto const model = known != served_.end() ? known->second->model : KITH_TRY(model_for(forward));
    auto const sealed = base::ByteView(message->tensor);
    if (sealed.size() < seal_bytes(forward))
        return fail(Code::invalid, "a tensor does not have the size its shape says");
    KITH_TRY(
        check_input(forward, sealed.size() - seal_bytes(forward), model->manifest.hidden_size));
    auto const served = known != served_.end()
                            ? known->second
                            : KITH_TRY(create(key, message.sender(), forward, model, now));
    if (forward.position() != served->position_next ||
        served->position_next + forward.rows() > served->positions_max)
        return fail(Code::conflict, "a request does not continue where the last one ended");
    if (served->waiting >= forwards_waiting_max)
        return fail(Code::too_large, "too many steps of one request wait");

    auto work = std::make_shared<Work>();
    work->key = key;
    work->forward = forward;
    work->served = served;
    if (auto const read = read_content(forward, sealed, *work); !read) {
        if (known == served_.end()) erase(key);  // no memory for what was never the asker's
        return read;
    }
    served->position_next += forward.rows();
    served->used = now;
    ++served->waiting;
    if (message.sender() == node_.identity().node_id()) {
        submit(work, ports::Lane::own);
        return {};
    }
    waiting_.push(message.sender(), cost_of(*work, message.sender(), now), work);
    submit_waiting();
    return {};
}

void StageServer::submit(WorkPtr const& work, ports::Lane lane) {
    pool_.submit(
        lane, [work] { work->run(); },
        [this, work, lane] {
            if (lane == ports::Lane::members) --in_flight_;
            on_computed(work->key, work);
            submit_waiting();
        });
}

void StageServer::submit_waiting() {
    while (in_flight_ < steps_in_flight_max) {
        auto const work = waiting_.pop();
        if (!work) return;
        ++in_flight_;
        submit(*work, ports::Lane::members);
    }
}

StepCost StageServer::cost_of(Work const& work, identity::NodeId const& sender, base::Instant now) {
    auto const& forward = work.forward;
    auto const weight =
        std::min(credits_.weight(sender, now), credits_.weight(work.key.asker, now));
    return {.work = work_of(forward.rows(), forward.hops(static_cast<int>(forward.hop()))),
            .weight = weight};
}

// What the layers will run on. Nothing of it is looked at before its seal was opened.
base::Status StageServer::read_content(StageForward const& forward, base::ByteView content,
                                       Work& work) {
    std::optional<proto::seal::OpenedContent> opened;
    if (forward.hop() == 0) {
        opened =
            KITH_TRY(work.served->prompt->open(forward.step(), bound_fields(forward), content));
        content = opened->bytes();
    }
    if (work.served->part.does_embedding)
        work.tokens = KITH_TRY(decode_tokens(content, forward.rows()));
    else
        work.hidden = KITH_TRY(decode_tensor(content, forward.rows(), forward.hidden()));
    return {};
}

// The model of the first forward of a request, after the request's own numbers made sense.
base::Result<LoadedModelPtr> StageServer::model_for(StageForward const& forward) const {
    if (forward.step() != 0)
        return fail(Code::not_found,
                    "this machine does not know the request (any more); ask again");
    auto model = store_.get(base::to_hex(base::as_bytes(forward.model_id())));
    if (!model) return fail(Code::not_found, "this machine does not have the model");
    if (forward.positions_max() == 0 || forward.positions_max() > positions_max_max)
        return fail(Code::invalid, "a request asks for an impossible context length");
    auto const& hop = forward.hops(static_cast<int>(forward.hop()));
    if (hop.layers_begin() > hop.layers_end() || hop.layers_end() > model->manifest.layers_count)
        return fail(Code::invalid, "a request asks for layers the model does not have");
    return model;
}

base::Result<StageServer::ServedPtr> StageServer::create(Key const& key,
                                                         identity::NodeId const& sender,
                                                         StageForward const& forward,
                                                         LoadedModelPtr const& model,
                                                         base::Instant now) {
    auto const of_sender = std::ranges::count_if(
        served_, [&](auto const& entry) { return entry.second->sender == sender; });
    if (served_.size() >= sequences_max ||
        of_sender >= static_cast<std::ptrdiff_t>(sequences_per_sender_max))
        return fail(Code::unavailable,
                    "this machine computes as many requests as it may; try again later");
    auto const& hop = forward.hops(static_cast<int>(forward.hop()));
    Sequence::Part const part{.layers = {hop.layers_begin(), hop.layers_end()},
                              .does_embedding = hop.does_embedding(),
                              .does_head = hop.does_head()};
    auto const bytes = Sequence::cache_bytes(*model, part.layers, forward.positions_max());
    if (bytes > kv_bytes_max || kv_bytes_ > kv_bytes_max - bytes)
        return fail(Code::unavailable,
                    "this machine has no memory for another request; try again later");
    auto served = std::make_shared<Served>();
    auto const& self = node_.identity();
    if (forward.hop() == 0)
        served->prompt = KITH_TRY(seal_channel(forward, self, proto::seal::Direction::prompt));
    if (forward.hop() + 1 == static_cast<std::uint32_t>(forward.hops_size()))
        served->answer = KITH_TRY(seal_channel(forward, self, proto::seal::Direction::answer));
    served->model = model;
    served->sender = sender;
    served->part = part;
    served->first.set_model_id(forward.model_id());
    served->first.set_positions_max(forward.positions_max());
    served->first.set_request_key(forward.request_key());
    *served->first.mutable_hops() = forward.hops();
    served->positions_max = forward.positions_max();
    served->used = now;
    served->sequence.emplace(
        KITH_TRY(Sequence::create(model, part, served->positions_max, sampling_of(forward))));
    served->bytes = bytes;
    kv_bytes_ += bytes;
    served_.emplace(key, served);
    return served;
}

// On the loop thread: pass the result on, or tell the asker why there is none.
void StageServer::on_computed(Key const& key, WorkPtr const& work) {
    --work->served->waiting;
    if (work->served->cancelled) {
        if (work->served->waiting == 0) release(*work->served);
        return;
    }
    if (!work->status) {
        send_failure(key.asker, work->forward, work->status.error());
        return erase(key);
    }
    ++forwards_computed_;
    auto const& forward = work->forward;
    // Past the first hop the asker is only claimed: nobody gets a debt by that.
    if (forward.hop() == 0)
        credits_.note_served(
            key.asker, work_of(forward.rows(), forward.hops(static_cast<int>(forward.hop()))));
    wire::v1::StageMessage message;
    std::vector<float> const& hidden = work->hidden;
    auto const hop = forward.hop() + 1;
    if (hop < static_cast<std::uint32_t>(forward.hops_size())) {
        auto* next = message.mutable_forward();
        *next = forward;
        next->set_hop(hop);
        next->set_hidden(static_cast<std::uint32_t>(work->served->model->manifest.hidden_size));
        auto const to = parse_node_id(forward.hops(static_cast<int>(hop)).node_id());
        auto const sent = to ? node_.send(*to, message, tensor_bytes(hidden))
                             : base::Status(std::unexpected(to.error()));
        if (!sent)
            send_failure(
                key.asker, forward,
                {sent.error().code, "the next machine cannot be reached: " + sent.error().message});
        return;
    }
    auto* result = message.mutable_result();
    result->set_request_id(forward.request_id());
    result->set_step(forward.step());
    base::Bytes content;
    if (work->token) {
        result->set_has_token(true);
        content = encode_tokens({*work->token});
    } else if (!work->served->part.does_head) {
        auto const hidden_size = work->served->model->manifest.hidden_size;
        auto const rows = forward.last_row_only() ? std::size_t{1} : std::size_t{forward.rows()};
        result->set_rows(static_cast<std::uint32_t>(rows));
        result->set_hidden(static_cast<std::uint32_t>(hidden_size));
        content = base::to_bytes(tensor_bytes(hidden).last(rows * hidden_size * sizeof(float)));
    }
    auto const sent = [&]() -> base::Status {
        auto const sealed =
            KITH_TRY(work->served->answer->seal(forward.step(), bound_fields(*result), content));
        return node_.send(key.asker, message, sealed);
    }();
    if (!sent) log_refusal(key.asker, "a result could not be sent: " + sent.error().message);
}

void StageServer::send_failure(identity::NodeId const& to, StageForward const& forward,
                               base::Error const& error) {
    if (!parse_request_id(forward.request_id())) return;  // nothing an answer could be about
    wire::v1::Control control;
    auto* failed = control.mutable_stage_failed();
    failed->set_request_id(forward.request_id());
    failed->set_asker(base::to_text(to.bytes));
    failed->set_hop(forward.hop());
    failed->set_code(static_cast<std::uint32_t>(error.code));
    failed->set_sentence(error.message);
    (void)node_.send(to, control);
}

void StageServer::on_close(identity::NodeId const& asker, RequestId const& id) {
    for (auto it = served_.begin(); it != served_.end();) {
        auto const key = (it++)->first;
        if (key.asker == asker && key.request == id) erase(key);
    }
    auto& closed = closed_[asker];
    if (closed.size() == closed_requests_max) closed.pop_front();
    closed.push_back(id);
}

bool StageServer::was_closed(Key const& key) const {
    auto const found = closed_.find(key.asker);
    return found != closed_.end() &&
           std::ranges::find(found->second, key.request) != found->second.end();
}

void StageServer::erase(Key const& key) {
    auto const found = served_.find(key);
    if (found == served_.end()) return;
    found->second->cancelled = true;
    // What still waits for the worker holds its cache until then (on_computed).
    if (found->second->waiting == 0) release(*found->second);
    served_.erase(found);
}

// The compute thread is done with it.
void StageServer::release(Served& served) {
    kv_bytes_ -= served.bytes;
    served.sequence.reset();
    sweep_later(pool_, served.model);
}

void StageServer::on_peer_down(identity::NodeId const& peer) {
    for (auto it = served_.begin(); it != served_.end();) {
        auto const key = (it++)->first;
        if (key.asker == peer) erase(key);
    }
    closed_.erase(peer);
}

void StageServer::expire(base::Instant now) {
    for (auto it = served_.begin(); it != served_.end();) {
        auto const key = it->first;
        bool const idle = now >= it->second->used + sequence_lives;
        ++it;
        if (idle) erase(key);
    }
}

}  // namespace kith::ask
