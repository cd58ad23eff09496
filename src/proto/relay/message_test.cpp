#include "proto/relay/message.h"

#include <doctest/doctest.h>

#include "identity/envelope.h"
#include "schema/libp2p.pb.h"
#include "wire/frame.h"

using namespace kith::proto::relay;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::UnixTime;
using kith::identity::Identity;
using kith::identity::PeerId;
using kith::wire::Multiaddr;

namespace {

PeerId peer_of(std::uint8_t fill) {
    kith::base::ByteArray<32> key;
    key.fill(fill);
    return PeerId(key);
}

Identity identity_of(std::uint8_t fill) {
    kith::base::ByteArray<kith::identity::identity_random_bytes> random;
    random.fill(fill);
    return Identity::create(kith::crypto::Secret<kith::identity::identity_random_bytes>(random),
                            UnixTime{1'800'000'000})
        .value();
}

Bytes body(ByteView framed) {
    kith::wire::FrameReader reader(message_bytes_max);
    return reader.next(framed).value().value();
}

Bytes serialized(kith::libp2p::HopMessage const& message) {
    return kith::base::to_bytes(as_bytes(message.SerializeAsString()));
}

}  // namespace

TEST_CASE("every message is read back as it was written") {
    CHECK(std::holds_alternative<Reserve>(parse_hop(body(frame_hop(Reserve{}))).value()));
    auto const connect = parse_hop(body(frame_hop(Connect{.peer = peer_of(7), .limit = {}})));
    CHECK((std::get<Connect>(connect.value()).peer == peer_of(7)));
    Answer const answer{
        .status = Status::ok,
        .reservation =
            Reservation{.expires = UnixTime{1'900'000'000},
                        .addresses = {Multiaddr::from_text("/ip4/1.2.3.4/tcp/5").value()},
                        .voucher = {1, 2, 3}},
        .limit = {.duration_s = 120, .data_bytes = 131072}};
    auto const read = parse_hop(body(frame_hop(answer)));
    auto const& said = std::get<Answer>(read.value());
    CHECK(said.status == Status::ok);
    CHECK(said.reservation->expires == UnixTime{1'900'000'000});
    CHECK(said.reservation->addresses == answer.reservation->addresses);
    CHECK(said.reservation->voucher == Bytes{1, 2, 3});
    CHECK(said.limit == answer.limit);
    auto const asked = parse_stop(body(frame_stop(Connect{.peer = peer_of(9), .limit = {60, 5}})));
    CHECK((std::get<Connect>(asked.value()).peer == peer_of(9)));
    CHECK(std::get<Connect>(asked.value()).limit == Limit{60, 5});
    auto const refused = parse_stop(body(frame_stop(Answer{.status = Status::permission_denied})));
    CHECK(std::get<Answer>(refused.value()).status == Status::permission_denied);
}

TEST_CASE("the bytes are those of the specification") {
    // type = STATUS, status = 100
    CHECK(frame_hop(Answer{.status = Status::ok}) == Bytes{4, 0x08, 0x02, 0x28, 0x64});
    CHECK(frame_hop(Reserve{}) == Bytes{2, 0x08, 0x00});
    CHECK(frame_stop(Answer{.status = Status::ok}) == Bytes{4, 0x08, 0x01, 0x20, 0x64});
}

TEST_CASE(
    "messages without a type, without a peer, with foreign keys or with garbage are refused") {
    CHECK(parse_hop({}).error().code == Code::invalid);
    CHECK(parse_hop(Bytes{0x08, 0x07}).error().code == Code::invalid);
    CHECK(parse_hop(Bytes{0xff, 0xff}).error().code == Code::invalid);
    CHECK(parse_hop(Bytes(message_bytes_max + 1, 0)).error().code == Code::too_large);
    kith::libp2p::HopMessage connect;
    connect.set_type(kith::libp2p::HopMessage::CONNECT);
    CHECK(parse_hop(serialized(connect)).error().code == Code::invalid);
    connect.mutable_peer()->set_id("\x12\x20" + std::string(32, 'x'));  // a hashed RSA key
    CHECK(parse_hop(serialized(connect)).error().code == Code::unsupported);
    connect.mutable_peer()->set_id("nonsense");
    CHECK_FALSE(parse_hop(serialized(connect)).has_value());
}

TEST_CASE("a status nobody knows is kept, and means no") {
    kith::libp2p::HopMessage message;
    message.set_type(kith::libp2p::HopMessage::STATUS);
    message.set_status(4711);
    auto const said = parse_hop(serialized(message)).value();
    CHECK(static_cast<std::uint32_t>(std::get<Answer>(said).status) == 4711);
    CHECK(std::get<Answer>(said).status != Status::ok);
    message.clear_status();
    auto const silent = parse_hop(serialized(message)).value();
    CHECK(std::get<Answer>(silent).status == Status::none);
}

TEST_CASE("the sixteenth address of a relay is kept, the seventeenth and unknown ones are not") {
    kith::libp2p::HopMessage message;
    message.set_type(kith::libp2p::HopMessage::STATUS);
    message.mutable_reservation()->add_addrs("\xff\xff");
    auto const good = Multiaddr::from_text("/ip4/1.2.3.4/tcp/1")->to_bytes();
    for (std::size_t i = 0; i < addresses_max + 1; ++i)
        message.mutable_reservation()->add_addrs(kith::base::to_text(good));
    message.mutable_reservation()->set_expire(~std::uint64_t{0});
    auto const said = parse_hop(serialized(message)).value();
    CHECK(std::get<Answer>(said).reservation->addresses.size() == addresses_max);
    CHECK(kith::base::seconds(std::get<Answer>(said).reservation->expires) > 0);
}

TEST_CASE("a voucher holds for the relay that signed it and for nothing else") {
    auto const relay = identity_of(1);
    auto const other = identity_of(2);
    auto const sealed = seal_voucher(relay, peer_of(5), UnixTime{1'900'000'000});
    auto const voucher = open_voucher(sealed).value();
    CHECK((voucher.relay == relay.peer_id()));
    CHECK((voucher.peer == peer_of(5)));
    CHECK(voucher.expires == UnixTime{1'900'000'000});
    auto flipped = sealed;
    flipped.back() ^= 1;
    CHECK(open_voucher(flipped).error().code == Code::unauthorized);

    kith::libp2p::ReservationVoucher forged;
    forged.set_relay(kith::base::to_text(relay.peer_id().to_multihash()));
    forged.set_peer(kith::base::to_text(peer_of(5).to_multihash()));
    auto const signed_by_other = kith::identity::seal_envelope(
        other, kith::identity::relay_voucher_use, as_bytes(forged.SerializeAsString()));
    CHECK(open_voucher(signed_by_other).error().code == Code::unauthorized);
    auto const as_record = kith::identity::seal_envelope(relay, kith::identity::peer_record_use,
                                                         as_bytes(forged.SerializeAsString()));
    CHECK(open_voucher(as_record).error().code == Code::unsupported);
}
