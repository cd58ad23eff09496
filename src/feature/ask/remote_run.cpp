#include "feature/ask/remote_run.h"

#include "base/check.h"
#include "base/encoding.h"
#include "base/text.h"
#include "feature/ask/credits.h"
#include "feature/ask/request_content.h"
#include "feature/ask/sequence.h"

namespace kith::ask {

using base::Code;
using base::fail;

namespace {
constexpr std::size_t sentence_bytes_max = 200;  // of what another machine says went wrong

bool is_empty_part(Stage const& stage) {
    return stage.layers.begin == stage.layers.end && !stage.does_embedding && !stage.does_head;
}
}  // namespace

wire::v1::RouteHop hop_of(Stage const& stage) {
    wire::v1::RouteHop hop;
    hop.set_node_id(base::to_text(stage.node.bytes));
    hop.set_layers_begin(stage.layers.begin);
    hop.set_layers_end(stage.layers.end);
    hop.set_does_embedding(stage.does_embedding);
    hop.set_does_head(stage.does_head);
    return hop;
}

std::vector<wire::v1::RouteHop> remote_hops(std::vector<Stage> const& stages) {
    auto begin = stages.begin();
    auto end = stages.end();
    if (begin != end && begin->is_self) ++begin;
    if (begin != end && (end - 1)->is_self) --end;
    std::vector<wire::v1::RouteHop> hops;
    for (auto stage = begin; stage != end; ++stage)
        if (!is_empty_part(*stage)) hops.push_back(hop_of(*stage));
    return hops;
}

base::Result<RemoteRun> RemoteRun::create(node::Node& node, Options options) {
    KITH_ASSERT(!options.hops.empty());
    RemoteRun run(node, std::move(options));
    KITH_TRY(run.prepare_seals());
    return run;
}

// Tier 2: a key of this question alone; its private half does not outlive this function.
base::Status RemoteRun::prepare_seals() {
    crypto::X25519PrivateKey request_key;
    KITH_TRY(node_->rng().fill(request_key.mutable_view()));
    request_key_ = crypto::x25519_public_key(request_key);
    auto const channel =
        [&](wire::v1::RouteHop const& hop,
            proto::seal::Direction direction) -> base::Result<proto::seal::Channel> {
        auto const stage = KITH_TRY(parse_node_id(hop.node_id()));
        auto const* list = node_->registry() != nullptr ? node_->registry()->list() : nullptr;
        auto const* member = list != nullptr ? list->find(stage) : nullptr;
        if (member == nullptr)
            return fail(Code::unavailable, "a machine of the route is no member any more");
        return proto::seal::Channel::at_asker(
            request_key, member->static_key(),
            {.request = options_.id, .asker = node_->identity().node_id(), .stage = stage},
            direction);
    };
    to_first_ = KITH_TRY(channel(options_.hops.front(), proto::seal::Direction::prompt));
    from_last_ = KITH_TRY(channel(options_.hops.back(), proto::seal::Direction::answer));
    return {};
}

wire::v1::StageMessage RemoteRun::message_of(Step const& step) const {
    auto const& model = *options_.model;
    wire::v1::StageMessage message;
    auto* forward = message.mutable_forward();
    forward->set_request_id(base::to_text(options_.id));
    forward->set_asker(base::to_text(node_->identity().node_id().bytes));
    forward->set_model_id(base::to_text(base::from_hex(model.id).value_or(base::Bytes{})));
    forward->set_step(number_);
    forward->set_position(static_cast<std::uint32_t>(step.position));
    forward->set_rows(static_cast<std::uint32_t>(step.rows));
    forward->set_hidden(static_cast<std::uint32_t>(model.manifest.hidden_size));
    forward->set_positions_max(static_cast<std::uint32_t>(options_.positions_max));
    for (auto const& hop : options_.hops) *forward->add_hops() = hop;
    forward->set_last_row_only(step.last_row_only);
    if (options_.hops.back().does_head()) {
        auto* sampling = forward->mutable_sampling();
        sampling->set_temperature(options_.sampling.temperature);
        sampling->set_top_p(options_.sampling.top_p);
        sampling->set_top_k(static_cast<std::uint32_t>(options_.sampling.top_k));
        sampling->set_seed(options_.sampling.seed);
    }
    forward->set_request_key(base::to_text(request_key_));
    forward->set_pre_embedded(std::holds_alternative<std::vector<float>>(step.input));
    return message;
}

base::Status RemoteRun::send(Step step) {
    KITH_ASSERT(!step_);
    auto const message = message_of(step);
    auto const* tokens = std::get_if<std::vector<infer::TokenId>>(&step.input);
    auto const content =
        tokens != nullptr ? encode_tokens(*tokens)
                          : base::to_bytes(tensor_bytes(std::get<std::vector<float>>(step.input)));
    auto const to = parse_node_id(options_.hops.front().node_id());
    KITH_ASSERT(to.has_value());
    step.input = {};
    step_ = std::move(step);
    auto const sent = [&]() -> base::Status {
        auto const sealed =
            KITH_TRY(to_first_->seal(number_, bound_fields(message.forward()), content));
        return node_->send(*to, message, sealed);
    }();
    if (sent) return {};
    return fail(sent.error().code,
                "the question cannot be sent to " + hop_name(0) + ": " + sent.error().message);
}

std::optional<base::Result<RemoteRun::Output>> RemoteRun::on_result(
    identity::NodeId const& sender, wire::v1::StageResult const& result, base::ByteView sealed) {
    bool const from_last_hop = options_.hops.back().node_id() == base::to_text(sender.bytes);
    if (!step_ || !from_last_hop || result.step() != number_) return std::nullopt;
    auto const opened = from_last_->open(number_, bound_fields(result), sealed);
    auto const last = options_.hops.size() - 1;
    if (!opened) return fail(opened.error().code, hop_name(last) + ": " + opened.error().message);
    auto const step = *std::exchange(step_, std::nullopt);
    ++number_;
    rows_done_ += step.rows;
    auto output = read(step, result, opened->bytes());
    if (!output) return fail(output.error().code, hop_name(last) + output.error().message);
    return output;
}

base::Result<RemoteRun::Output> RemoteRun::read(Step const& step,
                                                wire::v1::StageResult const& result,
                                                base::ByteView content) const {
    auto const& manifest = options_.model->manifest;
    Output output;
    if (options_.hops.back().does_head()) {
        if (!step.last_row_only) return output;
        auto const tokens = decode_tokens(content, result.has_token() ? 1 : 0);
        if (!tokens || tokens->empty() ||
            static_cast<std::uint64_t>(tokens->front()) >= manifest.vocabulary_size)
            return fail(Code::invalid, " answered without a usable token");
        output.token = tokens->front();
        return output;
    }
    auto const rows = step.last_row_only ? std::size_t{1} : step.rows;
    auto hidden = decode_tensor(content, result.rows(), manifest.hidden_size);
    if (!hidden || result.rows() != rows)
        return fail(Code::invalid, " answered with a tensor of the wrong shape");
    output.hidden = std::move(*hidden);
    return output;
}

std::optional<base::Error> RemoteRun::failure(identity::NodeId const& sender,
                                              wire::v1::StageFailed const& failed) const {
    for (std::size_t hop = 0; hop < options_.hops.size(); ++hop) {
        if (options_.hops[hop].node_id() != base::to_text(sender.bytes)) continue;
        auto const sentence = base::one_line(failed.sentence(), sentence_bytes_max);
        return base::Error{Code::unavailable, hop_name(hop) + " could not compute: " + sentence};
    }
    return std::nullopt;
}

std::optional<base::Error> RemoteRun::loss(identity::NodeId const& peer,
                                           base::Error const& reason) const {
    for (std::size_t hop = 0; hop < options_.hops.size(); ++hop)
        if (options_.hops[hop].node_id() == base::to_text(peer.bytes))
            return base::Error{Code::unavailable, hop_name(hop) +
                                                      " was lost in the middle of the answer (" +
                                                      reason.message + "); ask again"};
    return std::nullopt;
}

std::vector<RemoteRun::HopWork> RemoteRun::work_done() const {
    std::vector<HopWork> done;
    for (auto const& hop : options_.hops)
        if (auto const node = parse_node_id(hop.node_id()); node)
            done.push_back({*node, work_of(rows_done_, hop)});
    return done;
}

void RemoteRun::close() {
    for (auto const& hop : options_.hops) {
        auto const to = parse_node_id(hop.node_id());
        wire::v1::Control control;
        control.mutable_stage_close()->set_request_id(base::to_text(options_.id));
        if (to) (void)node_->send(*to, control);
    }
}

std::string RemoteRun::hop_name(std::size_t hop) const {
    auto const& stage = options_.hops[hop];
    auto const node = parse_node_id(stage.node_id());
    return "stage " + (node ? node->to_short() : std::string("?")) + " (layers " +
           std::to_string(stage.layers_begin()) + " to " + std::to_string(stage.layers_end()) + ")";
}

}  // namespace kith::ask
