#include <algorithm>
#include <ranges>

#include "base/check.h"
#include "crypto/x25519.h"
#include "node/link/host_connection.h"

namespace kith::node {

using base::ByteView;
using base::Code;
using base::Error;
using base::fail;
using base::Instant;
using base::Result;
using ports::ConnectionId;
using ports::SocketAddress;
namespace noise = proto::noise;

namespace {

Result<noise::PrivateKey> draw_key(ports::Rng& rng) {
    noise::PrivateKey key;
    KITH_TRY(rng.fill(key.mutable_view()));
    return key;
}

Result<noise::Credentials> make_credentials(identity::Identity const& identity, ports::Rng& rng) {
    auto static_key = KITH_TRY(draw_key(rng));
    auto const to_sign = noise::Credentials::to_sign(crypto::x25519_public_key(static_key));
    return noise::Credentials(std::move(static_key), identity.peer_id(),
                              identity.sign_operational(to_sign));
}

}  // namespace

Result<std::unique_ptr<Host>> Host::create(identity::Identity const& identity, ports::Rng& rng,
                                           HostOptions options) {
    // Not inside the new-expression: KITH_TRY returns, and GCC 12 then leaks what was allocated.
    auto credentials = KITH_TRY(make_credentials(identity, rng));
    return std::unique_ptr<Host>(new Host(std::move(credentials), rng, std::move(options)));
}

base::Status Host::prove(identity::Identity const& identity) {
    credentials_ = KITH_TRY(make_credentials(identity, rng_));
    return {};
}

Host::Host(noise::Credentials credentials, ports::Rng& rng, HostOptions options)
    : credentials_(std::move(credentials)), rng_(rng), options_(std::move(options)) {}
Host::~Host() = default;

Result<Link> Host::make_link(LinkOptions options, Instant now) {
    auto const ephemeral_key = KITH_TRY(draw_key(rng_));
    options.accepted_protocols = options_.accepted_protocols;
    options.early_muxer = options_.early_muxer;
    options.handshake_timeout = options_.limits.handshake_timeout;
    return Link(std::move(options), credentials_, ephemeral_key, now);
}

// ---- the owner's side ----

Result<ConnectionId> Host::dial(SocketAddress to, std::optional<identity::PeerId> expected,
                                Instant now, DialOptions options) {
    now_ = now;
    if (connections_.size() >= options_.limits.connections_max)
        return fail(Code::too_large, "too many connections");
    ConnectionId const id{next_dial_};
    next_dial_ += 2;
    auto& connection = connections_[id];
    connection.remote = to;
    connection.dialled = options;
    connection.expected = expected;
    connection.dial_deadline = now + options_.limits.dial_timeout;
    outputs_.push_back(ports::Dial{.id = id, .to = std::move(to), .from = options.from});
    return id;
}

Result<ConnectionId> Host::dial_relayed(identity::PeerId const& expected, Instant now) {
    now_ = now;
    if (connections_.size() >= options_.limits.connections_max)
        return fail(Code::too_large, "too many connections");
    ConnectionId const id{next_dial_};
    next_dial_ += 2;
    auto& connection = connections_[id];
    connection.path = Path::relayed;
    connection.expected = expected;
    connection.dial_deadline = now + options_.limits.dial_timeout;
    return id;
}

void Host::disconnect(ConnectionId id, Error const& reason) {
    auto const connection = connections_.find(id);
    if (connection != connections_.end()) take_down(connection, reason);
}

void Host::vouch(ConnectionId id) {
    auto const connection = connections_.find(id);
    if (connection != connections_.end()) connection->second.is_vouched = true;
}

void Host::set_accepted_protocols(ConnectionId id, std::vector<std::string> protocols) {
    if (auto* const link = link_of(id)) link->set_accepted_protocols(std::move(protocols));
}

Result<StreamId> Host::open_stream(ConnectionId id, std::string protocol, Instant now) {
    auto* const link = link_of(id);
    if (!link) return fail(Code::not_found, "no such connection");
    touch(connections_.find(id));
    return link->open_stream(std::move(protocol), now);
}

std::size_t Host::write(ConnectionId id, StreamId stream, ByteView bytes) {
    auto* const link = link_of(id);
    if (!link) return 0;
    touch(connections_.find(id));
    return link->write(stream, bytes);
}

void Host::close_write(ConnectionId id, StreamId stream) {
    auto* const link = link_of(id);
    if (!link) return;
    touch(connections_.find(id));
    link->close_write(stream);
}

void Host::reset(ConnectionId id, StreamId stream) {
    auto* const link = link_of(id);
    if (!link) return;
    touch(connections_.find(id));
    link->reset(stream);
}

void Host::consumed(ConnectionId id, StreamId stream, std::size_t size) {
    auto* const link = link_of(id);
    if (!link) return;
    touch(connections_.find(id));
    link->consumed(stream, size);
}

// Not where the link came up: that may be inside of a connection which carries this one.
void Host::end_surplus() {
    for (; !proved_inbound_.empty(); proved_inbound_.pop_front()) {
        auto const is_its = [&peer = proved_inbound_.front()](auto const& entry) {
            return entry.second.direction == Direction::inbound && entry.second.proved == peer;
        };
        auto its = connections_ | std::views::filter(is_its);
        auto const count = static_cast<std::size_t>(std::ranges::distance(its));
        if (count <= options_.limits.inbound_per_peer_max) continue;
        auto const oldest = std::ranges::min_element(
            its, {}, [](auto const& entry) { return entry.second.proved_nth; });
        take_down(oldest.base(), {.code = Code::too_large,
                                  .message = "the peer has newer connections to this machine"});
    }
}

std::optional<HostEvent> Host::poll_event() {
    end_surplus();
    if (events_.empty()) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
}

std::size_t Host::links_count() const {
    return connections_.size();
}

std::optional<base::Duration> Host::round_trip(ConnectionId id) const {
    auto const connection = connections_.find(id);
    if (connection == connections_.end() || !connection->second.link) return std::nullopt;
    return connection->second.link->round_trip();
}

Link* Host::link_of(ConnectionId id) {
    auto const connection = connections_.find(id);
    if (connection == connections_.end() || !connection->second.link) return nullptr;
    return &*connection->second.link;
}

// ---- the driver's side ----

// Connections of strangers are counted apart, proved or not: a flood of half-done handshakes, or of
// throwaway keys, from one address costs that address its own share only. From many addresses it
// can still fill the strangers' places, and a member that dials is a stranger until it has proved
// itself; what this node dials itself has places left.
bool Host::has_room_for(SocketAddress const& remote) const {
    if (connections_.size() >= options_.limits.connections_max) return false;
    std::size_t pending = 0, strangers = 0, from_same_ip = 0;
    for (auto const& [id, connection] : connections_) {
        if (connection.direction != Direction::inbound || connection.is_vouched) continue;
        ++strangers;
        if (!connection.link->is_up()) ++pending;
        if (connection.remote.ip == remote.ip) ++from_same_ip;
    }
    bool const has_room = strangers < options_.limits.strangers_max &&
                          from_same_ip < options_.limits.pending_per_ip_max;
    return pending < options_.limits.pending_inbound_max && has_room;
}

void Host::on_accepted(ConnectionId id, SocketAddress remote, Instant now) {
    now_ = now;
    KITH_ASSERT(!connections_.contains(id));
    if (!has_room_for(remote)) {
        outputs_.push_back(ports::Close{id});
        return;
    }
    auto const connection = connections_.try_emplace(id).first;
    connection->second.remote = std::move(remote);
    connection->second.direction = Direction::inbound;
    start(connection, LinkRole::listener, now);
}

void Host::on_connected(ConnectionId id, Instant now) {
    now_ = now;
    auto const connection = connections_.find(id);
    if (connection == connections_.end() || connection->second.link) return;
    auto const role = connection->second.dialled.role;
    if (role == LinkRole::listener) connection->second.direction = Direction::inbound;
    start(connection, role, now);
}

void Host::on_bytes(ConnectionId id, ByteView bytes, Instant now) {
    now_ = now;
    auto const connection = connections_.find(id);
    if (connection == connections_.end() || !connection->second.link) return;
    auto const status = connection->second.link->feed(bytes, now);
    touch(connection);
    drain(connection, now);
    if (!status) take_down(connection, status.error());
}

void Host::on_closed(ConnectionId id, Error reason, Instant now) {
    now_ = now;
    closing_.erase(id);
    auto const connection = connections_.find(id);
    if (connection == connections_.end()) return;
    auto down = describe_down(connection->second, reason);
    end_carried_by(id, reason);
    connections_.erase(connection);
    events_.push_back({.connection = id, .what = std::move(down)});
}

void Host::on_deadline(Instant now) {
    now_ = now;
    auto const is_due = [now](Connection const& connection) {
        auto const link_due = connection.link ? connection.link->deadline() : std::nullopt;
        return (connection.dial_deadline && *connection.dial_deadline <= now) ||
               (link_due && *link_due <= now);
    };
    std::vector<ConnectionId> ids;  // one that goes down may take others with it
    for (auto const& [id, connection] : connections_)
        if (is_due(connection)) ids.push_back(id);
    for (auto const id : ids) {
        auto const connection = connections_.find(id);
        if (connection == connections_.end()) continue;
        auto& link = connection->second.link;
        auto const dial_deadline = connection->second.dial_deadline;
        if (dial_deadline && *dial_deadline <= now) {
            take_down(connection, {.code = Code::timeout, .message = "dialling took too long"});
            continue;
        }
        if (!link || !is_due(connection->second)) continue;
        auto const status = link->on_deadline(now);
        touch(connection);
        drain(connection, now);
        if (!status) take_down(connection, status.error());
    }
}

bool Host::poll_transmit(ConnectionId id, base::Bytes& out, Instant now) {
    if (auto const closing = closing_.find(id); closing != closing_.end()) {
        if (closing->second.poll_transmit(out, now)) return true;
        closing_.erase(closing);
        return false;
    }
    auto const connection = connections_.find(id);
    if (connection == connections_.end() || !connection->second.link) return false;
    now_ = now;
    pump_carried(id, now);
    bool const any = connection->second.link->poll_transmit(out, now);
    drain(connection, now);
    return any;
}

std::optional<ports::NetworkOutput> Host::poll_output() {
    if (outputs_.empty()) return std::nullopt;
    auto output = std::move(outputs_.front());
    outputs_.pop_front();
    if (auto const* transmit = std::get_if<ports::Transmit>(&output)) {
        auto const connection = connections_.find(transmit->id);
        if (connection != connections_.end()) connection->second.transmit_queued = false;
    }
    return output;
}

std::optional<Instant> Host::deadline() const {
    std::optional<Instant> first;
    auto const consider = [&first](std::optional<Instant> due) {
        if (due && (!first || *due < *first)) first = due;
    };
    for (auto const& [id, connection] : connections_) {
        consider(connection.dial_deadline);
        if (connection.link) consider(connection.link->deadline());
    }
    return first;
}

// ---- inside ----

void Host::start(Connections::iterator connection, LinkRole role, Instant now) {
    auto link = make_link(
        {.role = role, .expected_peer = connection->second.expected, .accepted_protocols = {}},
        now);
    if (!link) return take_down(connection, link.error());
    connection->second.link.emplace(std::move(*link));
    touch(connection);
}

void Host::drain(Connections::iterator connection, Instant now) {
    while (auto event = connection->second.link->poll_event())
        if (!on_carried(connection, *event, now)) on_link_event(connection, std::move(*event));
}

void Host::on_link_event(Connections::iterator connection, LinkEvent&& event) {
    auto& state = connection->second;
    HostEvent forwarded{.connection = connection->first, .what = StreamEnded{}};  // replaced below
    if (auto* const up = std::get_if<LinkUp>(&event)) {
        state.dial_deadline.reset();
        state.proved = up->peer.peer();
        state.proved_nth = ++proved_count_;
        if (state.direction == Direction::inbound) proved_inbound_.push_back(*state.proved);
        forwarded.what = PeerConnected{.peer = up->peer,
                                       .remote = state.remote,
                                       .direction = state.direction,
                                       .path = state.path,
                                       .from = state.dialled.from};
    } else {
        std::visit(
            [&forwarded](auto& one) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(one)>, LinkUp>)
                    forwarded.what = std::move(one);
            },
            event);
    }
    events_.push_back(std::move(forwarded));
}

