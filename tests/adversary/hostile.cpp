#include "hostile.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/encoding.h"
#include "feature/ask/request_content.h"

namespace kith::adversary {

using namespace std::chrono_literals;

namespace {
constexpr std::size_t join_reply_bytes_max = 9 * 1024 * 1024;
constexpr base::ByteArray<32> request_private_key{7, 7, 7};  // of every forward that is forged here

std::optional<node::StreamId> stream_of(node::HostEvent const& event) {
    return std::visit(
        [](auto const& what) -> std::optional<node::StreamId> {
            if constexpr (requires { what.id; })
                return what.id;
            else
                return std::nullopt;
        },
        event.what);
}
}  // namespace

Hostile::Hostile(SwarmBench& bench, std::uint64_t seed)
    : Hostile(
          bench,
          [&] {
              SeededRng rng(seed);
              return new_identity(rng, bench.clock.unix_now());
          }(),
          seed) {}

Hostile::Hostile(SwarmBench& bench, identity::Identity who, std::uint64_t seed)
    : identity(std::move(who)), address(bench.next_address()), bench_(bench), rng_(seed ^ 0x5a5a) {
    node::HostOptions options;
    options.accepted_protocols = node::GossipService::protocols();
    host_ = node::Host::create(identity, rng_, std::move(options)).value();
    bench_.network.attach(address, *host_, [this] { pump(); });
}

Hostile::~Hostile() {
    bench_.network.detach(address, bench_.clock.now());
}

Hostile::Visit& Hostile::visit(Machine& to, std::string protocol, base::Bytes bytes) {
    visits_.push_back({.protocol = std::move(protocol), .to_send = std::move(bytes)});
    auto& visit = visits_.back();
    auto const dialled = host_->dial(to.address, to.identity.peer_id(), bench_.clock.now());
    REQUIRE(dialled.has_value());
    visit.connection = *dialled;
    bench_.settle();
    return visit;
}

Hostile::Visit& Hostile::again(Visit const& before, std::string protocol, base::Bytes bytes) {
    visits_.push_back({.connection = before.connection,
                       .protocol = std::move(protocol),
                       .to_send = std::move(bytes),
                       .connected = true});
    auto& visit = visits_.back();
    begin_stream(visit);
    bench_.settle();
    return visit;
}

void Hostile::begin_stream(Visit& visit) {
    auto const stream = host_->open_stream(visit.connection, visit.protocol, bench_.clock.now());
    if (!stream) return;
    visit.stream = *stream;
    if (!visit.to_send.empty()) host_->write(visit.connection, *stream, visit.to_send);
}

void Hostile::listen_at(Address const& taken) {
    bench_.network.detach(address, bench_.clock.now());
    address = taken;
    bench_.network.attach(address, *host_, [this] { pump(); });
}

std::optional<wire::v1::JoinReply> Hostile::request_join(Machine& to,
                                                         wire::v1::JoinRequest const& request) {
    base::Bytes framed;
    wire::append_frame(framed, base::as_bytes(request.SerializeAsString()));
    auto const& asked = visit(to, std::string(node::protocol_join), framed);
    wire::FrameReader reader(join_reply_bytes_max);
    base::ByteView rest = asked.received;
    auto const frame = reader.next(rest);
    wire::v1::JoinReply reply;
    if (!frame || !*frame ||
        !reply.ParseFromArray((*frame)->data(), static_cast<int>((*frame)->size())))
        return std::nullopt;
    return reply;
}

void Hostile::join(Machine& op, std::string const& token) {
    node::Joiner joiner(proto::membership::parse_token(token).value(), bench_.clock.now());
    auto const& asked = visit(op, std::string(node::protocol_join), joiner.request(identity, {}));
    auto outcome = joiner.feed(asked.received, identity, bench_.clock.unix_now());
    REQUIRE(outcome.has_value());
    REQUIRE(outcome->has_value());
    host_->disconnect(asked.connection, {base::Code::cancelled, "the join is over"});
    bench_.settle();
    take_part((*outcome)->swarm, (*outcome)->list);
}

void Hostile::take_part(node::Swarm const& swarm, base::Bytes list) {
    swarm_.emplace(node::Swarm{.id = swarm.id,
                               .name = swarm.name,
                               .operator_root = swarm.operator_root,
                               .coordinator = swarm.coordinator,
                               .coordinator_addresses = swarm.coordinator_addresses,
                               .is_coordinator = false,
                               .secret = swarm.secret.clone(),
                               .epoch = swarm.epoch});
    proto::membership::ListChecker checker(swarm.anchors());
    list_.emplace(checker.check(std::move(list), bench_.clock.unix_now()).value());
}

void Hostile::open_session(Machine& to) {
    channel_.reset();
    controls.clear();
    activations.clear();
    frames.clear();
    visit_ = nullptr;
    start_channel(to.identity.node_id());
    visits_.push_back({.protocol = std::string(node::protocol_peer)});
    visit_ = &visits_.back();
    auto const dialled = host_->dial(to.address, to.identity.peer_id(), bench_.clock.now());
    REQUIRE(dialled.has_value());
    visit_->connection = *dialled;
    bench_.settle();
}

void Hostile::start_channel(identity::NodeId const& peer) {
    auto const* member = list_->find(peer);
    REQUIRE(member != nullptr);
    channel_ = std::make_unique<node::PeerChannel>(
        node::PeerChannel::Parties{
            .self = identity,
            .rng = rng_,
            .swarm_id = swarm_->id,
            .swarm_secret = swarm_->secret,
            .peer = {.node = peer, .static_key = member->static_key(), .root = member->root_key()}},
        bench_.clock.now());
    reader_ = std::make_unique<wire::FrameReader>(node::peer_frame_bytes_max);
    REQUIRE(channel_->offer(bench_.clock.now()).has_value());
}

void Hostile::pump() {
    while (auto const event = host_->poll_event()) {
        auto const* up = std::get_if<node::PeerConnected>(&event->what);
        if (gossip_ && up != nullptr) gossip_->admit(event->connection, *up, bench_.clock.now());
        if (gossip_ && gossip_->on_event(*event, bench_.clock.now()) == node::Handled::yes) {
            listen_to_gossip();
            continue;
        }
        on_event(*event);
    }
    flush_channel();
}

void Hostile::speak_gossip() {
    proto::gossip::Options options;
    options.policy = proto::gossip::SignaturePolicy::strict_no_sign;
    gossip_ = std::make_unique<node::GossipService>(*host_, std::move(options), bench_.clock.now());
    REQUIRE(gossip_->subscribe(std::string(node::swarm_topic), bench_.clock.now()).has_value());
}

void Hostile::listen_to_gossip() {
    while (auto const event = gossip_->poll_event())
        if (auto const* heard = std::get_if<proto::gossip::Deliver>(&*event)) {
            overheard.push_back(heard->data);
            gossip_->validated(heard->handle, proto::gossip::Verdict::ignore, bench_.clock.now());
        }
}

base::Bytes Hostile::sealed_gossip(base::ByteView content) {
    proto::sealed_gossip::BootNonce boot{};
    boot.back() = ++boots_count_;
    proto::sealed_gossip::Sealer sealer(swarm_->id, swarm_->secret, identity, boot);
    return sealer.seal_signed(node::swarm_topic, content, bench_.clock.unix_now()).value();
}

void Hostile::publish(base::ByteView envelope) {
    REQUIRE(
        gossip_->publish(std::string(node::swarm_topic), envelope, bench_.clock.now()).has_value());
    bench_.network.touch(address);
    bench_.settle();
}

void Hostile::on_event(node::HostEvent const& event) {
    if (auto const* caller = std::get_if<node::PeerConnected>(&event.what);
        caller != nullptr && caller->direction == node::Direction::inbound)
        callers.push_back(caller->peer.peer());
    for (auto& visit : visits_) {
        if (visit.connection != event.connection) continue;
        if (std::holds_alternative<node::PeerConnected>(event.what)) {
            visit.connected = true;
            begin_stream(visit);
        }
        if (std::holds_alternative<node::LinkDown>(event.what)) visit.down = true;
    }
    auto const stream = stream_of(event);
    auto const found = std::ranges::find_if(visits_, [&](Visit const& one) {
        return one.connection == event.connection && stream && one.stream == stream;
    });
    if (found == visits_.end()) return;
    auto* const visit = &*found;
    if (auto const* data = std::get_if<node::StreamData>(&event.what)) {
        base::append(visit->received, data->bytes);
        host_->consumed(event.connection, data->id, data->bytes.size());
        if (visit == visit_) on_stream_bytes(data->bytes);
    }
    if (std::holds_alternative<node::StreamOpened>(event.what)) visit->agreed = true;
    if (std::holds_alternative<node::StreamReset>(event.what)) visit->reset = true;
}

void Hostile::on_stream_bytes(base::ByteView bytes) {
    for (base::ByteView rest = bytes; !rest.empty();) {
        auto frame = reader_->next(rest);
        if (!frame || !*frame) break;
        frames.push_back(std::move(**frame));
    }
    if (!channel_ || !channel_->feed(bytes, bench_.clock.now())) return;
    while (auto const opened = channel_->poll_message()) {
        if (opened->lane() == proto::session::Lane::control) {
            wire::v1::Control control;
            REQUIRE(control.ParseFromArray(opened->bytes().data(),
                                           static_cast<int>(opened->bytes().size())));
            controls.push_back(control);
            if (on_control) on_control(control);
            continue;
        }
        auto const inbound =
            node::Dispatcher::admit(identity.node_id(), node::Rank::member, *opened);
        REQUIRE(inbound.has_value());
        auto activation = *std::get<node::AuthenticatedActivation>(*inbound);
        tensors.push_back(activation.tensor);
        activation.tensor = content_of(identity, activation);
        activations.push_back(std::move(activation));
        if (on_activation) on_activation(activations.back());
    }
}

void Hostile::flush_channel() {
    if (!channel_ || visit_ == nullptr || !visit_->stream) return;
    while (!channel_->outgoing().empty()) {
        auto const taken = host_->write(visit_->connection, *visit_->stream, channel_->outgoing());
        if (taken == 0) break;
        channel_->taken(taken);
    }
}

void Hostile::send(wire::v1::Control const& control) {
    (void)channel_->send(proto::session::Lane::control,
                         base::to_bytes(base::as_bytes(control.SerializeAsString())));
    bench_.settle();
}

void Hostile::send(wire::v1::StageMessage const& message, base::ByteView tensor) {
    queue(message, tensor);
    bench_.settle();
}

void Hostile::queue(wire::v1::StageMessage const& message, base::ByteView tensor) {
    (void)channel_->send(proto::session::Lane::tensor, node::encode_activation(message, tensor));
    flush_channel();
}

base::Bytes Hostile::sealed(proto::session::Lane lane, base::Bytes plaintext) {
    flush_channel();
    REQUIRE(channel_->outgoing().empty());
    REQUIRE(channel_->send(lane, std::move(plaintext)).has_value());
    auto bytes = base::to_bytes(channel_->outgoing());
    channel_->taken(bytes.size());
    return bytes;
}

void Hostile::send_raw(base::ByteView bytes) {
    host_->write(visit_->connection, *visit_->stream, bytes);
    bench_.settle();
}

wire::v1::Control announcement(Hostile const& member, std::string const& model_id,
                               std::vector<std::uint32_t> const& shards, std::string const& name) {
    wire::v1::Control control;
    auto* announce = control.mutable_shard_announce();
    announce->set_node_id(base::to_text(member.identity.node_id().bytes));
    auto* holding = announce->add_models();
    holding->set_model_id(base::to_text(base::from_hex(model_id).value()));
    holding->set_name(name);
    for (auto const shard : shards) holding->add_shards(shard);
    return control;
}

base::Bytes seal_content(wire::v1::StageForward const& forward,
                         crypto::X25519PublicKey const& stage, base::ByteView content) {
    auto channel = proto::seal::Channel::at_asker(crypto::X25519PrivateKey(request_private_key),
                                                  stage, ask::seal_subject(forward, 0).value(),
                                                  proto::seal::Direction::prompt);
    return channel.value().seal(forward.step(), ask::bound_fields(forward), content).value();
}

wire::v1::StageMessage forward_to(identity::NodeId const& asker, identity::NodeId const& to,
                                  std::string const& model_id, std::uint32_t layers_begin,
                                  std::uint32_t layers_end) {
    wire::v1::StageMessage message;
    auto* forward = message.mutable_forward();
    forward->set_request_id(std::string(16, 'r'));
    forward->set_asker(base::to_text(asker.bytes));
    forward->set_model_id(base::to_text(base::from_hex(model_id).value()));
    forward->set_rows(1);
    forward->set_hidden(64);
    forward->set_pre_embedded(true);
    forward->set_positions_max(16);
    forward->set_request_key(
        base::to_text(crypto::x25519_public_key(crypto::X25519PrivateKey(request_private_key))));
    auto* hop = forward->add_hops();
    hop->set_node_id(base::to_text(to.bytes));
    hop->set_layers_begin(layers_begin);
    hop->set_layers_end(layers_end);
    return message;
}

}  // namespace kith::adversary
