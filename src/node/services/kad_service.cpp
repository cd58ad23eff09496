#include "node/services/kad_service.h"

#include <algorithm>

#include "base/check.h"
#include "wire/frame.h"

namespace kith::node {

namespace kad = proto::kad;
using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Instant;
using identity::PeerId;
using ports::ConnectionId;

struct KadService::Connection {
    PeerId peer;
    ports::SocketAddress remote;
    enum class Owner { service, others } owner = Owner::others;
    Instant used;
    std::size_t inbound_count = 0;
};

struct KadService::Stream {
    std::optional<kad::RequestId> request;  // outbound and not answered yet
    enum class Role { inbound, outbound } role = Role::inbound;
    kad::ExpectsResponse expects = kad::ExpectsResponse::yes;
    enum class State {
        proposed,  // outbound, the protocol is not agreed yet
        open,
        closing,  // our half is closed, or will be when all is written; waits for the other half
    } state = State::open;
    wire::FrameReader reader{kad::message_bytes_max};
    Bytes unsent;
    Instant used;
};

struct KadService::Dial {
    std::vector<kad::SendRequest> waiting;
    std::vector<wire::Multiaddr> addresses;  // not tried yet, the last comes first
    ConnectionId id;
};

KadService::KadService(Host& host, kad::KadOptions options, std::string protocol, ports::Rng& rng,
                       KadDials dials)
    : host_(host),
      protocol_(std::move(protocol)),
      mode_(options.mode),
      dials_allowed_(dials),
      kad_(std::move(options), rng) {}
KadService::~KadService() = default;

// ---- events of the host ----

Taken KadService::on_event(HostEvent const& event, kad::Now now) {
    auto const id = event.connection;
    auto taken = Taken::no;
    if (auto const* const up = std::get_if<PeerConnected>(&event.what)) on(id, *up, now);
    if (auto const* const down = std::get_if<LinkDown>(&event.what)) on(id, *down, now);
    if (auto const* const opened = std::get_if<StreamOpened>(&event.what))
        taken = on_opened({id, opened->id}, *opened, now);
    auto const of = [&](StreamId stream) {
        auto const found = streams_.find({id, stream});
        if (found == streams_.end()) return found;
        taken = Taken::yes;
        found->second.used = now.instant;
        return found;
    };
    if (auto const* const data = std::get_if<StreamData>(&event.what))
        if (auto const found = of(data->id); found != streams_.end())
            on_data(found, data->bytes, now);
    if (auto const* const ended = std::get_if<StreamEnded>(&event.what))
        if (auto const found = of(ended->id); found != streams_.end()) on_ended(found, now);
    if (auto const* const reset = std::get_if<StreamReset>(&event.what))
        if (auto const found = of(reset->id); found != streams_.end())
            on_reset(found, reset->reason, now);
    if (auto const* const writable = std::get_if<StreamWritable>(&event.what))
        if (auto const found = of(writable->id); found != streams_.end()) write(found);
    pump(now);
    return taken;
}

void KadService::on(ConnectionId id, PeerConnected const& up, kad::Now now) {
    auto const& peer = up.peer.peer();
    auto const dialled = dialling_.find(id);
    bool const is_ours = dialled != dialling_.end();
    connections_.insert_or_assign(
        id, Connection{.peer = peer,
                       .remote = up.remote,
                       .owner = is_ours ? Connection::Owner::service : Connection::Owner::others,
                       .used = now.instant});
    by_peer_[peer].insert(id);
    if (is_ours) dialling_.erase(dialled);
    // Whoever made the connection, requests that wait for this peer can go now.
    auto const dial = dials_.find(peer);
    if (dial == dials_.end()) return;
    auto const waiting = std::move(dial->second.waiting);
    if (dial->second.id != id) {
        dialling_.erase(dial->second.id);
        host_.disconnect(dial->second.id, {.code = Code::cancelled, .message = "not needed"});
    }
    dials_.erase(dial);
    for (auto const& request : waiting) send(id, request, now);
}

void KadService::on(ConnectionId id, LinkDown const& down, kad::Now now) {
    if (auto const dialled = dialling_.find(id); dialled != dialling_.end()) {
        auto const dial = dials_.find(dialled->second);
        dialling_.erase(dialled);
        KITH_ASSERT(dial != dials_.end());
        if (dial_next(dial->second, now)) return;
        auto const waiting = std::move(dial->second.waiting);
        dials_.erase(dial);
        for (auto const& request : waiting) kad_.on_request_failed(request.id, down.reason, now);
        return;
    }
    auto const connection = connections_.find(id);
    if (connection == connections_.end()) return;
    auto const peer = connection->second.peer;
    connections_.erase(connection);
    auto& others = by_peer_.at(peer);
    others.erase(id);
    bool const is_last = others.empty();
    if (is_last) by_peer_.erase(peer);
    for (auto next = streams_.lower_bound({id, StreamId{}});
         next != streams_.end() && next->first.first == id;)
        on_reset(next++, down.reason, now);
    if (is_last) kad_.on_peer_gone(peer, now);
}

Taken KadService::on_opened(StreamKey key, StreamOpened const& opened, kad::Now now) {
    if (opened.direction == Direction::outbound) {
        auto const stream = streams_.find(key);
        if (stream == streams_.end()) return Taken::no;
        stream->second.state = Stream::State::open;
        stream->second.used = now.instant;
        write(stream);
        // Nothing comes back: agreed and written is as much as can be known.
        if (stream->second.expects == kad::ExpectsResponse::no) finish_response(stream, {}, now);
        return Taken::yes;
    }
    if (opened.protocol != protocol_) return Taken::no;
    auto const connection = connections_.find(key.first);
    if (mode_ == kad::Mode::client || connection == connections_.end() ||
        inbound_count_ >= kad_streams_max ||
        connection->second.inbound_count >= kad_streams_per_connection_max) {
        host_.reset(key.first, key.second);
        return Taken::yes;
    }
    ++inbound_count_;
    ++connection->second.inbound_count;
    connection->second.used = now.instant;
    streams_[key].used = now.instant;
    return Taken::yes;
}

void KadService::on_data(Streams::iterator stream, Bytes const& bytes, kad::Now now) {
    auto const key = stream->first;
    host_.consumed(key.first, key.second, bytes.size());
    if (stream->second.role == Stream::Role::outbound && !stream->second.request) {
        host_.reset(key.first, key.second);  // one answer was asked for, and it is here
        return drop(stream);
    }
    ByteView rest = bytes;
    while (!rest.empty()) {
        auto const message = stream->second.reader.next(rest);
        if (!message) {
            host_.reset(key.first, key.second);
            return on_reset(stream, message.error(), now);
        }
        if (!*message) return;
        if (stream->second.role == Stream::Role::outbound)
            return finish_response(stream, **message, now);
        answer(stream, **message, now);
        if (!streams_.contains(key)) return;
    }
}

void KadService::on_ended(Streams::iterator stream, kad::Now now) {
    auto& [request, role, expects, state, reader, unsent, used] = stream->second;
    if (role == Stream::Role::outbound) {
        if (request)
            return on_reset(stream, {.code = Code::unavailable, .message = "ended unanswered"},
                            now);
        return drop(stream);
    }
    state = Stream::State::closing;
    write(stream);
}

void KadService::on_reset(Streams::iterator stream, Error const& reason, kad::Now now) {
    auto const request = stream->second.request;
    drop(stream);
    if (request) kad_.on_request_failed(*request, reason, now);
}

void KadService::drop(Streams::iterator stream) {
    auto const& [key, what] = *stream;
    if (what.request) requests_.erase(*what.request);
    if (what.role == Stream::Role::inbound) {
        --inbound_count_;
        auto const connection = connections_.find(key.first);
        if (connection != connections_.end()) --connection->second.inbound_count;
    }
    streams_.erase(stream);
}

// ---- the server's half ----

void KadService::answer(Streams::iterator stream, Bytes const& message, kad::Now now) {
    auto const key = stream->first;
    auto const answered = kad_.on_request(connections_.at(key.first).peer, message, now);
    if (answered && *answered) wire::append_frame(stream->second.unsent, **answered);
    if (!answered || stream->second.unsent.size() > kad_unsent_bytes_max) {
        host_.reset(key.first, key.second);
        return drop(stream);
    }
    write(stream);
}

void KadService::write(Streams::iterator stream) {
    auto const [id, stream_id] = stream->first;
    auto& unsent = stream->second.unsent;
    if (!unsent.empty()) {
        auto const taken = host_.write(id, stream_id, unsent);
        unsent.erase(unsent.begin(), unsent.begin() + static_cast<std::ptrdiff_t>(taken));
    }
    if (!unsent.empty() || stream->second.state != Stream::State::closing) return;
    host_.close_write(id, stream_id);
    // The other half of an inbound stream is closed already.
    if (stream->second.role == Stream::Role::inbound) drop(stream);
}

// ---- the client's half ----

std::optional<ConnectionId> KadService::connection_to(PeerId const& peer) const {
    auto const found = by_peer_.find(peer);
    if (found == by_peer_.end()) return std::nullopt;
    return *found->second.rbegin();  // the newest
}

void KadService::request(kad::SendRequest request, kad::Now now) {
    if (auto const id = connection_to(request.peer)) return send(*id, std::move(request), now);
    if (dials_allowed_ == KadDials::yes) return dial(std::move(request), now);
    kad_.on_request_failed(request.id,
                           {.code = Code::unavailable, .message = "there is no link to it"}, now);
}

void KadService::dial(kad::SendRequest request, kad::Now now) {
    auto const known = dials_.find(request.peer);
    if (known != dials_.end()) return known->second.waiting.push_back(std::move(request));
    auto const id = request.id;
    auto const peer = request.peer;
    if (dials_.size() >= kad_dials_max)
        return kad_.on_request_failed(
            id, {.code = Code::too_large, .message = "too many dials at once"}, now);
    Dial dial{.waiting = {}, .addresses = request.addresses, .id = {}};
    std::ranges::reverse(dial.addresses);
    dial.waiting.push_back(std::move(request));
    auto& placed = dials_.emplace(peer, std::move(dial)).first->second;
    if (dial_next(placed, now)) return;
    dials_.erase(peer);
    kad_.on_request_failed(id, {.code = Code::unavailable, .message = "no address to dial"}, now);
}

// False: no address is left that can be dialled.
bool KadService::dial_next(Dial& dial, kad::Now now) {
    while (!dial.addresses.empty()) {
        auto const endpoint = dial.addresses.back().tcp_endpoint();
        dial.addresses.pop_back();
        if (!endpoint || dial.waiting.empty()) continue;
        auto const peer = dial.waiting.front().peer;
        auto const id = host_.dial({.ip = endpoint->ip, .port = endpoint->port}, peer, now.instant);
        if (!id) return false;
        dial.id = *id;
        dialling_.emplace(*id, peer);
        return true;
    }
    return false;
}

void KadService::send(ConnectionId id, kad::SendRequest request, kad::Now now) {
    auto const stream_id = host_.open_stream(id, protocol_, now.instant);
    if (!stream_id) return kad_.on_request_failed(request.id, stream_id.error(), now);
    connections_.at(id).used = now.instant;
    StreamKey const key{id, *stream_id};
    auto const stream = streams_
                            .insert_or_assign(key, Stream{.request = request.id,
                                                          .role = Stream::Role::outbound,
                                                          .expects = request.expects,
                                                          .state = Stream::State::proposed,
                                                          .used = now.instant})
                            .first;
    requests_.emplace(request.id, key);
    wire::append_frame(stream->second.unsent, request.bytes);
    write(stream);
}

void KadService::finish_response(Streams::iterator stream, Bytes const& message, kad::Now now) {
    auto const request = *stream->second.request;
    requests_.erase(request);
    stream->second.request.reset();
    stream->second.state = Stream::State::closing;
    write(stream);
    kad_.on_response(request, message, now);
}

void KadService::cancel(kad::RequestId id) {
    if (auto const request = requests_.find(id); request != requests_.end()) {
        auto const key = request->second;
        host_.reset(key.first, key.second);
        return drop(streams_.find(key));
    }
    for (auto& [peer, dial] : dials_)
        std::erase_if(dial.waiting, [id](auto const& request) { return request.id == id; });
    auto const idle = std::ranges::find_if(
        dials_, [](auto const& entry) { return entry.second.waiting.empty(); });
    if (idle == dials_.end()) return;
    auto const dialled = idle->second.id;
    dialling_.erase(dialled);
    dials_.erase(idle);
    host_.disconnect(dialled, {.code = Code::cancelled, .message = "not needed any more"});
}

// ---- the owner ----

void KadService::on_identified(ConnectionId id, std::vector<wire::Multiaddr> listen_addresses,
                               kad::ServesKad serves, kad::Now now) {
    auto const connection = connections_.find(id);
    if (connection == connections_.end()) return;
    auto const& [peer, remote, owner, used, inbound_count] = connection->second;
    std::optional<wire::Multiaddr> from;
    if (auto address = wire::Multiaddr::tcp(remote.ip, remote.port)) from = std::move(*address);
    kad_.on_peer_ready({.peer = {.id = peer, .addresses = std::move(listen_addresses)},
                        .remote = std::move(from),
                        .serves = serves},
                       now);
    pump(now);
}

void KadService::keep(ConnectionId id) {
    auto const connection = connections_.find(id);
    if (connection != connections_.end()) connection->second.owner = Connection::Owner::others;
}

void KadService::pump(kad::Now now) {
    while (auto output = kad_.poll_output()) {
        if (auto* const sent = std::get_if<kad::SendRequest>(&*output))
            request(std::move(*sent), now);
        else if (auto const* const cancelled = std::get_if<kad::CancelRequest>(&*output))
            cancel(cancelled->id);
        else if (auto* const finished = std::get_if<kad::QueryFinished>(&*output))
            events_.push_back(std::move(*finished));
        else if (events_.size() >= kad_events_max)
            continue;  // nobody reads them
        else if (auto* const republished = std::get_if<kad::Republished>(&*output))
            events_.push_back(std::move(*republished));
        else if (auto* const bad = std::get_if<kad::BadRecord>(&*output))
            events_.push_back(std::move(*bad));
    }
}

std::optional<KadEvent> KadService::poll_event() {
    if (events_.empty()) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
}

void KadService::on_deadline(kad::Now now) {
    if (kad_.deadline() && *kad_.deadline() <= now.instant) kad_.on_deadline(now);
    for (auto next = streams_.begin(); next != streams_.end();) {
        auto const stream = next++;
        if (now.instant < stream->second.used + kad_stream_idle_max) continue;
        host_.reset(stream->first.first, stream->first.second);
        on_reset(stream, {.code = Code::timeout, .message = "nothing happened"}, now);
    }
    std::vector<ConnectionId> idle;
    for (auto const& [id, connection] : connections_)
        if (connection.owner == Connection::Owner::service &&
            connection.used + kad_connection_idle_max <= now.instant)
            idle.push_back(id);
    for (auto const id : idle) host_.disconnect(id, {.code = Code::cancelled, .message = "idle"});
    pump(now);
}

std::optional<Instant> KadService::deadline() const {
    auto due = kad_.deadline();
    auto const at = [&due](Instant instant) { due = due ? std::min(*due, instant) : instant; };
    for (auto const& [key, stream] : streams_) at(stream.used + kad_stream_idle_max);
    for (auto const& [id, connection] : connections_)
        if (connection.owner == Connection::Owner::service)
            at(connection.used + kad_connection_idle_max);
    return due;
}

}  // namespace kith::node
