#include "node/services/gossip_service.h"

#include <array>

#include "base/check.h"

namespace kith::node {

using base::ByteView;
using base::Code;
using base::Error;
using base::Instant;
using base::Result;
using base::Status;
using ports::ConnectionId;
namespace gossip = proto::gossip;

namespace {

// Proposed in this order.
constexpr std::array<std::string_view, 3> proposals = {gossip::protocol_v1_2, gossip::protocol_v1_1,
                                                       gossip::protocol_v1_0};

template <class... Ts>
struct Overloaded : Ts... {
    using Ts::operator()...;
};

}  // namespace

GossipService::GossipService(Host& host, gossip::Options options, Instant now)
    : host_(host), router_(std::move(options), now) {}

std::vector<std::string> GossipService::protocols() {
    return {proposals.begin(), proposals.end()};
}

GossipService::Sessions::iterator GossipService::session_of(ConnectionId connection) {
    auto const found = connections_.find(connection);
    return found == connections_.end() ? sessions_.end() : sessions_.find(found->second.peer);
}

// ---- connections ----

void GossipService::admit(ConnectionId connection, PeerConnected const& peer, Instant now) {
    auto const& id = peer.peer.peer();
    connections_.insert_or_assign(
        connection,
        Connection{.peer = id,
                   .direction = peer.direction == Direction::outbound ? gossip::Direction::outbound
                                                                      : gossip::Direction::inbound,
                   .ip = peer.remote.ip});
    auto const [session, is_new] = sessions_.try_emplace(id, Session{.connection = connection});
    if (is_new) open(session, now);
    pump(now);
}

void GossipService::link_down(ConnectionId connection, Instant now) {
    auto const session = session_of(connection);
    connections_.erase(connection);
    if (session == sessions_.end()) return;
    if (session->second.inbound && session->second.inbound->connection == connection)
        session->second.inbound.reset();
    if (session->second.connection != connection) return;
    router_.on_peer_removed(session->first, now);
    for (auto const& [other, known] : connections_) {
        if (known.peer != session->first) continue;
        auto inbound = std::move(session->second.inbound);
        session->second = Session{.connection = other, .inbound = std::move(inbound)};
        return open(session, now);
    }
    sessions_.erase(session);
}

// ---- our stream ----

void GossipService::open(Sessions::iterator session, Instant now) {
    auto& state = session->second;
    state.state = Session::State::opening;
    auto const stream =
        host_.open_stream(state.connection, std::string(proposals[state.protocol]), now);
    if (!stream) {
        state.state = Session::State::silent;
        return;
    }
    state.outbound = *stream;
}

void GossipService::agreed(Sessions::iterator session, std::string_view protocol, Instant now) {
    auto const& known = connections_.at(session->second.connection);
    auto const version = gossip::version_of(protocol);
    KITH_ASSERT(version);  // it is the one we proposed
    auto const added =
        router_.on_peer_added(session->first, *version, known.direction, known.ip, now);
    if (!added) return fail(session, added.error(), now);
    session->second.state = Session::State::speaking;
    read(session, now);  // what it said meanwhile
}

void GossipService::outbound_reset(Sessions::iterator session, Error const& reason, Instant now) {
    auto& state = session->second;
    bool const spoke = state.state == Session::State::speaking;
    state.outbound.reset();
    state.unsent.clear();
    if (spoke) router_.on_peer_removed(session->first, now);
    if (!spoke && reason.code == Code::unsupported && state.protocol + 1 < proposals.size()) {
        ++state.protocol;
        return open(session, now);
    }
    if (spoke && state.reopened < gossip_reopen_max) {
        ++state.reopened;
        return open(session, now);
    }
    state.state = Session::State::silent;
    // Whoever does not listen is not listened to: what it says could not be answered.
    if (state.inbound) host_.reset(state.inbound->connection, state.inbound->stream);
    state.inbound.reset();
}

void GossipService::write(Sessions::iterator session) {
    auto& state = session->second;
    if (state.state != Session::State::speaking) return;
    while (true) {
        if (state.unsent.empty()) {
            auto const rpc = router_.poll_transmit(session->first);
            if (!rpc) return;
            wire::append_frame(state.unsent, *rpc);
        }
        auto const taken = host_.write(state.connection, *state.outbound, state.unsent);
        state.unsent.erase(state.unsent.begin(),
                           state.unsent.begin() + static_cast<std::ptrdiff_t>(taken));
        if (!state.unsent.empty()) return;  // StreamWritable follows
    }
}

// ---- the peer's stream ----

void GossipService::inbound_opened(Sessions::iterator session, ConnectionId connection,
                                   StreamId stream) {
    auto& state = session->second;
    if (state.state == Session::State::silent) return host_.reset(connection, stream);
    if (state.inbound) host_.reset(state.inbound->connection, state.inbound->stream);
    state.inbound.emplace(Inbound{.connection = connection, .stream = stream, .held = {}});
}

void GossipService::read(Sessions::iterator session, Instant now) {
    auto& state = session->second;
    if (state.state != Session::State::speaking || !state.inbound) return;
    auto& inbound = *state.inbound;
    host_.consumed(inbound.connection, inbound.stream, inbound.held.size());
    auto const bytes = std::exchange(inbound.held, {});
    for (ByteView rest = bytes; !rest.empty();) {
        auto const rpc = inbound.frames.next(rest);
        if (!rpc) return fail(session, rpc.error(), now);
        if (!*rpc) return;
        if (auto const status = router_.on_rpc(session->first, **rpc, now); !status)
            return fail(session, status.error(), now);
    }
}

void GossipService::fail(Sessions::iterator session, Error reason, Instant now) {
    auto& state = session->second;
    router_.on_peer_removed(session->first, now);
    if (state.outbound) host_.reset(state.connection, *state.outbound);
    if (state.inbound) host_.reset(state.inbound->connection, state.inbound->stream);
    events_.push_back(GossipFault{
        .peer = session->first, .connection = state.connection, .reason = std::move(reason)});
    auto const connection = state.connection;
    state = Session{.connection = connection, .state = Session::State::silent};
}

// ---- events ----

Handled GossipService::on_event(HostEvent const& event, Instant now) {
    auto const connection = event.connection;
    auto const handled = std::visit(
        Overloaded{[](PeerConnected const&) { return Handled::no; },
                   [&](LinkDown const&) {
                       link_down(connection, now);
                       return Handled::no;
                   },
                   [&](auto const& stream) { return on_stream(connection, stream, now); }},
        event.what);
    pump(now);
    return handled;
}

Handled GossipService::on_stream(ConnectionId connection, StreamOpened const& opened, Instant now) {
    if (!gossip::version_of(opened.protocol)) return Handled::no;
    auto const session = session_of(connection);
    if (session == sessions_.end()) {
        host_.reset(connection, opened.id);  // not admitted
        return Handled::yes;
    }
    if (opened.direction == Direction::inbound)
        inbound_opened(session, connection, opened.id);
    else if (session->second.outbound == opened.id && session->second.connection == connection)
        agreed(session, opened.protocol, now);
    return Handled::yes;
}

Handled GossipService::on_stream(ConnectionId connection, StreamData const& data, Instant now) {
    auto const session = session_of(connection);
    if (session == sessions_.end()) return Handled::no;
    auto& state = session->second;
    if (state.inbound && state.inbound->connection == connection &&
        state.inbound->stream == data.id) {
        base::append(state.inbound->held, data.bytes);
        read(session, now);
        return Handled::yes;
    }
    if (state.outbound != data.id || state.connection != connection) return Handled::no;
    host_.consumed(connection, data.id, data.bytes.size());  // nothing belongs there
    return Handled::yes;
}

Handled GossipService::on_stream(ConnectionId connection, StreamEnded const& ended, Instant) {
    auto const session = session_of(connection);
    if (session == sessions_.end()) return Handled::no;
    auto& state = session->second;
    if (state.inbound && state.inbound->connection == connection &&
        state.inbound->stream == ended.id) {
        host_.close_write(connection, ended.id);
        // What it said before its end is still read when our stream is agreed: keep it until then.
        if (state.state == Session::State::speaking) state.inbound.reset();
        return Handled::yes;
    }
    // On our stream the peer never writes: that it says so changes nothing.
    return state.outbound == ended.id && state.connection == connection ? Handled::yes
                                                                        : Handled::no;
}

Handled GossipService::on_stream(ConnectionId connection, StreamReset const& reset, Instant now) {
    auto const session = session_of(connection);
    if (session == sessions_.end()) return Handled::no;
    auto& state = session->second;
    if (state.inbound && state.inbound->connection == connection &&
        state.inbound->stream == reset.id) {
        state.inbound.reset();
        return Handled::yes;
    }
    if (state.outbound != reset.id || state.connection != connection) return Handled::no;
    outbound_reset(session, reset.reason, now);
    return Handled::yes;
}

Handled GossipService::on_stream(ConnectionId connection, StreamWritable const& writable, Instant) {
    auto const session = session_of(connection);
    if (session == sessions_.end() || session->second.outbound != writable.id ||
        session->second.connection != connection)
        return Handled::no;
    write(session);
    return Handled::yes;
}

void GossipService::pump(Instant now) {
    while (auto output = router_.poll_output()) {
        std::visit(
            Overloaded{[this](gossip::Deliver& message) { events_.push_back(std::move(message)); },
                       [this](gossip::Transmit const& ready) {
                           if (auto const session = sessions_.find(ready.peer);
                               session != sessions_.end())
                               write(session);
                       },
                       [this, now](gossip::PeerMisbehaved const& peer) {
                           auto const session = sessions_.find(peer.peer);
                           if (session == sessions_.end()) return;
                           bool const slow = peer.what == gossip::Misbehaviour::too_slow;
                           fail(session,
                                {.code = slow ? Code::timeout : Code::forbidden,
                                 .message = slow ? "gossip: the peer reads too slowly"
                                                 : "gossip: the peer's score is too low"},
                                now);
                       }},
            *output);
    }
}

std::optional<GossipEvent> GossipService::poll_event() {
    if (events_.empty()) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
}

// ---- the owner's calls ----

void GossipService::on_deadline(Instant now) {
    router_.on_deadline(now);
    pump(now);
}

Status GossipService::subscribe(std::string const& topic, Instant now) {
    auto status = router_.subscribe(topic, now);
    pump(now);
    return status;
}

void GossipService::unsubscribe(std::string const& topic, Instant now) {
    router_.unsubscribe(topic, now);
    pump(now);
}

Result<gossip::MessageId> GossipService::publish(std::string const& topic, ByteView data,
                                                 Instant now) {
    auto id = router_.publish(topic, data, now);
    pump(now);
    return id;
}

void GossipService::validated(gossip::MessageHandle handle, gossip::Verdict verdict, Instant now) {
    router_.validated(handle, verdict, now);
    pump(now);
}

}  // namespace kith::node
