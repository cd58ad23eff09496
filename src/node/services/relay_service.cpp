#include "node/services/relay_service.h"

#include <algorithm>

namespace kith::node {

namespace relay = proto::relay;
using base::ByteView;
using base::Code;
using base::Error;
using base::fail;
using base::Instant;
using ports::ConnectionId;

namespace {

relay::StreamRef ref_of(Carrier const& at) {
    return {at.connection.value, static_cast<std::uint32_t>(at.stream)};
}

Carrier carrier_of(relay::StreamRef ref) {
    return {ConnectionId{ref.connection}, StreamId{ref.stream}};
}

Instant deadline_of(auto const& request) {
    return std::visit([](auto const& one) { return one.request.deadline(); }, request);
}

}  // namespace

base::Result<CircuitAddress> parse_circuit(wire::Multiaddr const& address) {
    auto const circuit = address.circuit();
    if (!circuit) return fail(Code::invalid, "not an address through a relay");
    CircuitAddress parsed{.relay_at = {circuit->relay_at.ip, circuit->relay_at.port},
                          .relay = KITH_TRY(identity::PeerId::from_multihash(circuit->relay)),
                          .target = std::nullopt};
    if (!circuit->target.empty())
        parsed.target = KITH_TRY(identity::PeerId::from_multihash(circuit->target));
    return parsed;
}

RelayService::RelayService(Edges edges, relay::ServerLimits limits)
    : edges_(std::move(edges)), server_(limits, edges_.identity) {}

// ---- as a client

base::Result<ConnectionId> RelayService::dial(CircuitAddress const& through,
                                              identity::PeerId const& target, Instant now) {
    std::optional<ConnectionId> link;
    bool any = false;
    for (auto const& [id, peer] : peers_) {
        if (peer.peer != through.relay) continue;
        any = true;
        if (peer.path == Path::direct) link = id;
    }
    if (any && !link) return fail(Code::conflict, "this relay is reached through a relay itself");
    auto const connection = KITH_TRY(edges_.host.dial_relayed(target, now));
    Waiting const wanted{.connection = connection, .relay = through.relay, .target = target};
    if (link) {
        ask_connect(*link, wanted, now);
        return connection;
    }
    for (auto const& [dialling, other] : waiting_)
        if (other.relay == through.relay) link = dialling;
    if (link) {
        waiting_.emplace(*link, wanted);
        return connection;
    }
    auto const dialled = edges_.host.dial(through.relay_at, through.relay, now);
    if (!dialled) {
        edges_.host.disconnect(connection, dialled.error());
        return connection;
    }
    waiting_.emplace(*dialled, wanted);
    return connection;
}

void RelayService::ask_connect(ConnectionId link, Waiting const& wanted, Instant now) {
    auto const stream = edges_.host.open_stream(link, std::string(relay::hop_protocol), now);
    if (!stream) return edges_.host.disconnect(wanted.connection, stream.error());
    edges_.host.write(link, *stream, relay::HopRequest::connect(wanted.target));
    requests_.insert_or_assign(Carrier{link, *stream}, Connecting{.request = relay::HopRequest(now),
                                                                  .connection = wanted.connection});
}

base::Status RelayService::reserve_at(ConnectionId link, Instant now) {
    auto const peer = peers_.find(link);
    if (peer == peers_.end()) return fail(Code::not_found, "no such connection");
    if (peer->second.path == Path::relayed)
        return fail(Code::conflict, "this relay is reached through a relay itself");
    if (keepers_.contains(link)) return {};
    if (keepers_.size() >= relays_max) return fail(Code::too_large, "enough relays are in use");
    keepers_.emplace(link, relay::ReservationKeeper(now));
    ask_reservations(now);
    return {};
}

void RelayService::ask_reservations(Instant now) {
    for (auto& [link, keeper] : keepers_) {
        if (!keeper.is_due(now)) continue;
        auto const stream = edges_.host.open_stream(link, std::string(relay::hop_protocol), now);
        if (!stream) {
            keeper.failed(now);
            continue;
        }
        keeper.asking();
        edges_.host.write(link, *stream, relay::HopRequest::reserve());
        edges_.host.close_write(link, *stream);
        requests_.insert_or_assign(Carrier{link, *stream},
                                   Reserving{.request = relay::HopRequest(now)});
    }
}

std::vector<wire::Multiaddr> RelayService::addresses(Instant now) const {
    std::vector<wire::Multiaddr> all;
    for (auto const& [link, keeper] : keepers_) {
        auto const* held = keeper.held(now);
        if (held == nullptr) continue;
        auto const& peer = peers_.at(link);
        auto told = held->addresses;
        // A relay that says nothing, or not where it is, is where we dialled it.
        std::erase_if(told, [&peer](wire::Multiaddr const& address) {
            auto const multihash = peer.peer.to_multihash();
            return !address.tcp_endpoint() || !address.peer_multihash() ||
                   !base::equal(*address.peer_multihash(), multihash);
        });
        if (told.empty() && peer.direction == Direction::outbound)
            if (auto const at = wire::Multiaddr::tcp(peer.remote.ip, peer.remote.port))
                if (auto named = at->with_peer(peer.peer.to_multihash()))
                    told.push_back(std::move(*named));
        for (auto const& address : told)
            if (auto through = address.with_circuit()) all.push_back(std::move(*through));
    }
    return all;
}

// ---- what the host reports

bool RelayService::on_event(HostEvent const& event, Instant now) {
    auto const id = event.connection;
    bool taken = false;
    if (auto const* connected = std::get_if<PeerConnected>(&event.what))
        on_connected(id, *connected, now);
    if (auto const* down = std::get_if<LinkDown>(&event.what)) on_down(id, down->reason, now);
    if (auto const* opened = std::get_if<StreamOpened>(&event.what))
        taken = on_stream_opened(id, *opened, now);
    if (auto const* data = std::get_if<StreamData>(&event.what))
        taken = on_stream_data({id, data->id}, data->bytes, now);
    if (auto const* ended = std::get_if<StreamEnded>(&event.what)) {
        Carrier const at{id, ended->id};
        taken = server_.knows(ref_of(at)) || requests_.contains(at);
        server_.on_ended(ref_of(at));
        give_up(at, {Code::unavailable, "the relay closed the stream"}, now);
    }
    if (auto const* reset = std::get_if<StreamReset>(&event.what)) {
        Carrier const at{id, reset->id};
        taken = server_.knows(ref_of(at)) || requests_.contains(at);
        server_.on_reset(ref_of(at));
        give_up(at, reset->reason, now);
    }
    if (auto const* writable = std::get_if<StreamWritable>(&event.what)) {
        taken = server_.knows(ref_of({id, writable->id}));
        server_.on_writable(ref_of({id, writable->id}));
    }
    drive(now);
    return taken;
}

void RelayService::on_connected(ConnectionId id, PeerConnected const& connected, Instant now) {
    peers_.insert_or_assign(id, Peer{.peer = connected.peer.peer(),
                                     .remote = connected.remote,
                                     .direction = connected.direction,
                                     .path = connected.path});
    auto const [first, last] = waiting_.equal_range(id);
    std::vector<Waiting> wanted;
    for (auto one = first; one != last; ++one) wanted.push_back(one->second);
    waiting_.erase(first, last);
    for (auto const& one : wanted) ask_connect(id, one, now);
}

void RelayService::on_down(ConnectionId id, Error const& reason, Instant now) {
    server_.on_connection_down(id.value);
    auto const [first, last] = waiting_.equal_range(id);
    for (auto one = first; one != last; ++one)
        edges_.host.disconnect(one->second.connection, reason);
    waiting_.erase(first, last);
    std::erase_if(waiting_, [id](auto const& entry) { return entry.second.connection == id; });
    std::vector<Carrier> over;
    for (auto const& [at, request] : requests_) {
        auto const* connecting = std::get_if<Connecting>(&request);
        if (at.connection == id || (connecting != nullptr && connecting->connection == id))
            over.push_back(at);
    }
    for (auto const& at : over) give_up(at, reason, now);
    if (keepers_.erase(id) > 0) changed_ = true;
    peers_.erase(id);
}

bool RelayService::on_stream_opened(ConnectionId id, StreamOpened const& opened, Instant now) {
    Carrier const at{id, opened.id};
    if (opened.direction == Direction::outbound)
        return requests_.contains(at) || server_.knows(ref_of(at));
    auto const peer = peers_.find(id);
    if (peer == peers_.end()) return false;
    if (opened.protocol == relay::hop_protocol) {
        bool const relayed = peer->second.path == Path::relayed;
        server_.on_hop_opened(ref_of(at),
                              {.peer = peer->second.peer,
                               .ip = peer->second.remote.ip,
                               .path = relayed ? relay::Path::relayed : relay::Path::direct,
                               .grant = edges_.grant(peer->second.peer)},
                              now);
        return true;
    }
    if (opened.protocol != relay::stop_protocol) return false;
    auto const unanswered = std::ranges::count_if(requests_, [id](auto const& entry) {
        return entry.first.connection == id && std::holds_alternative<Asked>(entry.second);
    });
    if (static_cast<std::size_t>(unanswered) >= stop_requests_max)
        edges_.host.reset(id, opened.id);
    else
        requests_.insert_or_assign(at, Asked{.request = relay::StopAnswer(now)});
    return true;
}

bool RelayService::on_stream_data(Carrier const& at, ByteView bytes, Instant now) {
    if (server_.knows(ref_of(at))) {
        server_.on_data(ref_of(at), bytes, now, edges_.clock.unix_now());
        return true;
    }
    auto const request = requests_.find(at);
    if (request == requests_.end()) return false;
    std::visit([&](auto& one) { on_answer(at, one, bytes, now); }, request->second);
    return true;
}

void RelayService::on_answer(Carrier const& at, Reserving& reserving, ByteView bytes, Instant now) {
    ByteView rest = bytes;
    auto answer = reserving.request.feed(rest);
    edges_.host.consumed(at.connection, at.stream, bytes.size());
    if (!answer) return give_up(at, answer.error(), now);
    if (!*answer) return;
    requests_.erase(at);
    auto const keeper = keepers_.find(at.connection);
    if (keeper == keepers_.end()) return;
    changed_ = true;
    keeper->second.granted((*answer)->reservation.value_or(relay::Reservation{}),
                           peers_.at(at.connection).peer, edges_.identity.peer_id(), now,
                           edges_.clock.unix_now());
}

void RelayService::on_answer(Carrier const& at, Connecting& connecting, ByteView bytes,
                             Instant now) {
    ByteView rest = bytes;
    auto const answer = connecting.request.feed(rest);
    edges_.host.consumed(at.connection, at.stream, bytes.size() - rest.size());
    if (!answer) return give_up(at, answer.error(), now);
    if (!*answer) return;
    auto const connection = connecting.connection;
    requests_.erase(at);
    edges_.host.carry(connection, at, rest, now);
}

void RelayService::on_answer(Carrier const& at, Asked& asked, ByteView bytes, Instant now) {
    ByteView rest = bytes;
    auto const who = asked.request.feed(rest);
    edges_.host.consumed(at.connection, at.stream, bytes.size() - rest.size());
    if (!who) return give_up(at, who.error(), now);
    if (!*who) return;
    requests_.erase(at);
    auto const keeper = keepers_.find(at.connection);
    if (keeper == keepers_.end() || keeper->second.held(now) == nullptr) {
        edges_.host.consumed(at.connection, at.stream, rest.size());
        edges_.host.write(at.connection, at.stream,
                          relay::StopAnswer::refuse(relay::Status::permission_denied));
        return edges_.host.close_write(at.connection, at.stream);
    }
    // The listener inside speaks when it is polled, not before: so our yes comes first on the
    // stream.
    if (edges_.host.accept_relayed(at, rest, now))
        edges_.host.write(at.connection, at.stream, relay::StopAnswer::accept());
}

// A request came to nothing; unknown ones are none of ours.
void RelayService::give_up(Carrier const& at, Error const& reason, Instant now) {
    auto const found = requests_.find(at);
    if (found == requests_.end()) return;
    auto const request = std::move(found->second);
    requests_.erase(found);
    edges_.host.reset(at.connection, at.stream);
    if (auto const* connecting = std::get_if<Connecting>(&request))
        edges_.host.disconnect(connecting->connection, reason);
    auto const keeper = keepers_.find(at.connection);
    if (std::holds_alternative<Reserving>(request) && keeper != keepers_.end())
        keeper->second.failed(now);
}

// ---- the relay's actions

void RelayService::drive(Instant now) {
    while (auto const action = server_.poll_action()) carry_out(*action, now);
}

void RelayService::carry_out(relay::Action const& action, Instant now) {
    if (auto const* one = std::get_if<relay::Transmit>(&action)) transmit(one->to);
    if (auto const* one = std::get_if<relay::OpenStop>(&action)) {
        ConnectionId const link{one->connection};
        auto const stream = edges_.host.open_stream(link, std::string(relay::stop_protocol), now);
        if (stream)
            server_.stop_opened(one->circuit, ref_of({link, *stream}));
        else
            server_.stop_failed(one->circuit);
    }
    if (auto const* one = std::get_if<relay::Finish>(&action)) {
        auto const at = carrier_of(one->stream);
        edges_.host.close_write(at.connection, at.stream);
    }
    if (auto const* one = std::get_if<relay::Reset>(&action)) {
        auto const at = carrier_of(one->stream);
        edges_.host.reset(at.connection, at.stream);
    }
    if (auto const* one = std::get_if<relay::Consumed>(&action)) {
        auto const at = carrier_of(one->stream);
        edges_.host.consumed(at.connection, at.stream, one->size);
    }
}

void RelayService::transmit(relay::StreamRef stream) {
    auto const waiting = server_.pending(stream);
    if (waiting.empty()) return;
    auto const at = carrier_of(stream);
    auto const taken = edges_.host.write(at.connection, at.stream, waiting);
    if (taken > 0) server_.sent(stream, taken);  // the rest waits for StreamWritable
}

// ---- time

void RelayService::on_deadline(Instant now) {
    server_.on_deadline(now);
    std::vector<Carrier> late;
    for (auto const& [at, request] : requests_)
        if (deadline_of(request) <= now) late.push_back(at);
    for (auto const& at : late)
        give_up(at, {Code::timeout, "the relay did not answer in time"}, now);
    for (auto& [link, keeper] : keepers_)
        if (keeper.on_deadline(now)) changed_ = true;
    ask_reservations(now);
    drive(now);
}

std::optional<Instant> RelayService::deadline() const {
    auto first = server_.deadline();
    auto const consider = [&first](std::optional<Instant> due) {
        if (due && (!first || *due < *first)) first = due;
    };
    for (auto const& [at, request] : requests_) consider(deadline_of(request));
    for (auto const& [link, keeper] : keepers_) consider(keeper.deadline());
    return first;
}

}  // namespace kith::node
