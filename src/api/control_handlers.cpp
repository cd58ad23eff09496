#include "api/control_handlers.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/encoding.h"
#include "crypto/provider.h"
#include "trust/admission.h"

namespace kith::api {

using base::Code;
using base::fail;

namespace {

// P15: said wherever an invite is made.
constexpr char const* can_join_can_see =
    "Whoever joins can see prompts: give invites only to people you would let read them, and over "
    "a private channel.";
constexpr char const* allow_all_warning =
    "[trust] policy is \"allow_all\": every peer that can reach this node is let in. Links stay "
    "encrypted, but nobody is checked; use it in closed networks only.";
constexpr char const* never_expires_warning =
    "This invite never expires: anybody who ever finds it can join. Revoke it when it has done its "
    "work.";

pb::Model to_message(ask::ModelCard const& card) {
    pb::Model model;
    model.set_id(card.id);
    model.set_name(card.name);
    model.set_architecture(card.architecture);
    model.set_layers_count(card.layers_count);
    model.set_shards_count(card.shards_count);
    for (auto const shard : card.shards_local) model.add_shards_local(shard);
    for (auto const shard : card.shards_remote) model.add_shards_remote(shard);
    model.set_bytes(card.bytes);
    model.set_answerable(card.answerable);
    model.set_encrypted_pipeline(card.encrypted_pipeline);
    return model;
}

pb::RouteResponse to_message(ask::RouteView const& view) {
    pb::RouteResponse response;
    response.set_model(view.model);
    response.set_local_embedding_privacy(view.flags.local_embedding_privacy);
    response.set_encrypted_pipeline(view.flags.encrypted_pipeline);
    for (auto const& hop : view.hops) {
        auto* message = response.add_hops();
        message->set_node(hop.node);
        message->set_is_asker(hop.is_asker);
        message->set_layers_begin(hop.layers_begin);
        message->set_layers_end(hop.layers_end);
        message->set_does_embedding(hop.does_embedding);
        message->set_does_head(hop.does_head);
    }
    for (auto const& row : view.rows) {
        auto* message = response.add_sights();
        message->set_node(row.node);
        message->set_is_asker(row.is_asker);
        message->set_part(row.part);
        message->set_prompt_text(ask::sight_word(row.prompt_text));
        message->set_token_ids(ask::sight_word(row.token_ids));
        message->set_activations_in(ask::sight_word(row.activations_in));
        message->set_activations_out(ask::sight_word(row.activations_out));
        message->set_answer_tokens(ask::sight_word(row.answer_tokens));
        message->set_answer_text(ask::sight_word(row.answer_text));
    }
    for (auto const& sentence : view.sentences) response.add_sentences(sentence);
    return response;
}

pb::Invite to_message(ports::InviteRow const& row, std::int64_t now) {
    pb::Invite invite;
    invite.set_invite_id(base::to_hex(row.lookup_id));
    invite.set_status(row.revoked                              ? "revoked"
                      : row.uses >= row.uses_max               ? "spent"
                      : row.expires != 0 && now >= row.expires ? "expired"
                                                               : "active");
    invite.set_uses(row.uses);
    invite.set_max_uses(row.uses_max);
    invite.set_expires_at(row.expires);
    invite.set_note(row.note);
    invite.set_created_at(row.created);
    return invite;
}

base::Result<node::InviteOptions> to_options(pb::InviteCreateRequest const& request) {
    node::InviteOptions options;
    if (request.max_uses() != 0) options.uses_max = request.max_uses();
    options.note = request.note();
    if (request.never_expires()) {
        options.lifetime_s = 0;
    } else if (request.expires_hours() != 0) {
        auto const seconds = request.expires_hours() * 3600;
        if (!std::isfinite(seconds) || seconds < 1 ||
            seconds > static_cast<double>(node::invite_lifetime_max_s))
            return fail(Code::invalid, "--expires-hours must be above 0 and at most 8760");
        options.lifetime_s = static_cast<std::int64_t>(seconds);
    }
    return options;
}

pb::PairFailed to_message(node::PairFailed const& failure) {
    pb::PairFailed message;
    message.set_reason(std::string(trust::words_of(failure.reason)));
    if (failure.peer) message.set_node_id(failure.peer->to_hex());
    message.set_address(failure.address.port != 0 ? node::address_text(failure.address)
                                                  : failure.address.ip);
    message.set_time(base::seconds(failure.last));
    message.set_times(failure.times);
    message.set_detail(failure.sentence);
    return message;
}

pb::Progress to_message(ask::FetchProgress const& progress) {
    pb::Progress message;
    message.set_stage(progress.stage);
    message.set_done(progress.done);
    message.set_total(progress.total);
    return message;
}

// Ends a stream of Progress with the model as it is now.
auto finish_with_model(OnUpdate<pb::Progress> update, StreamDone done) {
    return [update = std::move(update), done = std::move(done)](base::Result<ask::ModelCard> card) {
        if (!card) return done(std::unexpected(card.error()));
        pb::Progress last;
        *last.mutable_model() = to_message(*card);
        update(last);
        done({});
    };
}

}  // namespace

void ControlHandlers::create(pb::CreateRequest const& request, Done<pb::CreateResponse> done) {
    auto& node = context_.node;
    auto const created = node.create_swarm(request.name(), node.clock().now());
    context_.changed();
    if (!created) return done(std::unexpected(created.error()));
    pb::CreateResponse response;
    response.set_swarm_id(base::to_hex(node.swarm()->id));
    response.set_name(node.swarm()->name);
    response.set_address(node.identity().address().to_text());
    response.set_peer_id(node.identity().peer_id().to_text());
    done(std::move(response));
}

void ControlHandlers::join(pb::JoinRequest const& request, Done<pb::JoinResponse> done) {
    auto& node = context_.node;
    node.join(
        request.token(),
        [&node, done](base::Result<node::JoinedSwarm> joined) {
            if (!joined) return done(std::unexpected(joined.error()));
            pb::JoinResponse response;
            response.set_swarm_id(base::to_hex(joined->id));
            response.set_name(joined->name);
            response.set_address(node.identity().address().to_text());
            response.set_peer_id(node.identity().peer_id().to_text());
            response.set_operator_address(joined->operator_address.to_text());
            response.set_members_count(static_cast<std::uint32_t>(joined->members_count));
            done(std::move(response));
        },
        node.clock().now());
    context_.changed();
}

void ControlHandlers::invite_create(pb::InviteCreateRequest const& request,
                                    Done<pb::InviteCreateResponse> done) {
    auto& node = context_.node;
    auto const coordinator = node.coordinator();
    if (!coordinator) return done(std::unexpected(coordinator.error()));
    auto const options = to_options(request);
    if (!options) return done(std::unexpected(options.error()));
    auto invite = (*coordinator)
                      ->create_invite(*options, *node.swarm(), node.listen_addresses(),
                                      node.clock().unix_now());
    if (!invite) return done(std::unexpected(invite.error()));
    pb::InviteCreateResponse response;
    response.set_token(invite->token);
    response.set_invite_id(base::to_hex(invite->lookup_id));
    response.set_max_uses(invite->uses_max);
    response.set_expires_at(base::seconds(invite->expires));
    response.add_warnings(can_join_can_see);
    if (base::seconds(invite->expires) == 0) response.add_warnings(never_expires_warning);
    done(std::move(response));
}

void ControlHandlers::invite_list(pb::InviteListRequest const&, Done<pb::InviteListResponse> done) {
    auto& node = context_.node;
    auto const coordinator = node.coordinator();
    if (!coordinator) return done(std::unexpected(coordinator.error()));
    auto const rows = (*coordinator)->invites();
    if (!rows) return done(std::unexpected(rows.error()));
    pb::InviteListResponse response;
    for (auto const& row : *rows)
        *response.add_invites() = to_message(row, base::seconds(node.clock().unix_now()));
    done(std::move(response));
}

void ControlHandlers::invite_revoke(pb::InviteRevokeRequest const& request,
                                    Done<pb::InviteRevokeResponse> done) {
    auto const coordinator = context_.node.coordinator();
    if (!coordinator) return done(std::unexpected(coordinator.error()));
    auto const revoked = (*coordinator)->revoke_invite(request.prefix());
    if (!revoked) return done(std::unexpected(revoked.error()));
    pb::InviteRevokeResponse response;
    response.set_invite_id(base::to_hex(*revoked));
    done(std::move(response));
}

namespace {

void add_provider(pb::StatusResponse& response, char const* algorithm,
                  crypto::ProviderChoice const& choice) {
    auto* const shown = response.add_crypto();
    shown->set_algorithm(algorithm);
    shown->set_provider(crypto::provider_name(choice.provider));
    shown->set_reason(choice.reason);
}

char const* path_name(node::PeerView const& view) {
    if (!view.connected) return "";
    switch (view.path) {
        case node::Path::direct:
            return "direct";
        case node::Path::relayed:
            return "relayed";
    }
    return "";
}

}  // namespace

void ControlHandlers::status(pb::StatusRequest const&, Done<pb::StatusResponse> done) {
    auto& node = context_.node;
    auto const now = node.clock().now();
    pb::StatusResponse response;
    response.set_version(context_.version);
    response.set_address(node.identity().address().to_text());
    response.set_node_id(node.identity().node_id().to_hex());
    response.set_peer_id(node.identity().peer_id().to_text());
    for (auto const& address : node.listen_addresses())
        response.add_listening(address + "/p2p/" + response.peer_id());
    response.set_api_url(context_.api_url);
    auto const policy = node.pairing().policy();
    response.set_trust_policy(std::string(trust::policy_name(policy)));
    if (policy == trust::Policy::allow_all) response.add_warnings(allow_all_warning);
    response.set_nickname(node.nickname_of(node.identity().node_id()));
    response.set_resident_bytes(context_.resident_bytes());
    response.set_weights_bytes(context_.ask.weight_bytes());
    response.set_kv_cache_bytes(context_.ask.kv_bytes());
    for (auto const& alarm : node.alarms()) response.add_alarms(alarm);
    add_provider(response, "ML-DSA-65", crypto::mldsa65_provider());
    add_provider(response, "ML-KEM-768", crypto::mlkem768_provider());
    response.set_libcrypto(crypto::libcrypto_version());
    for (auto const& peer : node.peers(now))
        if (peer.session) response.set_peers_connected(response.peers_connected() + 1);
    if (auto const* swarm = node.swarm()) {
        response.set_coordinator(swarm->is_coordinator);
        auto* message = response.mutable_swarm();
        message->set_swarm_id(base::to_hex(swarm->id));
        message->set_name(swarm->name);
        if (auto const* list = node.registry()->list()) {
            message->set_operator_address(list->members().front().address().to_text());
            message->set_list_version(list->version());
            message->set_members_count(static_cast<std::uint32_t>(list->members().size()));
        }
        message->set_lease_seconds_left(node.registry()->lease_seconds_left(now));
        auto const gossip = node.gossip_counts();
        message->set_gossip_neighbours(static_cast<std::uint32_t>(gossip.neighbours));
        message->set_gossip_heard(gossip.heard);
        message->set_gossip_refused(gossip.refused);
        auto const discovery = node.discovery_counts();
        message->set_discovery_known(static_cast<std::uint32_t>(discovery.known));
        message->set_discovery_records(static_cast<std::uint32_t>(discovery.records));
        message->set_discovery_lookups(discovery.lookups);
        message->set_discovery_found(discovery.found);
        message->set_discovery_refused(discovery.refused);
    }
    done(std::move(response));
}

void ControlHandlers::peers(pb::PeersRequest const&, Done<pb::PeersResponse> done) {
    auto& node = context_.node;
    pb::PeersResponse response;
    for (auto const& view : node.peers(node.clock().now())) {
        auto* peer = response.add_peers();
        peer->set_address(view.address.to_text());
        peer->set_node_id(view.node.to_hex());
        peer->set_peer_id(identity::PeerId(view.node).to_text());
        peer->set_state(view.is_self              ? "self"
                        : view.session            ? "connected"
                        : view.connected          ? "connecting"
                        : view.last_error.empty() ? "connecting"
                                                  : "unreachable");
        peer->set_is_operator(view.is_operator);
        peer->set_session(view.session);
        for (auto const& address : view.addresses) peer->add_addresses(address);
        for (auto const& serving : context_.ask.serving(view.node)) peer->add_serving(serving);
        if (!view.session) peer->set_last_error(view.last_error);
        peer->set_nickname(view.nickname);
        peer->set_trust(view.trust);
        peer->set_path(path_name(view));
        peer->set_round_trip_us(view.round_trip_us);
        auto const& credits = context_.ask.credits();
        peer->set_balance(credits.balance(view.node));
        peer->set_standing(credits.standing(view.node));
        if (auto const reported = credits.reported(view.node))
            peer->set_reported_balance(*reported);
    }
    for (auto const& failure : node.pairing().failures())
        *response.add_pair_failed() = to_message(failure);
    done(std::move(response));
}

void ControlHandlers::pair_peer(pb::PairPeerRequest const& request,
                                Done<pb::PairPeerResponse> done) {
    auto& node = context_.node;
    node.pair(
        request.address(),
        [done](base::Result<identity::NodeId> const& paired) {
            if (!paired) return done(std::unexpected(paired.error()));
            pb::PairPeerResponse response;
            response.set_node_id(paired->to_hex());
            response.set_peer_id(identity::PeerId(*paired).to_text());
            done(std::move(response));
        },
        node.clock().now());
    context_.changed();
}

void ControlHandlers::forget_peer(pb::ForgetPeerRequest const& request,
                                  Done<pb::ForgetPeerResponse> done) {
    auto const forgotten =
        context_.node.forget_peer(request.short_id(), context_.node.clock().now());
    context_.changed();
    if (!forgotten) return done(std::unexpected(forgotten.error()));
    pb::ForgetPeerResponse response;
    response.set_node_id(forgotten->node.to_hex());
    response.set_pins_count(static_cast<std::uint32_t>(forgotten->pins_count));
    response.set_connections_cut(static_cast<std::uint32_t>(forgotten->links_count));
    done(std::move(response));
}

void ControlHandlers::set_nickname(pb::SetNicknameRequest const& request,
                                   Done<pb::SetNicknameResponse> done) {
    auto const set = context_.node.set_nickname(request.name());
    context_.changed();
    if (!set) return done(std::unexpected(set.error()));
    pb::SetNicknameResponse response;
    response.set_name(request.name());
    done(std::move(response));
}

void ControlHandlers::kick_peer(pb::KickPeerRequest const& request,
                                Done<pb::KickPeerResponse> done) {
    auto const kicked = context_.node.kick(request.who(), context_.node.clock().now());
    context_.changed();
    if (!kicked) return done(std::unexpected(kicked.error()));
    pb::KickPeerResponse response;
    response.set_address(kicked->address.to_text());
    response.set_node_id(kicked->node.to_hex());
    response.set_list_version(kicked->list_version);
    response.set_epoch(kicked->epoch);
    response.set_told_count(static_cast<std::uint32_t>(kicked->told_count));
    response.set_left_count(static_cast<std::uint32_t>(kicked->left_count));
    done(std::move(response));
}

void ControlHandlers::rotate_identity(pb::RotateIdentityRequest const&,
                                      Done<pb::RotateIdentityResponse> done) {
    auto& node = context_.node;
    auto const rotated = node.rotate_identity(node.clock().now());
    context_.changed();
    if (!rotated) return done(std::unexpected(rotated.error()));
    pb::RotateIdentityResponse response;
    response.set_address(node.identity().address().to_text());
    response.set_node_id(node.identity().node_id().to_hex());
    response.set_peer_id(node.identity().peer_id().to_text());
    response.set_counter(node.identity().binding().body.counter);
    done(std::move(response));
}

void ControlHandlers::models(pb::ModelsRequest const&, Done<pb::ModelsResponse> done) {
    context_.ask.when_loaded([this, done = std::move(done)] {
        pb::ModelsResponse response;
        for (auto const& card : context_.ask.models()) *response.add_models() = to_message(card);
        done(std::move(response));
    });
}

Cancel ControlHandlers::add_model(pb::AddModelRequest const& request, OnUpdate<pb::Progress> update,
                                  StreamDone done) {
    context_.ask.add_model(
        {.file = request.path(),
         .name = request.name(),
         .layers_per_shard = request.layers_per_shard()},
        [update](ask::FetchProgress const& progress) { update(to_message(progress)); },
        finish_with_model(update, std::move(done)));
    return {};
}

Cancel ControlHandlers::fetch_model(pb::FetchModelRequest const& request,
                                    OnUpdate<pb::Progress> update, StreamDone done) {
    context_.ask.fetch_model(
        request.model(), {request.shards().begin(), request.shards().end()},
        [update](ask::FetchProgress const& progress) { update(to_message(progress)); },
        finish_with_model(update, std::move(done)));
    context_.changed();
    return [this] { context_.ask.cancel_fetch(); };
}

void ControlHandlers::drop_shards(pb::DropShardsRequest const& request,
                                  Done<pb::DropShardsResponse> done) {
    context_.ask.drop_shards(
        request.model(), {request.shards().begin(), request.shards().end()},
        request.last_copy_too() ? ask::Ask::Drop::last_copy_too : ask::Ask::Drop::if_held_elsewhere,
        [done](base::Result<ask::ModelCard> card) {
            if (!card) return done(std::unexpected(card.error()));
            pb::DropShardsResponse response;
            *response.mutable_model() = to_message(*card);
            done(std::move(response));
        });
}

void ControlHandlers::route(pb::RouteRequest const& request, Done<pb::RouteResponse> done) {
    if (request.model().empty()) {
        if (auto const last = context_.ask.last_route()) return done(to_message(*last));
    }
    auto const planned = context_.ask.planned_route(request.model());
    if (!planned) return done(std::unexpected(planned.error()));
    auto response = to_message(*planned);
    response.set_planned(true);
    done(std::move(response));
}

Cancel ControlHandlers::run(pb::RunRequest const& request, OnUpdate<pb::RunUpdate> update,
                            StreamDone done) {
    ask::Question question{.model = request.model(), .temperature = request.temperature()};
    for (auto const& message : request.messages())
        question.messages.push_back({message.role(), message.content()});
    if (request.max_tokens() != 0) question.tokens_max = request.max_tokens();
    if (request.has_seed()) question.seed = request.seed();
    auto const id = context_.ask.ask(std::move(question), [update, done](ask::Update const& said) {
        pb::RunUpdate message;
        if (auto const* piece = std::get_if<ask::Piece>(&said)) {
            message.set_text(piece->text);
            return update(message);
        }
        if (auto const* failed = std::get_if<ask::Failed>(&said))
            return done(std::unexpected(failed->error));
        auto const& finished = std::get<ask::Finished>(said);
        message.set_finish_reason(finished.reason == ask::FinishReason::stop ? "stop" : "length");
        message.set_prompt_tokens(finished.prompt_tokens);
        message.set_completion_tokens(finished.completion_tokens);
        update(message);
        done({});
    });
    context_.changed();
    if (!id) {
        done(std::unexpected(id.error()));
        return {};
    }
    return [this, question_id = *id] { context_.ask.cancel(question_id); };
}

void ControlHandlers::shutdown(pb::ShutdownRequest const&, Done<pb::ShutdownResponse> done) {
    done({});
    context_.shut_down();
}

}  // namespace kith::api
