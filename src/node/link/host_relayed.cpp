// node/link/host_relayed.cpp: connections of Host that run over a stream of another one.
#include "node/link/host_connection.h"

namespace kith::node {

using base::ByteView;
using base::Code;
using base::Error;
using base::fail;
using base::Instant;
using base::Result;
using ports::ConnectionId;

namespace {

// The stream that an event is about; nullopt: none.
std::optional<StreamId> stream_of(LinkEvent const& event) {
    return std::visit(
        [](auto const& one) -> std::optional<StreamId> {
            if constexpr (requires { one.id; }) return one.id;
            return std::nullopt;
        },
        event);
}

// The same for one that stands in the queue of the host already.
std::optional<LinkEvent> as_link_event(HostEvent const& event) {
    return std::visit(
        [](auto const& one) -> std::optional<LinkEvent> {
            if constexpr (requires {
                              LinkEvent(one).index();
                              one.id;
                          })
                return LinkEvent(one);
            return std::nullopt;
        },
        event.what);
}

}  // namespace

void Host::carry(ConnectionId id, Carrier carrier, ByteView first, Instant now) {
    now_ = now;
    auto const connection = connections_.find(id);
    bool const waits = connection != connections_.end() && !connection->second.link &&
                       connection->second.path == Path::relayed;
    if (!waits) return reset(carrier.connection, carrier.stream);
    if (auto const fits = check_carrier(carrier); !fits) {
        reset(carrier.connection, carrier.stream);
        return take_down(connection, fits.error());
    }
    attach(connection, carrier, LinkRole::dialer, first, now);
}

Result<ConnectionId> Host::accept_relayed(Carrier carrier, ByteView first, Instant now) {
    now_ = now;
    auto const fits = [&]() -> base::Status {
        KITH_TRY(check_carrier(carrier));
        if (has_room_for(connections_.at(carrier.connection).remote)) return {};
        return fail(Code::too_large, "too many connections");
    }();
    if (!fits) {
        reset(carrier.connection, carrier.stream);
        return std::unexpected(fits.error());
    }
    ConnectionId const id{next_dial_};
    next_dial_ += 2;
    auto const connection = connections_.try_emplace(id).first;
    connection->second.direction = Direction::inbound;
    connection->second.path = Path::relayed;
    attach(connection, carrier, LinkRole::listener, first, now);
    return id;
}

base::Status Host::check_carrier(Carrier const& carrier) const {
    auto const below = connections_.find(carrier.connection);
    if (below == connections_.end() || !below->second.link || !below->second.link->is_up())
        return fail(Code::not_found, "the connection to the relay is gone");
    if (below->second.path == Path::relayed)
        return fail(Code::conflict, "a relayed connection does not carry another");
    if (carried_.contains(carrier)) return fail(Code::conflict, "the stream is in use");
    return {};
}

void Host::attach(Connections::iterator connection, Carrier const& carrier, LinkRole role,
                  ByteView first, Instant now) {
    auto const below = connections_.find(carrier.connection);
    connection->second.carrier = carrier;
    connection->second.remote = below->second.remote;
    carried_.emplace(carrier, connection->first);
    auto const id = connection->first;
    start(connection, role, now);
    below->second.link->consumed(carrier.stream, first.size());
    feed_carried(carrier, first, now);
    // What came on the stream meanwhile and stands in the queue belongs to the connection too.
    std::vector<LinkEvent> queued;
    std::erase_if(events_, [&](HostEvent const& event) {
        auto one = event.connection == carrier.connection ? as_link_event(event) : std::nullopt;
        bool const taken = one && stream_of(*one) == carrier.stream;
        if (taken) queued.push_back(std::move(*one));
        return taken;
    });
    for (auto const& event : queued) (void)on_carried(below, event, now);
    if (auto const still = connections_.find(id); still != connections_.end()) touch(still);
}

// True: the event was about a stream that carries a connection, and is dealt with.
bool Host::on_carried(Connections::iterator below, LinkEvent const& event, Instant now) {
    auto const stream = stream_of(event);
    if (!stream) return false;
    Carrier const carrier{below->first, *stream};
    auto const above = carried_.find(carrier);
    bool const closing = std::ranges::find(closing_streams_, carrier) != closing_streams_.end();
    if (above == carried_.end() && !closing) return false;
    if (auto const* data = std::get_if<StreamData>(&event)) {
        feed_carried(carrier, data->bytes, now);
        below->second.link->consumed(data->id, data->bytes.size());
        touch(below);
        return true;
    }
    if (std::holds_alternative<StreamWritable>(event)) {
        touch(below);
        return true;
    }
    bool const over =
        std::holds_alternative<StreamEnded>(event) || std::holds_alternative<StreamReset>(event);
    if (!over) return true;
    if (above != carried_.end()) {
        auto const connection = connections_.find(above->second);
        take_down(connection, {Code::unavailable, "the relayed connection ended"});
    }
    std::erase(closing_streams_, carrier);
    return true;
}

void Host::feed_carried(Carrier const& carrier, ByteView bytes, Instant now) {
    auto const above = carried_.find(carrier);
    if (above == carried_.end() || bytes.empty()) return;
    auto const connection = connections_.find(above->second);
    auto const status = connection->second.link->feed(bytes, now);
    touch(connection);
    drain(connection, now);
    if (!status) take_down(connection, status.error());
}

void Host::pump_carried(ConnectionId below, Instant now) {
    std::vector<ConnectionId> above;
    for (auto one = carried_.lower_bound({below, StreamId{0}});
         one != carried_.end() && one->first.connection == below; ++one)
        above.push_back(one->second);
    for (auto const id : above) {
        auto const connection = connections_.find(id);
        if (connection == connections_.end() || !connection->second.link) continue;
        pump_into(connection->second, now);
        drain(connection, now);
    }
}

// Its bytes go into the stream that carries it, as far as that takes them: so a slow relay slows
// what runs over it.
void Host::pump_into(Connection& connection, Instant now) {
    auto* const below = link_of(connection.carrier->connection);
    if (below == nullptr) return;
    auto& unsent = connection.unsent;
    while (!unsent.empty() || connection.link->poll_transmit(unsent, now)) {
        auto const taken = below->write(connection.carrier->stream, unsent);
        unsent.erase(unsent.begin(), unsent.begin() + static_cast<std::ptrdiff_t>(taken));
        if (!unsent.empty()) return;  // StreamWritable follows
    }
    unsent = base::Bytes();  // idle connections are many
}

// The stream is closed behind what was written; what the other end still says is dropped.
void Host::end_carrier(Carrier const& carrier) {
    carried_.erase(carrier);
    auto const below = connections_.find(carrier.connection);
    if (below == connections_.end() || !below->second.link) return;
    below->second.link->close_write(carrier.stream);
    touch(below);
    closing_streams_.push_back(carrier);
    if (closing_streams_.size() <= closing_streams_max) return;
    auto const oldest = closing_streams_.front();
    closing_streams_.pop_front();
    reset(oldest.connection, oldest.stream);
}

void Host::end_carried_by(ConnectionId below, Error const& reason) {
    std::erase_if(closing_streams_,
                  [below](Carrier const& one) { return one.connection == below; });
    for (auto one = carried_.lower_bound({below, StreamId{0}});
         one != carried_.end() && one->first.connection == below;) {
        auto const id = one->second;
        one = carried_.erase(one);
        auto down = describe_down(connections_.at(id),
                                  {Code::unavailable, "the relay is gone: " + reason.message});
        connections_.erase(id);
        events_.push_back({.connection = id, .what = std::move(down)});
    }
}

}  // namespace kith::node
