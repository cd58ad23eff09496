#include "node/services/dcutr_service.h"

#include <algorithm>

#include "base/sabotage.h"

namespace kith::node {

namespace dcutr = proto::dcutr;
using base::Code;
using base::Error;
using base::Instant;
using ports::ConnectionId;

void DcutrService::upgrade(ConnectionId relayed, Instant now) {
    auto const peer = peers_.find(relayed);
    if (peer == peers_.end() || peer->second.path != Path::relayed ||
        peer->second.direction != Direction::inbound)
        return;
    if (upgrades_.contains(relayed) || upgrades_.size() >= upgrades_max) return;
    upgrades_.emplace(relayed, Upgrade{.peer = peer->second.peer,
                                       .machine = dcutr::Initiator(
                                           options(), edges_.known_addresses(relayed), now),
                                       .stream = std::nullopt});
    drive(relayed, now);
}

dcutr::Options DcutrService::options() const {
    auto own = edges_.own_addresses();
    wire::keep_reachable(edges_.reach, own);
    return {.own = std::move(own), .reach = edges_.reach};
}

// ---- what the host reports

bool DcutrService::on_event(HostEvent const& event, Instant now) {
    auto const id = event.connection;
    if (auto const* connected = std::get_if<PeerConnected>(&event.what))
        return on_connected(id, *connected, now);
    if (std::holds_alternative<LinkDown>(event.what)) return on_down(id, now);
    if (auto const* opened = std::get_if<StreamOpened>(&event.what))
        return on_stream_opened(id, *opened, now);
    if (auto const* data = std::get_if<StreamData>(&event.what)) return on_data(id, *data, now);
    if (auto const* ended = std::get_if<StreamEnded>(&event.what))
        return on_stream_gone(id, ended->id, false, now);
    if (auto const* reset = std::get_if<StreamReset>(&event.what))
        return on_stream_gone(id, reset->id, reset->reason.code == Code::unsupported, now);
    if (auto const* writable = std::get_if<StreamWritable>(&event.what))
        return with_stream(id, writable->id) != nullptr;
    return false;
}

bool DcutrService::on_connected(ConnectionId id, PeerConnected const& connected, Instant) {
    if (cancelled_.contains(id)) return true;  // another one was faster
    peers_.insert_or_assign(id, Peer{.peer = connected.peer.peer(),
                                     .direction = connected.direction,
                                     .path = connected.path});
    dials_.erase(id);
    if (connected.path == Path::relayed) return false;
    // Whichever end's dial this was: there is a direct connection now.
    for (auto upgrade = upgrades_.begin(); upgrade != upgrades_.end();) {
        auto const one = upgrade++;
        if (one->second.peer == connected.peer.peer()) finish(one);
    }
    return false;
}

bool DcutrService::on_down(ConnectionId id, Instant now) {
    peers_.erase(id);
    if (cancelled_.erase(id) > 0) return true;
    if (auto const own = upgrades_.find(id); own != upgrades_.end()) finish(own);
    auto const dialled = dials_.extract(id);
    if (dialled.empty()) return false;
    auto const relayed = dialled.mapped();
    bool const others = std::ranges::any_of(
        dials_, [relayed](auto const& entry) { return entry.second == relayed; });
    auto const upgrade = upgrades_.find(relayed);
    if (others || upgrade == upgrades_.end()) return true;
    if (auto* const initiator = std::get_if<dcutr::Initiator>(&upgrade->second.machine)) {
        initiator->on_dials_failed(now);
        drive(relayed, now);
    }
    return true;
}

bool DcutrService::on_stream_opened(ConnectionId id, StreamOpened const& opened, Instant now) {
    if (opened.direction == Direction::outbound) {
        auto* const upgrade = with_stream(id, opened.id);
        if (upgrade == nullptr) return false;
        if (auto* const initiator = std::get_if<dcutr::Initiator>(&upgrade->machine))
            initiator->on_opened(now);
        drive(id, now);
        return true;
    }
    if (opened.protocol != dcutr::protocol) return false;
    auto const peer = peers_.find(id);
    if (peer == peers_.end())
        edges_.host.reset(id, opened.id);
    else
        accept(id, opened.id, peer->second, now);
    return true;
}

// The next stream of an initiator is its next attempt: it replaces the one before.
void DcutrService::accept(ConnectionId id, StreamId stream, Peer const& peer, Instant now) {
    bool const is_ours_to_answer =
        peer.path == Path::relayed && peer.direction == Direction::outbound;
    if (!KITH_GUARD("P5.punch", edges_.may(peer.peer)) || !is_ours_to_answer ||
        !counts_as_one_more(peer.peer, now))
        return edges_.host.reset(id, stream);
    if (auto const before = upgrades_.find(id); before != upgrades_.end()) finish(before);
    if (upgrades_.size() >= upgrades_max) return edges_.host.reset(id, stream);
    upgrades_.emplace(
        id,
        Upgrade{.peer = peer.peer, .machine = dcutr::Responder(options(), now), .stream = stream});
}

bool DcutrService::counts_as_one_more(identity::PeerId const& peer, Instant now) {
    for (auto& [other, times] : streams_)
        while (!times.empty() && times.front() + punches_per <= now) times.pop_front();
    std::erase_if(streams_, [](auto const& entry) { return entry.second.empty(); });
    if (!streams_.contains(peer) && streams_.size() >= punchers_max) return false;
    auto& times = streams_[peer];
    if (times.size() >= punches_per_peer_max) return false;
    times.push_back(now);
    return true;
}

bool DcutrService::on_data(ConnectionId id, StreamData const& data, Instant now) {
    auto* const upgrade = with_stream(id, data.id);
    if (upgrade == nullptr) return false;
    edges_.host.consumed(id, data.id, data.bytes.size());
    auto const fed =
        std::visit([&](auto& machine) { return machine.feed(data.bytes, now); }, upgrade->machine);
    if (!fed) leave_stream(id, *upgrade);
    drive(id, now);
    return true;
}

bool DcutrService::on_stream_gone(ConnectionId id, StreamId stream, bool refused, Instant now) {
    auto* const upgrade = with_stream(id, stream);
    if (upgrade == nullptr) return false;
    edges_.host.close_write(id, stream);
    upgrade->stream.reset();
    using Gone = dcutr::Initiator::Gone;
    if (auto* const initiator = std::get_if<dcutr::Initiator>(&upgrade->machine))
        initiator->on_stream_gone(refused ? Gone::refused : Gone::ended, now);
    else
        std::get<dcutr::Responder>(upgrade->machine).on_stream_gone();
    drive(id, now);
    return true;
}

DcutrService::Upgrade* DcutrService::with_stream(ConnectionId id, StreamId stream) {
    auto const found = upgrades_.find(id);
    bool const its = found != upgrades_.end() && found->second.stream == stream;
    return its ? &found->second : nullptr;
}

// ---- what the machines want

void DcutrService::drive(ConnectionId relayed, Instant now) {
    for (;;) {
        auto const upgrade = upgrades_.find(relayed);
        if (upgrade == upgrades_.end()) return;
        auto const action = std::visit([](auto& machine) { return machine.poll_action(); },
                                       upgrade->second.machine);
        if (!action) return;
        if (std::holds_alternative<dcutr::GiveUp>(*action)) return finish(upgrade);
        carry_out(relayed, upgrade->second, *action, now);
    }
}

void DcutrService::carry_out(ConnectionId relayed, Upgrade& upgrade, dcutr::Action const& action,
                             Instant now) {
    if (std::holds_alternative<dcutr::OpenStream>(action)) {
        leave_stream(relayed, upgrade);
        auto const stream = edges_.host.open_stream(relayed, std::string(dcutr::protocol), now);
        if (stream) upgrade.stream = *stream;
        // Without one the machine's time for an answer runs out.
    }
    if (auto const* send = std::get_if<dcutr::Send>(&action); send != nullptr && upgrade.stream)
        edges_.host.write(relayed, *upgrade.stream, send->bytes);  // far below the first window
    if (std::holds_alternative<dcutr::CloseStream>(action) && upgrade.stream)
        edges_.host.close_write(relayed, *upgrade.stream);
    if (std::holds_alternative<dcutr::CancelDials>(action)) cancel_dials(relayed);
    if (auto const* wanted = std::get_if<dcutr::Dial>(&action))
        dial(relayed, upgrade, *wanted, now);
}

void DcutrService::dial(ConnectionId relayed, Upgrade& upgrade, dcutr::Dial const& wanted,
                        Instant now) {
    bool const is_server = std::holds_alternative<dcutr::Initiator>(upgrade.machine);
    DialOptions options;
    if (wanted.manner == dcutr::Manner::simultaneous)
        options = {.from = ports::DialFrom::listen_port,
                   .role = is_server ? LinkRole::listener : LinkRole::dialer};
    bool any = false;
    for (auto const& address : wanted.to) {
        auto const endpoint = address.tcp_endpoint();
        if (!endpoint || dials_.size() >= punch_dials_max) continue;
        auto const dialled =
            edges_.host.dial({endpoint->ip, endpoint->port}, upgrade.peer, now, options);
        if (!dialled) continue;
        dials_.emplace(*dialled, relayed);
        any = true;
    }
    if (any) return;
    if (auto* const initiator = std::get_if<dcutr::Initiator>(&upgrade.machine))
        initiator->on_dials_failed(now);
}

void DcutrService::cancel_dials(ConnectionId relayed) {
    std::vector<ConnectionId> over;
    for (auto const& [id, of] : dials_)
        if (of == relayed) over.push_back(id);
    for (auto const id : over) {
        dials_.erase(id);
        cancelled_.insert(id);
        edges_.host.disconnect(id, {Code::cancelled, "this way is not needed"});
    }
}

void DcutrService::leave_stream(ConnectionId relayed, Upgrade& upgrade) {
    if (upgrade.stream) edges_.host.reset(relayed, *upgrade.stream);
    upgrade.stream.reset();
}

void DcutrService::finish(Upgrades::iterator upgrade) {
    leave_stream(upgrade->first, upgrade->second);
    auto const relayed = upgrade->first;
    upgrades_.erase(upgrade);
    cancel_dials(relayed);
}

// ---- time

void DcutrService::on_deadline(Instant now) {
    std::vector<ConnectionId> due;
    for (auto const& [relayed, upgrade] : upgrades_) due.push_back(relayed);
    for (auto const relayed : due) {
        auto const upgrade = upgrades_.find(relayed);
        if (upgrade == upgrades_.end()) continue;
        std::visit([now](auto& machine) { machine.on_deadline(now); }, upgrade->second.machine);
        drive(relayed, now);
    }
}

std::optional<Instant> DcutrService::deadline() const {
    std::optional<Instant> first;
    for (auto const& [relayed, upgrade] : upgrades_) {
        auto const due =
            std::visit([](auto const& machine) { return machine.deadline(); }, upgrade.machine);
        if (due && (!first || *due < *first)) first = due;
    }
    return first;
}

}  // namespace kith::node
