#include "sim/network.h"

#include <algorithm>
#include <utility>

#include "sim/disk.h"

namespace kith::sim {

using base::Code;

namespace {
constexpr std::uint16_t dialler_port = 40'000;
constexpr base::Duration retry_max = std::chrono::seconds(4);
}  // namespace

// ---- machines come and go

Network::Index Network::index_of(Address const& at) {
    auto const [found, is_new] = indices_.try_emplace(at, endpoints_.size());
    if (is_new) endpoints_.push_back({.at = at});
    return found->second;
}

void Network::attach(Address const& at, ports::NetworkCore& core, std::function<void()> pump,
                     LocalTime const& local) {
    auto const who = index_of(at);
    auto& endpoint = endpoints_[who];
    endpoint.core = &core;
    endpoint.pump = std::move(pump);
    endpoint.local = local;
    endpoint.has_power = true;
    touched_.insert(who);
}

void Network::detach(Address const& at, base::Instant now) {
    auto const who = index_of(at);
    auto& endpoint = endpoints_[who];
    auto const connections = std::exchange(endpoint.connections, {});
    for (auto const& [id, where] : connections) {
        auto const [number, side] = where;
        wires_.at(number).sides[side].is_open = false;
        send(number, 1 - side, Segment::Kind::reset, {}, now);
        forget_if_over(number);
    }
    endpoint.core = nullptr;
    endpoint.deadline.reset();
    touched_.erase(who);
}

void Network::power_off(Address const& at) {
    die(index_of(at));
}

void Network::die(Index who) {
    auto& endpoint = endpoints_[who];
    auto const connections = std::exchange(endpoint.connections, {});
    for (auto const& [id, where] : connections) {
        wires_.at(where.first).sides[where.second].is_open = false;
        forget_if_over(where.first);
    }
    endpoint.core = nullptr;
    endpoint.deadline.reset();
    endpoint.has_power = false;
    touched_.erase(who);
}

// Every call into a core goes through here: the machine may lose its power in it.
template <typename Call>
void Network::call(Index who, Call const& core_call) {
    touched_.insert(who);
    told_.insert(who);
    try {
        core_call(*endpoints_[who].core);
    } catch (Crash const&) {
        crashed_.push_back(endpoints_[who].at);
        die(who);
    }
}

// ---- faults

void Network::cut(Address const& from, Address const& to) {
    cuts_.emplace(index_of(from), index_of(to));
}

void Network::heal() {
    cuts_.clear();
}

void Network::unplug(Address const& at) {
    endpoints_[index_of(at)].is_unplugged = true;
}

void Network::plug(Address const& at) {
    endpoints_[index_of(at)].is_unplugged = false;
}

void Network::move(Address const& from, Address const& to, base::Instant now) {
    auto const who = index_of(from);
    auto const connections = endpoints_[who].connections;
    for (auto const& [id, where] : connections) {
        for (auto const side : {where.second, 1 - where.second}) {
            auto const wire = wires_.find(where.first);
            if (wire == wires_.end()) break;
            lose(wire->second.sides[side], {Code::unavailable, "network is unreachable"}, now);
        }
        forget_if_over(where.first);
    }
    indices_.erase(from);
    indices_[to] = who;
    endpoints_[who].at = to;
}

void Network::hide(Address const& at, Router router) {
    endpoints_[index_of(at)].router = router;
}

bool Network::reaches(Index from, Index to) const {
    return endpoints_[to].has_power && !endpoints_[from].is_unplugged &&
           !endpoints_[to].is_unplugged && !cuts_.contains({from, to});
}

bool Network::break_one(std::uint64_t which, Break how, base::Instant now) {
    if (wires_.empty()) return false;
    auto const number =
        std::next(wires_.begin(), static_cast<std::ptrdiff_t>(which % wires_.size()))->first;
    auto const first = static_cast<int>(which / wires_.size() % 2);
    auto& other = wires_.at(number).sides[1 - first];
    other.inbox.clear();
    other.inbox_bytes = 0;
    lose(wires_.at(number).sides[first], {Code::unavailable, "connection reset"}, now);
    auto const wire = wires_.find(number);  // gone, when the first end died of the news
    if (wire != wires_.end() && how == Break::both)
        lose(wire->second.sides[1 - first], {Code::unavailable, "connection reset"}, now);
    forget_if_over(number);
    return true;
}

// The core at `side` learns that the connection is gone.
void Network::lose(Side& side, base::Error reason, base::Instant now) {
    side.inbox.clear();
    side.inbox_bytes = 0;
    if (!side.is_open) return;
    side.is_open = false;
    endpoints_[side.endpoint].connections.erase(side.id);
    auto const local = endpoints_[side.endpoint].local.at(now);
    call(side.endpoint, [&, id = side.id](ports::NetworkCore& core) {
        core.on_closed(id, std::move(reason), local);
    });
}

void Network::forget_if_over(std::uint64_t number) {
    auto const wire = wires_.find(number);
    if (wire == wires_.end()) return;
    auto const& [dialled, accepted] = wire->second.sides;
    if (!dialled.is_open && !accepted.is_open) wires_.erase(wire);
}

// ---- the owner's loop

void Network::touch(Address const& at) {
    auto const who = index_of(at);
    if (endpoints_[who].core != nullptr) touched_.insert(who);
}

bool Network::step(base::Instant now) {
    for (Index who = 0; who < endpoints_.size(); ++who)
        if (endpoints_[who].core != nullptr) touched_.insert(who);
    return turn(now);
}

bool Network::turn(base::Instant now) {
    bool moved = false;
    while (!events_.empty() && events_.top().due <= now) {
        auto const event = events_.top();
        events_.pop();
        on_event(event, now);
        moved = true;
    }
    for (auto const who : std::exchange(touched_, {})) {
        if (endpoints_[who].core == nullptr) continue;
        told_.insert(who);
        if (drain(who, now)) moved = true;
    }
    return moved || (!events_.empty() && events_.top().due <= now);
}

bool Network::drain(Index who, base::Instant now) {
    auto& endpoint = endpoints_[who];
    bool moved = false;
    call(who, [&](ports::NetworkCore&) { endpoint.pump(); });
    while (endpoint.core != nullptr) {
        std::optional<ports::NetworkOutput> output;
        call(who, [&](ports::NetworkCore& core) { output = core.poll_output(); });
        if (!output) break;
        moved = true;
        if (auto const* request = std::get_if<ports::Dial>(&*output)) dial(who, *request, now);
        if (auto const* ready = std::get_if<ports::Transmit>(&*output))
            transmit(who, ready->id, Window::obeyed, now);
        if (auto const* ended = std::get_if<ports::Close>(&*output)) close(who, ended->id, now);
    }
    touched_.erase(who);
    if (endpoint.core == nullptr) return moved;
    auto const due = endpoint.core->deadline();
    endpoint.deadline = due ? std::optional(endpoint.local.truth_at(*due)) : std::nullopt;
    return moved;
}

std::optional<base::Instant> Network::deadline() const {
    std::optional<base::Instant> earliest;
    if (!events_.empty()) earliest = events_.top().due;
    for (auto const& endpoint : endpoints_)
        if (endpoint.deadline && (!earliest || *endpoint.deadline < *earliest))
            earliest = endpoint.deadline;
    return earliest;
}

void Network::on_deadlines(base::Instant now) {
    for (Index who = 0; who < endpoints_.size(); ++who) {
        auto const& endpoint = endpoints_[who];
        if (endpoint.core == nullptr || !endpoint.deadline || *endpoint.deadline > now) continue;
        auto const local = endpoint.local.at(now);
        call(who, [&](ports::NetworkCore& core) { core.on_deadline(local); });
    }
}

std::vector<Address> Network::take_crashed() {
    return std::exchange(crashed_, {});
}

std::vector<Address> Network::take_touched() {
    std::vector<Address> addresses;
    for (auto const who : std::exchange(told_, {})) addresses.push_back(endpoints_[who].at);
    return addresses;
}

std::size_t Network::connections_count(Address const& at) const {
    auto const found = indices_.find(at);
    return found == indices_.end() ? 0 : endpoints_[found->second].connections.size();
}

base::Bytes const& Network::tape(Address const& from, Address const& to) {
    return tapes_[{from, to}];
}

// ---- what cores ask for

void Network::dial(Index from, ports::Dial const& request, base::Instant now) {
    auto const to = index_of(request.to);
    auto const number = next_wire_++;
    auto& wire = wires_[number];
    wire.sides[0] = {.endpoint = from, .id = request.id, .is_open = true, .inbox = {}};
    wire.sides[1].endpoint = to;
    wire.from_listen_port = request.from != ports::DialFrom::any_port;
    if (wire.from_listen_port) punched_[{from, to}] = now;
    endpoints_[from].connections[request.id] = {number, 0};
    schedule(now + latency(), number, 1);
}

void Network::transmit(Index from, ports::ConnectionId id, Window window, base::Instant now) {
    auto& endpoint = endpoints_[from];
    auto const local = endpoint.local.at(now);
    auto const where = endpoint.connections.find(id);
    for (;;) {
        if (where != endpoint.connections.end() && window == Window::obeyed) {
            auto& there = wires_.at(where->second.first).sides[1 - where->second.second];
            there.sender_waits = there.inbox_bytes >= window_bytes_max;
            if (there.sender_waits) return;
        }
        base::Bytes bytes;
        bool any = false;
        call(from, [&](ports::NetworkCore& core) { any = core.poll_transmit(id, bytes, local); });
        if (endpoint.core == nullptr || !any) return;
        // Without a wire these are the last words on a connection that is gone.
        if (where == endpoint.connections.end() || bytes.empty()) continue;
        send(where->second.first, 1 - where->second.second, Segment::Kind::data, std::move(bytes),
             now);
    }
}

void Network::close(Index from, ports::ConnectionId id, base::Instant now) {
    auto& endpoint = endpoints_[from];
    transmit(from, id, Window::ignored, now);  // what is pending goes first
    auto const where = endpoint.connections.find(id);
    if (where == endpoint.connections.end()) return;
    auto const [number, side] = where->second;
    endpoint.connections.erase(where);
    wires_.at(number).sides[side].is_open = false;
    send(number, 1 - side, Segment::Kind::fin, {}, now);
    forget_if_over(number);
}

// ---- what travels

base::Duration Network::latency() {
    auto delay = chance_.between(conditions_.latency_min, conditions_.latency_max);
    if (chance_.one_in(conditions_.slow_one_in)) delay += chance_.between({}, conditions_.slow_max);
    return delay;
}

void Network::schedule(base::Instant due, std::uint64_t wire, int side) {
    events_.push({due, next_event_++, wire, side});
}

void Network::send(std::uint64_t number, int to_side, Segment::Kind kind, base::Bytes bytes,
                   base::Instant now) {
    auto& to = wires_.at(number).sides[to_side];
    auto const& from = wires_.at(number).sides[1 - to_side];
    if (tape_ == Tape::keep && kind == Segment::Kind::data && reaches(from.endpoint, to.endpoint)) {
        base::append(tapes_[{endpoints_[from.endpoint].at, endpoints_[to.endpoint].at}], bytes);
    }
    std::vector<base::Bytes> parts;
    if (bytes.size() > 1 && chance_.one_in(conditions_.split_one_in)) {
        auto const at = static_cast<std::ptrdiff_t>(1 + chance_.below(bytes.size() - 1));
        parts.emplace_back(bytes.begin(), bytes.begin() + at);
        bytes.erase(bytes.begin(), bytes.begin() + at);
    }
    parts.push_back(std::move(bytes));
    for (auto& part : parts) {
        auto due = now + latency();
        bool const is_first = to.inbox.empty();
        if (!is_first) due = std::max(due, to.inbox.back().due);
        to.inbox_bytes += part.size();
        to.inbox.push_back({kind, std::move(part), now, due});
        if (is_first) schedule(due, number, to_side);
    }
}

void Network::on_event(Event const& event, base::Instant now) {
    auto const found = wires_.find(event.wire);
    if (found == wires_.end()) return;
    auto& wire = found->second;
    if (wire.connecting && event.side == 1) return on_call(event.wire, wire, now);
    auto& to = wire.sides[event.side];
    auto& from = wire.sides[1 - event.side];
    if (to.inbox.empty()) return;  // lost by a break
    if (!reaches(from.endpoint, to.endpoint)) {
        if (now < to.inbox.front().sent + tcp_patience)
            return schedule(now + retry_interval, event.wire, event.side);
        to.inbox.clear();
        to.inbox_bytes = 0;
        lose(from, {Code::unavailable, "the connection timed out"}, now);
        return forget_if_over(event.wire);
    }
    auto segment = std::move(to.inbox.front());
    to.inbox.pop_front();
    to.inbox_bytes -= segment.bytes.size();
    if (!to.inbox.empty()) schedule(std::max(now, to.inbox.front().due), event.wire, event.side);
    note(now, from.endpoint, to.endpoint, segment);
    deliver(event.wire, event.side, std::move(segment), now);
    forget_if_over(event.wire);
}

void Network::on_call(std::uint64_t number, Wire& wire, base::Instant now) {
    auto& [dialler, listener] = wire.sides;
    if (!dialler.is_open) return;
    if (!reaches(dialler.endpoint, listener.endpoint) ||
        !reaches(listener.endpoint, dialler.endpoint))  // SYN or its answer is lost: again, later
        return call_again(number, wire, now);
    auto const& endpoint = endpoints_[listener.endpoint];
    if (endpoint.router == Router::punchable && !lets_in(dialler.endpoint, listener.endpoint, now))
        return call_again(number, wire, now);
    if (endpoint.router != Router::closed && cross(number, wire, now)) return;
    wire.connecting = false;
    if (endpoint.core == nullptr || endpoint.router == Router::closed) {
        lose(dialler, {Code::unavailable, "nobody listens there"}, now);
        return forget_if_over(number);
    }
    listener.id = ports::ConnectionId{next_accepted_};
    next_accepted_ += 2;
    listener.is_open = true;
    endpoints_[listener.endpoint].connections[listener.id] = {number, 1};
    send(number, 0, Segment::Kind::established, {}, now);
    auto remote = endpoints_[dialler.endpoint].at;
    if (!wire.from_listen_port) remote.port = dialler_port;
    auto const local = endpoint.local.at(now);
    call(listener.endpoint,
         [&, id = listener.id](ports::NetworkCore& core) { core.on_accepted(id, remote, local); });
}

void Network::call_again(std::uint64_t number, Wire& wire, base::Instant now) {
    schedule(now + wire.retry_in, number, 1);
    wire.retry_in = std::min(wire.retry_in * 2, retry_max);
}

bool Network::lets_in(Index from, Index to, base::Instant now) const {
    auto const last = punched_.find({to, from});
    return last != punched_.end() && now < last->second + router_forgets;
}

// Both ends dial each other between the same two ports: that is one connection, and both hear that
// their dial came through (RFC 9293 3.5, simultaneous open).
bool Network::cross(std::uint64_t number, Wire& wire, base::Instant now) {
    auto& [dialler, listener] = wire.sides;
    if (!wire.from_listen_port) return false;
    auto const other = std::ranges::find_if(wires_, [&](auto const& entry) {
        auto const& [there, here] = entry.second.sides;
        return entry.second.connecting && entry.second.from_listen_port && there.is_open &&
               there.endpoint == listener.endpoint && here.endpoint == dialler.endpoint;
    });
    if (other == wires_.end() || other->first == number) return false;
    wire.connecting = false;
    listener.id = other->second.sides[0].id;
    listener.is_open = true;
    wires_.erase(other);
    endpoints_[listener.endpoint].connections[listener.id] = {number, 1};
    send(number, 0, Segment::Kind::established, {}, now);
    send(number, 1, Segment::Kind::established, {}, now);
    return true;
}

void Network::deliver(std::uint64_t number, int side, Segment segment, base::Instant now) {
    auto& to = wires_.at(number).sides[side];
    auto& from = wires_.at(number).sides[1 - side];
    if (!to.is_open) {  // a process that does not know the connection, or has closed it
        if (segment.kind == Segment::Kind::data && from.is_open)
            send(number, 1 - side, Segment::Kind::reset, {}, now);
        return;
    }
    auto const local = endpoints_[to.endpoint].local.at(now);
    auto const id = to.id;
    switch (segment.kind) {
        case Segment::Kind::established:
            return call(to.endpoint,
                        [&](ports::NetworkCore& core) { core.on_connected(id, local); });
        case Segment::Kind::data:
            if (std::exchange(to.sender_waits, false) && from.is_open)
                transmit(from.endpoint, from.id, Window::obeyed, now);
            return call(to.endpoint,
                        [&](ports::NetworkCore& core) { core.on_bytes(id, segment.bytes, local); });
        case Segment::Kind::fin:
            return lose(to, {Code::unavailable, "end of file"}, now);
        case Segment::Kind::reset:
            return lose(to, {Code::unavailable, "connection reset by peer"}, now);
    }
}

void Network::note(base::Instant now, Index from, Index to, Segment const& segment) {
    auto const mix = [this](std::uint64_t value) {
        trace_ = (trace_ ^ value) * 0x100000001b3ULL;
        trace_ ^= trace_ >> 29;
    };
    mix(static_cast<std::uint64_t>(now.time_since_epoch().count()));
    mix(from << 40 | to << 16 | static_cast<std::uint64_t>(segment.kind));
    mix(segment.bytes.size());
    base::ByteView rest = segment.bytes;
    for (; rest.size() >= 8; rest = rest.subspan(8))
        mix(base::load_be<std::uint64_t>(rest.first(8)));
    for (auto const byte : rest) mix(byte);
}

}  // namespace kith::sim
