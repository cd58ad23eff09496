#include "proto/relay/message.h"

#include <algorithm>
#include <limits>

#include "identity/envelope.h"
#include "schema/libp2p.pb.h"
#include "wire/frame.h"

namespace kith::proto::relay {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using identity::PeerId;

namespace {

std::string text_of(ByteView bytes) {
    return base::to_text(bytes);
}

template <class Message>
Bytes framed(Message const& message) {
    Bytes out;
    wire::append_frame(out, base::as_bytes(message.SerializeAsString()));
    return out;
}

void put_limit(libp2p::RelayLimit& out, Limit const& limit) {
    if (limit.duration_s != 0) out.set_duration(limit.duration_s);
    if (limit.data_bytes != 0) out.set_data(limit.data_bytes);
}

void put_reservation(libp2p::Reservation& out, Reservation const& reservation) {
    out.set_expire(
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, base::seconds(reservation.expires))));
    auto const count = std::min(reservation.addresses.size(), addresses_max);
    for (std::size_t i = 0; i < count; ++i)
        out.add_addrs(text_of(reservation.addresses[i].to_bytes()));
    if (!reservation.voucher.empty()) out.set_voucher(text_of(reservation.voucher));
}

base::UnixTime unix_time(std::uint64_t seconds) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return base::UnixTime{static_cast<std::int64_t>(std::min(seconds, most))};
}

Reservation read_reservation(libp2p::Reservation const& in) {
    Reservation reservation{.expires = unix_time(in.expire()),
                            .addresses = {},
                            .voucher = base::to_bytes(base::as_bytes(in.voucher()))};
    for (auto const& bytes : in.addrs()) {
        if (reservation.addresses.size() == addresses_max) break;
        if (auto address = wire::Multiaddr::from_bytes(base::as_bytes(bytes)))
            reservation.addresses.push_back(std::move(*address));
    }
    return reservation;
}

template <class Message>
Result<Connect> read_connect(Message const& message) {
    if (!message.has_peer()) return fail(Code::invalid, "relay: CONNECT names no peer");
    return Connect{
        .peer = KITH_TRY(PeerId::from_multihash(base::as_bytes(message.peer().id()))),
        .limit = {.duration_s = message.limit().duration(), .data_bytes = message.limit().data()}};
}

template <class Message>
Answer read_answer(Message const& message) {
    return {
        .status = static_cast<Status>(message.status()),
        .reservation = std::nullopt,
        .limit = {.duration_s = message.limit().duration(), .data_bytes = message.limit().data()}};
}

template <class Message>
Result<Message> parse(ByteView bytes) {
    if (bytes.size() > message_bytes_max) return fail(Code::too_large, "relay: message too large");
    Message message;
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return fail(Code::invalid, "relay: malformed message");
    if (!message.has_type()) return fail(Code::invalid, "relay: message of no known type");
    return message;
}

}  // namespace

std::string_view status_sentence(Status status) {
    switch (status) {
        case Status::ok:
            return "the relay agreed";
        case Status::reservation_refused:
            return "the relay has no room for another reservation";
        case Status::resource_limit_exceeded:
            return "the relay carries too many connections";
        case Status::permission_denied:
            return "the relay does not serve this peer";
        case Status::connection_failed:
            return "the relay did not reach that peer";
        case Status::no_reservation:
            return "that peer has no reservation at the relay";
        case Status::malformed_message:
        case Status::unexpected_message:
            return "the relay did not understand the request";
        case Status::none:
            break;
    }
    return "the relay refused for a reason of its own";
}

Bytes frame_hop(HopMessage const& message) {
    libp2p::HopMessage out;
    if (std::holds_alternative<Reserve>(message)) out.set_type(libp2p::HopMessage::RESERVE);
    if (auto const* connect = std::get_if<Connect>(&message)) {
        out.set_type(libp2p::HopMessage::CONNECT);
        out.mutable_peer()->set_id(text_of(connect->peer.to_multihash()));
    }
    if (auto const* answer = std::get_if<Answer>(&message)) {
        out.set_type(libp2p::HopMessage::STATUS);
        out.set_status(static_cast<std::uint32_t>(answer->status));
        if (answer->reservation) put_reservation(*out.mutable_reservation(), *answer->reservation);
        if (answer->limit != Limit{}) put_limit(*out.mutable_limit(), answer->limit);
    }
    return framed(out);
}

Bytes frame_stop(StopMessage const& message) {
    libp2p::StopMessage out;
    if (auto const* connect = std::get_if<Connect>(&message)) {
        out.set_type(libp2p::StopMessage::CONNECT);
        out.mutable_peer()->set_id(text_of(connect->peer.to_multihash()));
        if (connect->limit != Limit{}) put_limit(*out.mutable_limit(), connect->limit);
    }
    if (auto const* answer = std::get_if<Answer>(&message)) {
        out.set_type(libp2p::StopMessage::STATUS);
        out.set_status(static_cast<std::uint32_t>(answer->status));
    }
    return framed(out);
}

Result<HopMessage> parse_hop(ByteView bytes) {
    auto const message = KITH_TRY(parse<libp2p::HopMessage>(bytes));
    switch (message.type()) {
        case libp2p::HopMessage::RESERVE:
            return HopMessage(Reserve{});
        case libp2p::HopMessage::CONNECT:
            return HopMessage(KITH_TRY(read_connect(message)));
        case libp2p::HopMessage::STATUS:
            break;
    }
    auto answer = read_answer(message);
    if (message.has_reservation()) answer.reservation = read_reservation(message.reservation());
    return HopMessage(std::move(answer));
}

Result<StopMessage> parse_stop(ByteView bytes) {
    auto const message = KITH_TRY(parse<libp2p::StopMessage>(bytes));
    if (message.type() == libp2p::StopMessage::CONNECT)
        return StopMessage(KITH_TRY(read_connect(message)));
    return StopMessage(read_answer(message));
}

Bytes seal_voucher(identity::Identity const& relay, PeerId const& peer, base::UnixTime expires) {
    libp2p::ReservationVoucher voucher;
    voucher.set_relay(text_of(relay.peer_id().to_multihash()));
    voucher.set_peer(text_of(peer.to_multihash()));
    voucher.set_expiration(
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, base::seconds(expires))));
    return identity::seal_envelope(relay, identity::relay_voucher_use,
                                   base::as_bytes(voucher.SerializeAsString()));
}

Result<Voucher> open_voucher(ByteView envelope) {
    auto const opened = KITH_TRY(identity::open_envelope(envelope, identity::relay_voucher_use));
    libp2p::ReservationVoucher message;
    auto const payload = opened.payload();
    if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
        return fail(Code::invalid, "relay: malformed voucher");
    Voucher voucher{.relay = KITH_TRY(PeerId::from_multihash(base::as_bytes(message.relay()))),
                    .peer = KITH_TRY(PeerId::from_multihash(base::as_bytes(message.peer()))),
                    .expires = unix_time(message.expiration())};
    if (voucher.relay != opened.signer())
        return fail(Code::unauthorized,
                    "relay: a voucher is signed by another peer than its relay");
    return voucher;
}

}  // namespace kith::proto::relay
