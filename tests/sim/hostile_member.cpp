#include "hostile_member.h"

#include <algorithm>

namespace kith::simtest {

using base::Code;
using namespace std::chrono_literals;

namespace {
constexpr base::Duration act_interval = 1s;
constexpr base::Duration redial_interval = 4s;  // a refused dial costs both ends a handshake
constexpr std::uint64_t replay_one_in = 8;
constexpr std::uint64_t false_name_one_in = 10;
}  // namespace

HostileMember::HostileMember(identity::Identity const& identity, sim::VirtualClock const& clock,
                             std::uint64_t machine, std::uint64_t seed)
    : identity_(identity),
      clock_(clock),
      rng_(seed),
      chance_(sim::Chance(seed).split(1)),
      names_(sim::Chance(seed).split(2)),
      numbers_{machine},
      host_(node::Host::create(identity, rng_, {}).value()) {}

void HostileMember::knows(identity::NodeId const& node, sim::Address const& address) {
    targets_.push_back({.node = node,
                        .address = address,
                        .connection = {},
                        .stream = {},
                        .channel = nullptr,
                        .dial_at = {}});
}

void HostileMember::join(std::string const& token) {
    joiner_.emplace(proto::membership::parse_token(token).value(), clock_.now());
    auto const address = joiner_->next_address();
    auto const dialled = host_->dial(*address, joiner_->coordinator(), clock_.now());
    if (dialled)
        joiner_->dialling(*dialled);
    else
        joiner_.reset();
}

std::optional<base::Instant> HostileMember::deadline() const {
    auto const due = host_->deadline();
    return due && *due < act_at_ ? *due : act_at_;
}

void HostileMember::on_deadline(base::Instant now) {
    host_->on_deadline(now);
    if (joiner_ && now >= joiner_->deadline()) joiner_.reset();
    if (now < act_at_) return;
    act_at_ = now + act_interval;
    act();
}

void HostileMember::act() {
    if (!list_ || !swarm_) return;
    for (auto& target : targets_) {
        if (list_->find(target.node) == nullptr) continue;
        if (!target.connection) {
            if (clock_.now() < target.dial_at) continue;
            target.dial_at = clock_.now() + redial_interval;
            auto const dialled =
                host_->dial(target.address, identity::PeerId(target.node), clock_.now());
            if (!dialled) continue;
            ++dials_count_;
            target.connection = *dialled;
        } else if (target.channel) {
            bool const alive = target.channel->on_deadline(clock_.now()).has_value();
            if (!alive) {
                hang_up(target);
                continue;
            }
            if (target.channel->rekey_due(clock_.now())) (void)target.channel->offer(clock_.now());
            if (target.channel->ready()) speak(target);
        }
    }
}

void HostileMember::speak(Target& target) {
    flush(target);
    if (!target.channel->outgoing().empty()) return;
    // Now and then it says that the other end itself had said this.
    bool const is_false = names_.one_in(false_name_one_in);
    auto const control =
        numbered_control(is_false ? target.node : identity_.node_id(), numbers_.next());
    auto const said = target.channel->send(
        proto::session::Lane::control, base::to_bytes(base::as_bytes(control.SerializeAsString())));
    if (!said) return;
    tape_.push_back(base::to_bytes(target.channel->outgoing()));
    if (tape_.size() > tape_frames_max) tape_.pop_front();
    flush(target);
    if (!target.channel->outgoing().empty() || !chance_.one_in(replay_one_in)) return;
    // The newest frames most often: they are of the session that stands.
    auto const age = chance_.one_in(2) ? 1 : 1 + chance_.below(tape_.size());
    ++replays_count_;
    host_->write(*target.connection, *target.stream,
                 tape_[tape_.size() - static_cast<std::size_t>(age)]);
}

void HostileMember::flush(Target& target) {
    if (!target.channel || !target.stream || !target.connection) return;
    while (!target.channel->outgoing().empty()) {
        auto const taken =
            host_->write(*target.connection, *target.stream, target.channel->outgoing());
        if (taken == 0) break;
        target.channel->taken(taken);
    }
}

void HostileMember::hang_up(Target& target) {
    if (target.connection) host_->disconnect(*target.connection, {Code::cancelled, "again"});
    target.channel.reset();
    target.stream.reset();
}

void HostileMember::start_session(Target& target) {
    auto const* member = list_->find(target.node);
    auto const stream =
        host_->open_stream(*target.connection, std::string(node::protocol_peer), clock_.now());
    if (member == nullptr || !stream) return hang_up(target);
    target.stream = *stream;
    target.channel = std::make_unique<node::PeerChannel>(
        node::PeerChannel::Parties{.self = identity_,
                                   .rng = rng_,
                                   .swarm_id = swarm_->id,
                                   .swarm_secret = swarm_->secret,
                                   .peer = {.node = target.node,
                                            .static_key = member->static_key(),
                                            .root = member->root_key()}},
        clock_.now());
    (void)target.channel->offer(clock_.now());
}

void HostileMember::pump() {
    while (auto const event = host_->poll_event()) {
        if (joiner_ && joiner_->connection() == event->connection) {
            on_join_event(*event);
            continue;
        }
        auto const target = std::ranges::find_if(
            targets_, [&](auto const& one) { return one.connection == event->connection; });
        if (target != targets_.end()) on_target_event(*target, *event);
    }
    for (auto& target : targets_) flush(target);
}

void HostileMember::on_join_event(node::HostEvent const& event) {
    auto const id = event.connection;
    if (std::holds_alternative<node::PeerConnected>(event.what)) {
        auto const stream = host_->open_stream(id, std::string(node::protocol_join), clock_.now());
        if (stream) host_->write(id, *stream, joiner_->request(identity_, {}));
    }
    if (auto const* data = std::get_if<node::StreamData>(&event.what)) {
        host_->consumed(id, data->id, data->bytes.size());
        auto outcome = joiner_->feed(data->bytes, identity_, clock_.unix_now());
        if (outcome && !*outcome) return;  // more is needed
        if (outcome) swarm_.emplace(std::move((*outcome)->swarm));
        joiner_.reset();
        return host_->disconnect(id, {Code::cancelled, "the join is over"});
    }
    if (std::holds_alternative<node::LinkDown>(event.what)) joiner_.reset();
}

void HostileMember::on_target_event(Target& target, node::HostEvent const& event) {
    if (std::holds_alternative<node::PeerConnected>(event.what)) return start_session(target);
    if (auto const* data = std::get_if<node::StreamData>(&event.what)) {
        host_->consumed(event.connection, data->id, data->bytes.size());
        if (!target.channel) return;
        if (!target.channel->feed(data->bytes, clock_.now())) return hang_up(target);
        while (target.channel->poll_message()) {
        }
        return;
    }
    if (std::holds_alternative<node::StreamReset>(event.what)) return hang_up(target);
    if (std::holds_alternative<node::LinkDown>(event.what)) {
        target.channel.reset();
        target.stream.reset();
        target.connection.reset();
    }
}

}  // namespace kith::simtest
