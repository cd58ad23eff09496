#include "node/services/identify_service.h"

#include <algorithm>

#include "base/sabotage.h"

namespace kith::node {

namespace identify = proto::identify;
namespace ping = proto::ping;
using base::ByteView;
using base::Instant;
using ports::ConnectionId;

namespace {

// js writes "/p2p/<our id>" behind the address it sees.
std::optional<wire::Multiaddr> without_peer(wire::Multiaddr const& address) {
    auto const endpoint = address.tcp_endpoint();
    auto const parts = address.components().size();
    if (!endpoint || parts > 3 || (parts == 3 && !address.peer_multihash())) return std::nullopt;
    auto plain = wire::Multiaddr::tcp(endpoint->ip, endpoint->port);
    return plain ? std::optional(std::move(*plain)) : std::nullopt;
}

// The port that a connection we dialled comes from says nothing about where we listen.
std::optional<wire::Multiaddr> ip_alone(wire::Multiaddr const& address) {
    auto const text = address.to_text();
    auto const alone = wire::Multiaddr::from_text(text.substr(0, text.find("/tcp/")));
    return alone ? std::optional(*alone) : std::nullopt;
}

}  // namespace

void IdentifyService::set_addresses(std::vector<wire::Multiaddr> addresses, Instant now) {
    if (addresses == addresses_) return;
    addresses_ = std::move(addresses);
    auto const seconds = std::max<std::int64_t>(0, base::seconds(edges_.clock.unix_now()));
    record_seq_ = std::max(record_seq_ + 1, static_cast<std::uint64_t>(seconds));
    for (auto const& [id, peer] : peers_)
        if (peer.audience == Audience::member) push(id, peer, now);
}

void IdentifyService::set_audience(ConnectionId id, Audience audience,
                                   std::vector<std::string> protocols, Instant now) {
    auto const peer = peers_.find(id);
    if (peer == peers_.end()) return;
    bool const is_new = audience == Audience::member && peer->second.audience != audience;
    peer->second.audience = audience;
    peer->second.protocols = std::move(protocols);
    if (is_new) ask(id, peer->second, now);
}

// ---- what the host reports

bool IdentifyService::on_event(HostEvent const& event, Instant now) {
    auto const id = event.connection;
    if (auto const* up = std::get_if<PeerConnected>(&event.what)) {
        peers_.insert_or_assign(id, Peer{.peer = up->peer.peer(),
                                         .remote = up->remote,
                                         .direction = up->direction,
                                         .path = up->path,
                                         .from = up->from,
                                         .heard = std::nullopt});
        return false;
    }
    if (std::holds_alternative<LinkDown>(event.what)) {
        peers_.erase(id);
        heard_.erase(id);
        std::erase_if(streams_, [id](auto const& entry) { return entry.first.connection == id; });
        return false;
    }
    if (auto const* opened = std::get_if<StreamOpened>(&event.what))
        return on_stream_opened(id, *opened, now);
    if (auto const* data = std::get_if<StreamData>(&event.what)) {
        if (!streams_.contains({id, data->id})) return false;
        edges_.host.consumed(id, data->id, data->bytes.size());
        on_data({id, data->id}, data->bytes);
        return true;
    }
    if (auto const* ended = std::get_if<StreamEnded>(&event.what)) {
        if (!streams_.contains({id, ended->id})) return false;
        on_ended({id, ended->id}, now);
        return true;
    }
    if (auto const* reset = std::get_if<StreamReset>(&event.what))
        return streams_.erase({id, reset->id}) > 0;
    if (auto const* writable = std::get_if<StreamWritable>(&event.what)) {
        auto const stream = streams_.find({id, writable->id});
        if (stream == streams_.end()) return false;
        if (auto* const pinged = std::get_if<Pinged>(&stream->second)) echo(stream->first, *pinged);
        return true;
    }
    return false;
}

bool IdentifyService::on_stream_opened(ConnectionId id, StreamOpened const& opened, Instant now) {
    Carrier const at{id, opened.id};
    if (opened.direction == Direction::outbound) return streams_.contains(at);
    auto const peer = peers_.find(id);
    if (peer == peers_.end()) return false;
    if (opened.protocol == identify::protocol) {
        answer(at, peer->second, now);
    } else if (opened.protocol == identify::push_protocol) {
        accept_push(at, peer->second, now);
    } else if (opened.protocol == ping::protocol) {
        accept_ping(at);
    } else {
        return false;
    }
    return true;
}

void IdentifyService::answer(Carrier const& at, Peer& peer, Instant now) {
    while (!peer.answers.empty() && peer.answers.front() + identify_answers_per <= now)
        peer.answers.pop_front();
    if (peer.answers.size() >= identify_answers_max)
        return edges_.host.reset(at.connection, at.stream);
    peer.answers.push_back(now);
    edges_.host.write(at.connection, at.stream, statement(peer));
    edges_.host.close_write(at.connection, at.stream);
    streams_.insert_or_assign(at, Told{now + identify_timeout});
}

void IdentifyService::accept_push(Carrier const& at, Peer const& peer, Instant now) {
    auto const pushes = std::ranges::count_if(streams_, [&at](auto const& entry) {
        auto const* reading = std::get_if<Reading>(&entry.second);
        return entry.first.connection == at.connection && reading != nullptr &&
               reading->kind == Reading::Kind::push;
    });
    bool const may =
        peer.audience == Audience::member && static_cast<std::size_t>(pushes) < identify_pushes_max;
    if (!may) return edges_.host.reset(at.connection, at.stream);
    streams_.insert_or_assign(at, Reading{.reader = identify::Reader(peer.peer),
                                          .kind = Reading::Kind::push,
                                          .deadline = now + identify_timeout});
}

void IdentifyService::accept_ping(Carrier const& at) {
    auto const pings = std::ranges::count_if(streams_, [&at](auto const& entry) {
        return entry.first.connection == at.connection &&
               std::holds_alternative<Pinged>(entry.second);
    });
    if (static_cast<std::size_t>(pings) >= ping::inbound_streams_max)
        return edges_.host.reset(at.connection, at.stream);
    streams_.insert_or_assign(at, Pinged{});
}

void IdentifyService::on_data(Carrier const& at, ByteView bytes) {
    auto const stream = streams_.find(at);
    bool good = true;
    if (auto* const reading = std::get_if<Reading>(&stream->second))
        good = reading->reader.feed(bytes).has_value();
    if (auto* const pinged = std::get_if<Pinged>(&stream->second)) {
        good = pinged->responder.feed(bytes).has_value();
        if (good) echo(at, *pinged);
    }
    if (good) return;
    streams_.erase(at);
    edges_.host.reset(at.connection, at.stream);
}

void IdentifyService::on_ended(Carrier const& at, Instant now) {
    auto const stream = streams_.find(at);
    if (auto* const pinged = std::get_if<Pinged>(&stream->second)) {
        pinged->ended = true;
        return echo(at, *pinged);
    }
    if (auto* const reading = std::get_if<Reading>(&stream->second)) {
        auto said = reading->reader.finish();
        auto const kind = reading->kind;
        edges_.host.close_write(at.connection, at.stream);
        if (said) learn(at.connection, std::move(*said), kind, now);
    }
    streams_.erase(at);
}

void IdentifyService::echo(Carrier const& at, Pinged& pinged) {
    auto const waiting = pinged.responder.pending();
    auto const taken = edges_.host.write(at.connection, at.stream, waiting);
    bool const all = taken == waiting.size();
    pinged.responder.sent(taken);
    if (!pinged.ended || !all) return;
    edges_.host.close_write(at.connection, at.stream);
    streams_.erase(at);
}

// ---- what we say and what we hear

base::Bytes IdentifyService::statement(Peer const& peer) const {
    identify::Info info{.protocol_version = std::string(identify_version),
                        .agent_version = std::string(identify_agent),
                        .protocols = {std::string(identify::protocol), std::string(ping::protocol)},
                        .listen_addresses = {},
                        .observed_address = std::nullopt,
                        .signed_peer_record = {}};
    for (auto const& protocol : peer.protocols)
        if (std::ranges::find(info.protocols, protocol) == info.protocols.end())
            info.protocols.push_back(protocol);
    if (auto seen = wire::Multiaddr::tcp(peer.remote.ip, peer.remote.port);
        seen && peer.path == Path::direct)
        info.observed_address = std::move(*seen);
    bool const tells = peer.audience == Audience::member;
    if (KITH_GUARD("P3.listen_addresses", tells)) {
        info.listen_addresses = addresses_;
        info.signed_peer_record =
            identify::seal_peer_record(edges_.identity, record_seq_, addresses_);
    }
    return identify::build(info, edges_.identity.operational_public_key());
}

void IdentifyService::ask(ConnectionId id, Peer const& peer, Instant now) {
    auto const stream = edges_.host.open_stream(id, std::string(identify::protocol), now);
    if (!stream) return;
    streams_.insert_or_assign(Carrier{id, *stream}, Reading{.reader = identify::Reader(peer.peer),
                                                            .kind = Reading::Kind::answer,
                                                            .deadline = now + identify_timeout});
}

void IdentifyService::push(ConnectionId id, Peer const& peer, Instant now) {
    auto const stream = edges_.host.open_stream(id, std::string(identify::push_protocol), now);
    if (!stream) return;
    edges_.host.write(id, *stream, statement(peer));
    edges_.host.close_write(id, *stream);
    streams_.insert_or_assign(Carrier{id, *stream}, Told{now + identify_timeout});
}

// In a push, what is not there has not changed. A bad peer record is as good as none.
void IdentifyService::learn(ConnectionId id, identify::Info said, Reading::Kind kind, Instant now) {
    auto& peer = peers_.at(id);
    heard_.insert(id);
    if (said.observed_address && peer.audience == Audience::member && peer.path == Path::direct) {
        auto seen = without_peer(*said.observed_address);
        if (seen && peer.direction == Direction::outbound) seen = ip_alone(*seen);
        if (seen) observed_.vote(peer.remote.ip, *seen, now);
    }
    auto record = identify::open_peer_record(said.signed_peer_record, peer.peer);
    if (!peer.heard || kind == Reading::Kind::answer) {
        auto old = peer.heard ? std::move(peer.heard->record) : std::nullopt;
        peer.heard = PeerIdentity{.said = std::move(said), .record = std::move(old)};
    } else {
        auto& known = peer.heard->said;
        auto const update = [](auto& mine, auto& theirs) {
            if (!theirs.empty()) mine = std::move(theirs);
        };
        update(known.protocol_version, said.protocol_version);
        update(known.agent_version, said.agent_version);
        update(known.protocols, said.protocols);
        update(known.listen_addresses, said.listen_addresses);
        update(known.signed_peer_record, said.signed_peer_record);
        if (said.observed_address) known.observed_address = std::move(said.observed_address);
    }
    auto& kept = peer.heard->record;
    if (record && (!kept || kept->seq < record->seq)) kept = std::move(*record);
}

PeerIdentity const* IdentifyService::peer(ConnectionId id) const {
    auto const peer = peers_.find(id);
    return peer == peers_.end() || !peer->second.heard ? nullptr : &*peer->second.heard;
}

std::vector<wire::Multiaddr> IdentifyService::seen() const {
    std::vector<wire::Multiaddr> all;
    for (auto const& [id, peer] : peers_) {
        bool const at_listen_port =
            peer.direction == Direction::inbound || peer.from != ports::DialFrom::any_port;
        if (peer.audience != Audience::member || peer.path != Path::direct || !at_listen_port ||
            !peer.heard || !peer.heard->said.observed_address)
            continue;
        auto seen = without_peer(*peer.heard->said.observed_address);
        if (seen && std::ranges::find(all, *seen) == all.end()) all.push_back(std::move(*seen));
    }
    return all;
}

// ---- time

// Pings have none: they are few, and theirs is to stay open.
std::optional<Instant> IdentifyService::deadline_of(Stream const& stream) {
    if (auto const* reading = std::get_if<Reading>(&stream)) return reading->deadline;
    if (auto const* told = std::get_if<Told>(&stream)) return told->deadline;
    return std::nullopt;
}

std::optional<Instant> IdentifyService::deadline() const {
    std::optional<Instant> first;
    for (auto const& [at, stream] : streams_)
        if (auto const due = deadline_of(stream)) first = first ? std::min(*first, *due) : *due;
    return first;
}

void IdentifyService::on_deadline(Instant now) {
    std::vector<Carrier> late;
    for (auto const& [at, stream] : streams_)
        if (auto const due = deadline_of(stream); due && *due <= now) late.push_back(at);
    for (auto const& at : late) {
        streams_.erase(at);
        edges_.host.reset(at.connection, at.stream);
    }
}

}  // namespace kith::node
