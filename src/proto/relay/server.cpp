#include "proto/relay/server.h"

#include <algorithm>

#include "base/check.h"

namespace kith::proto::relay {

using base::ByteView;
using base::Instant;

namespace {

// Of a reservation's answer; leaves room for the voucher within message_bytes_max.
constexpr std::size_t addresses_bytes_max = 3000;

}  // namespace

void Server::set_addresses(std::vector<wire::Multiaddr> const& addresses) {
    addresses_.clear();
    std::size_t size = 0;
    for (auto const& address : addresses) {
        auto named = address.with_peer(self_.peer_id().to_multihash());
        if (!named || addresses_.size() == addresses_max) continue;
        size += named->to_bytes().size();
        if (size > addresses_bytes_max) return;
        addresses_.push_back(std::move(*named));
    }
}

// ---- what happens on streams

void Server::on_hop_opened(StreamRef stream, Caller caller, Instant now) {
    if (streams_.contains(stream)) {  // an id comes back while bytes of its first stream wait here
        on_reset(stream);
        actions_.emplace_back(Reset{stream});
        return;
    }
    std::size_t unanswered = 0;
    auto const first = streams_.lower_bound({stream.connection, 0});
    for (auto one = first; one != streams_.end() && one->first.connection == stream.connection;
         ++one)
        if (one->second.role == Role::unanswered || one->second.role == Role::answered)
            ++unanswered;
    if (unanswered >= limits_.unanswered_per_connection_max) {
        actions_.emplace_back(Reset{stream});
        return;
    }
    Stream state;
    state.caller = std::move(caller);
    state.deadline = now + limits_.answer_timeout;
    streams_.insert_or_assign(stream, std::move(state));
}

void Server::on_data(StreamRef ref, ByteView bytes, Instant now, base::UnixTime unix_now) {
    auto const stream = streams_.find(ref);
    if (stream == streams_.end()) return;
    auto const role = stream->second.role;
    if (role == Role::source || role == Role::target) return carry(stream, bytes);
    if (role == Role::answered) {
        actions_.emplace_back(Consumed{ref, bytes.size()});
        return;
    }
    ByteView rest = bytes;
    auto const message = stream->second.reader.next(rest);
    actions_.emplace_back(Consumed{ref, bytes.size() - rest.size()});
    if (message && !*message) return;
    if (role == Role::unanswered) {
        if (!message) return answer(stream, {.status = Status::malformed_message}, now);
        return on_request(stream, **message, rest, now, unix_now);
    }
    if (!message) return refuse_circuit(stream->second.circuit);
    on_target_answer(stream, **message, rest, now);
}

void Server::on_request(Streams::iterator stream, ByteView message, ByteView rest, Instant now,
                        base::UnixTime unix_now) {
    drop_expired(now);
    auto const request = parse_hop(message);
    if (!request) return answer(stream, {.status = Status::malformed_message}, now);
    if (auto const* wanted = std::get_if<Connect>(&*request))
        return connect(stream, *wanted, rest, now);
    actions_.emplace_back(Consumed{stream->first, rest.size()});
    if (std::holds_alternative<Reserve>(*request)) return reserve(stream, now, unix_now);
    answer(stream, {.status = Status::unexpected_message}, now);
}

void Server::reserve(Streams::iterator stream, Instant now, base::UnixTime unix_now) {
    auto const& caller = stream->second.caller;
    auto const decision = may_reserve(caller);
    if (decision != Status::ok) return answer(stream, {.status = decision}, now);
    reservations_.insert_or_assign(caller.peer, Held{.connection = stream->first.connection,
                                                     .ip = caller.ip,
                                                     .grant = caller.grant,
                                                     .expires = now + limits_.reservation_lives});
    auto const lives =
        std::chrono::duration_cast<std::chrono::seconds>(limits_.reservation_lives).count();
    base::UnixTime const expires{base::seconds(unix_now) + lives};
    answer(stream,
           {.status = Status::ok,
            .reservation = Reservation{.expires = expires,
                                       .addresses = addresses_,
                                       .voucher = seal_voucher(self_, caller.peer, expires)},
            .limit = limit_of(caller.grant)},
           now);
}

void Server::connect(Streams::iterator stream, Connect const& request, ByteView rest, Instant now) {
    auto& state = stream->second;
    auto const decision = may_connect(state.caller, request.peer);
    if (decision != Status::ok) {
        actions_.emplace_back(Consumed{stream->first, rest.size()});
        return answer(stream, {.status = decision}, now);
    }
    auto const& held = reservations_.at(request.peer);
    auto const limit = limit_of(std::min(state.caller.grant, held.grant));
    CircuitId const id{next_circuit_++};
    circuits_.emplace(id, Joint{.source = stream->first,
                                .target = std::nullopt,
                                .source_peer = state.caller.peer,
                                .target_peer = request.peer,
                                .limit = limit,
                                .bytes = Circuit(limit),
                                .deadline = now + limits_.answer_timeout});
    state.role = Role::source;
    state.circuit = id;
    actions_.emplace_back(OpenStop{id, held.connection});
    carry(stream, rest);
}

void Server::stop_opened(CircuitId id, StreamRef ref) {
    auto const circuit = circuits_.find(id);
    if (circuit == circuits_.end()) {
        actions_.emplace_back(Reset{ref});
        return;
    }
    circuit->second.target = ref;
    Stream state;
    state.role = Role::asked_target;
    state.circuit = id;
    state.out =
        frame_stop(Connect{.peer = circuit->second.source_peer, .limit = circuit->second.limit});
    streams_.insert_or_assign(ref, std::move(state));
    actions_.emplace_back(Transmit{ref});
}

void Server::stop_failed(CircuitId id) {
    refuse_circuit(id);
}

void Server::on_target_answer(Streams::iterator stream, ByteView message, ByteView rest,
                              Instant now) {
    auto const id = stream->second.circuit;
    auto const said = parse_stop(message);
    auto const* reply = said ? std::get_if<Answer>(&*said) : nullptr;
    if (reply == nullptr || reply->status != Status::ok) return refuse_circuit(id);
    stream->second.role = Role::target;
    auto& circuit = circuits_.at(id);
    circuit.deadline.reset();
    if (circuit.limit.duration_s != 0)
        circuit.deadline = now + std::chrono::seconds(circuit.limit.duration_s);
    base::append(streams_.at(circuit.source).out,
                 frame_hop(Answer{
                     .status = Status::ok, .reservation = std::nullopt, .limit = circuit.limit}));
    actions_.emplace_back(Transmit{circuit.source});
    actions_.emplace_back(Transmit{stream->first});  // what the source sent behind its request
    carry(stream, rest);
    if (circuits_.contains(id)) forward_closes(id);
}

void Server::carry(Streams::iterator stream, ByteView bytes) {
    if (bytes.empty()) return;
    auto const id = stream->second.circuit;
    auto& circuit = circuits_.at(id);
    auto const from = end_of(stream->second);
    if (!circuit.bytes.feed(from, bytes)) return cut(id);
    if (from == End::target) {
        actions_.emplace_back(Transmit{circuit.source});
    } else if (circuit.target && streams_.at(*circuit.target).role == Role::target) {
        actions_.emplace_back(Transmit{*circuit.target});
    }
}

void Server::on_ended(StreamRef ref) {
    auto const stream = streams_.find(ref);
    if (stream == streams_.end()) return;
    switch (stream->second.role) {
        case Role::unanswered:
            actions_.emplace_back(Reset{ref});
            return forget(ref);
        case Role::answered:
            if (stream->second.out.empty()) forget(ref);
            return;
        case Role::asked_target:
            return refuse_circuit(stream->second.circuit);
        case Role::source:
        case Role::target:
            break;
    }
    auto const id = stream->second.circuit;
    circuits_.at(id).bytes.ended(end_of(stream->second));
    forward_closes(id);
}

void Server::on_reset(StreamRef ref) {
    auto const stream = streams_.find(ref);
    if (stream == streams_.end()) return;
    auto const role = stream->second.role;
    auto const id = stream->second.circuit;
    forget(ref);
    if (role == Role::source || role == Role::target) cut(id);
    if (role == Role::asked_target) refuse_circuit(id);
}

void Server::on_writable(StreamRef stream) {
    if (!pending(stream).empty()) actions_.emplace_back(Transmit{stream});
}

void Server::on_connection_down(std::uint64_t connection) {
    std::erase_if(reservations_, [connection](auto const& entry) {
        return entry.second.connection == connection;
    });
    for (auto stream = streams_.lower_bound({connection, 0});
         stream != streams_.end() && stream->first.connection == connection;
         stream = streams_.lower_bound({connection, 0}))
        on_reset(stream->first);
}

// ---- bytes out

End Server::end_of(Stream const& stream) {
    return stream.role == Role::source ? End::source : End::target;
}

ByteView Server::pending(StreamRef ref) const {
    auto const stream = streams_.find(ref);
    if (stream == streams_.end()) return {};
    auto const& state = stream->second;
    if (!state.out.empty()) return state.out;
    if (state.role != Role::source && state.role != Role::target) return {};
    return circuits_.at(state.circuit).bytes.pending(end_of(state));
}

void Server::sent(StreamRef ref, std::size_t size) {
    auto const stream = streams_.find(ref);
    KITH_ASSERT(stream != streams_.end() && size <= pending(ref).size());
    auto& state = stream->second;
    if (!state.out.empty()) {
        state.out.erase(state.out.begin(), state.out.begin() + static_cast<std::ptrdiff_t>(size));
        if (!state.out.empty()) return;
        if (state.role == Role::answered) actions_.emplace_back(Finish{ref});
        if (!pending(ref).empty()) actions_.emplace_back(Transmit{ref});
        if (state.role == Role::source) forward_closes(state.circuit);
        return;
    }
    auto& circuit = circuits_.at(state.circuit);
    auto const end = end_of(state);
    circuit.bytes.sent(end, size);
    if (size > 0)
        actions_.emplace_back(
            Consumed{end == End::source ? *circuit.target : circuit.source, size});
    if (circuit.bytes.pending(end).empty()) forward_closes(state.circuit);
}

// FIN travels behind the bytes it closed; with both gone the circuit is over.
void Server::forward_closes(CircuitId id) {
    auto& circuit = circuits_.at(id);
    auto const target = circuit.target;
    bool const stands = target && streams_.at(*target).role == Role::target;
    if (!stands) return;
    auto const source = circuit.source;
    if (streams_.at(source).out.empty() && circuit.bytes.take_close(End::source))
        actions_.emplace_back(Finish{source});
    if (circuit.bytes.take_close(End::target)) actions_.emplace_back(Finish{*target});
    if (!circuit.bytes.is_over()) return;
    streams_.erase(source);
    streams_.erase(*target);
    circuits_.erase(id);
}

std::optional<Action> Server::poll_action() {
    if (actions_.empty()) return std::nullopt;
    auto action = actions_.front();
    actions_.pop_front();
    return action;
}

// ---- decisions

Status Server::may_reserve(Caller const& caller) const {
    // No relay behind a relay: neither knows where the bytes really come from.
    if (caller.path != Path::direct || caller.grant == Grant::refused)
        return Status::permission_denied;
    if (reservations_.contains(caller.peer)) return Status::ok;  // a refresh
    auto const from_same_ip = std::ranges::count_if(
        reservations_, [&caller](auto const& entry) { return entry.second.ip == caller.ip; });
    if (reservations_.size() >= limits_.reservations_max ||
        static_cast<std::size_t>(from_same_ip) >= limits_.reservations_per_ip_max)
        return Status::reservation_refused;
    return Status::ok;
}

Status Server::may_connect(Caller const& caller, identity::PeerId const& target) const {
    if (caller.path != Path::direct || caller.grant == Grant::refused)
        return Status::permission_denied;
    if (!reservations_.contains(target)) return Status::no_reservation;
    if (circuits_.size() >= limits_.circuits_max ||
        circuits_of(caller.peer) >= limits_.circuits_per_peer_max ||
        circuits_of(target) >= limits_.circuits_per_peer_max)
        return Status::resource_limit_exceeded;
    return Status::ok;
}

Limit Server::limit_of(Grant grant) const {
    return grant == Grant::unlimited ? Limit{} : limits_.limited;
}

std::size_t Server::circuits_of(identity::PeerId const& peer) const {
    return static_cast<std::size_t>(std::ranges::count_if(circuits_, [&peer](auto const& entry) {
        return entry.second.source_peer == peer || entry.second.target_peer == peer;
    }));
}

void Server::answer(Streams::iterator stream, Answer const& answer, Instant now) {
    auto& state = stream->second;
    state.role = Role::answered;
    state.deadline = now + limits_.answer_timeout;
    base::append(state.out, frame_hop(answer));
    actions_.emplace_back(Transmit{stream->first});
}

// The target was not reached or said no: its stream goes, the source is told.
void Server::refuse_circuit(CircuitId id) {
    auto const circuit = circuits_.find(id);
    if (circuit == circuits_.end()) return;
    auto const joint = std::move(circuit->second);
    circuits_.erase(circuit);
    if (joint.target && streams_.contains(*joint.target)) {
        forget(*joint.target);
        actions_.emplace_back(Reset{*joint.target});
    }
    auto const source = streams_.find(joint.source);
    if (source == streams_.end()) return;
    // What the source sent ahead is dropped, and its credit with it: the stream ends here, at most
    // two time-outs after it was opened.
    answer(source, {.status = Status::connection_failed}, source->second.deadline);
}

void Server::cut(CircuitId id) {
    auto const circuit = circuits_.find(id);
    if (circuit == circuits_.end()) return;
    auto const joint = std::move(circuit->second);
    circuits_.erase(circuit);
    for (auto const end : {std::optional(joint.source), joint.target})
        if (end && streams_.erase(*end) > 0) actions_.emplace_back(Reset{*end});
}

void Server::forget(StreamRef stream) {
    streams_.erase(stream);
}

// ---- time

std::optional<Instant> Server::deadline() const {
    std::optional<Instant> first;
    auto const consider = [&first](Instant due) {
        if (!first || due < *first) first = due;
    };
    for (auto const& [ref, stream] : streams_)
        if (stream.role == Role::unanswered || stream.role == Role::answered)
            consider(stream.deadline);
    for (auto const& [id, circuit] : circuits_)
        if (circuit.deadline) consider(*circuit.deadline);
    for (auto const& [peer, held] : reservations_) consider(held.expires);
    return first;
}

void Server::drop_expired(Instant now) {
    std::erase_if(reservations_, [now](auto const& entry) { return entry.second.expires <= now; });
}

void Server::on_deadline(Instant now) {
    drop_expired(now);
    std::vector<CircuitId> overdue;
    for (auto const& [id, circuit] : circuits_)
        if (circuit.deadline && *circuit.deadline <= now) overdue.push_back(id);
    for (auto const id : overdue) {
        auto const& target = circuits_.at(id).target;
        bool const stood = target && streams_.at(*target).role == Role::target;
        if (stood)
            cut(id);
        else
            refuse_circuit(id);
    }
    std::vector<StreamRef> late;
    for (auto const& [ref, stream] : streams_)
        if ((stream.role == Role::unanswered || stream.role == Role::answered) &&
            stream.deadline <= now)
            late.push_back(ref);
    for (auto const& ref : late) {
        forget(ref);
        actions_.emplace_back(Reset{ref});
    }
}

}  // namespace kith::proto::relay
