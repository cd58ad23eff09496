#include "probe.h"

namespace kith::simtest {

namespace {
constexpr std::size_t request_id_bytes = 16;
constexpr std::uint64_t tensor_every = 4;  // of the messages, one in so many is a tensor
}  // namespace

wire::v1::Control numbered_control(identity::NodeId const& sender, std::uint64_t number) {
    wire::v1::Control control;
    control.mutable_health_ping()->set_node_id(base::to_text(sender.bytes));
    control.mutable_health_ping()->set_nonce(number);
    return control;
}

void Probe::on_control(node::AuthenticatedControl const& message, base::Instant) {
    if (message->has_health_ping())
        edges_.invariants.on_heard(edges_.machine, message.sender(), message->health_ping().nonce(),
                                   edges_.truth.now());
}

void Probe::on_activation(node::AuthenticatedActivation message, base::Instant) {
    auto const id = base::as_bytes(message->message.result().request_id());
    if (id.size() == request_id_bytes)
        edges_.invariants.on_heard(edges_.machine, message.sender(),
                                   base::load_be<std::uint64_t>(id), edges_.truth.now());
}

void Probe::on_peer_up(identity::NodeId const& peer, base::Instant) {
    edges_.invariants.on_session(edges_.machine, peer, edges_.truth.now());
    (void)node_->send(peer, numbered_control(node_->identity().node_id(), edges_.numbers.next()));
}

void Probe::on_deadline(base::Instant now) {
    due_ = now + edges_.interval;
    for (auto const& peer : node_->peers(now)) {
        if (!peer.session) continue;
        auto const number = edges_.numbers.next();
        if (number % tensor_every != 0) {
            (void)node_->send(peer.node, numbered_control(node_->identity().node_id(), number));
            continue;
        }
        base::ByteArray<request_id_bytes> id{};
        base::store_be<std::uint64_t>(id, number);
        wire::v1::StageMessage message;
        message.mutable_result()->set_request_id(base::to_text(id));
        (void)node_->send(peer.node, message, base::Bytes(64));
    }
}

}  // namespace kith::simtest