void Host::take_down(Connections::iterator connection, Error const& reason) {
    auto const id = connection->first;
    auto down = describe_down(connection->second, reason);
    if (connection->second.path == Path::relayed) {
        if (connection->second.carrier) {
            if (connection->second.link) pump_into(connection->second, now_);  // last words
            end_carrier(*connection->second.carrier);
        }
        connections_.erase(connection);
        return events_.push_back({.connection = id, .what = std::move(down)});
    }
    end_carried_by(id, reason);
    if (connection->second.link) {
        if (closing_.size() == closing_links_max) closing_.erase(closing_.begin());
        closing_.emplace(id, std::move(*connection->second.link));
        outputs_.push_back(ports::Transmit{id});
    }
    outputs_.push_back(ports::Close{id});
    connections_.erase(connection);
    events_.push_back({.connection = id, .what = std::move(down)});
}

LinkDown Host::describe_down(Connection const& connection, Error reason) {
    auto const stage = connection.proved ? trust::LinkStage::proved
                       : connection.link ? trust::LinkStage::handshake
                                         : trust::LinkStage::connecting;
    return {.reason = std::move(reason),
            .stage = stage,
            .remote = connection.remote,
            .direction = connection.direction,
            .expected = connection.expected};
}

void Host::touch(Connections::iterator connection) {
    if (connection == connections_.end()) return;
    if (auto const& carrier = connection->second.carrier)
        return touch(connections_.find(carrier->connection));
    if (connection->second.path == Path::relayed || connection->second.transmit_queued) return;
    connection->second.transmit_queued = true;
    outputs_.push_back(ports::Transmit{connection->first});
}

}  // namespace kith::node
