#include "proto/noise/libp2p.h"

#include <doctest/doctest.h>

#include "crypto/x25519.h"
#include "schema/libp2p.pb.h"

using namespace kith::proto::noise;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::Result;
using kith::base::Status;
using kith::crypto::Ed25519KeyPair;
using kith::identity::PeerId;

namespace {

PrivateKey key_of(std::uint8_t fill) {
    return PrivateKey::from(Bytes(32, fill)).value();
}

struct Party {
    explicit Party(std::uint8_t fill)
        : signer(key_of(fill)),
          peer(signer.public_key()),
          credentials(key_of(static_cast<std::uint8_t>(fill + 100)), peer, sign(fill)) {}

    kith::crypto::Ed25519Signature sign(std::uint8_t fill) const {
        auto const static_key = key_of(static_cast<std::uint8_t>(fill + 100));
        return signer.sign(Credentials::to_sign(kith::crypto::x25519_public_key(static_key)));
    }

    Ed25519KeyPair signer;
    PeerId peer;
    Credentials credentials;
};

struct Ends {
    std::vector<std::string> dialer_muxers, listener_muxers;
    std::optional<PeerId> expected;
};

// Carries bytes between both until nothing moves; `step` bytes at a time.
struct Handshakes {
    Handshakes(Party const& a, Party const& b, Ends ends)
        : dialer({.role = Role::initiator,
                  .muxers = ends.dialer_muxers,
                  .expected_peer = ends.expected},
                 a.credentials, key_of(11)),
          listener({.role = Role::responder, .muxers = ends.listener_muxers, .expected_peer = {}},
                   b.credentials, key_of(12)) {}

    static Status carry(Libp2pHandshake& from, Libp2pHandshake& to, std::size_t step) {
        Bytes wire;
        from.poll_transmit(wire);
        for (ByteView rest = wire; !rest.empty();) {
            auto part = rest.first(std::min(step, rest.size()));
            rest = rest.subspan(part.size());
            auto const status = to.feed(part);
            if (!status) return status;
            CHECK(part.empty());
        }
        return {};
    }

    Status run(std::size_t step = 100000) {
        for (int round = 0; round < 3; ++round) {
            if (auto const status = carry(dialer, listener, step); !status) return status;
            if (auto const status = carry(listener, dialer, step); !status) return status;
        }
        return {};
    }

    Libp2pHandshake dialer, listener;
};

// A listener that speaks Noise correctly but puts any payload it likes into message 2.
Status dial_evil(Bytes const& evil_payload, PrivateKey const& evil_static) {
    Party const victim(1);
    Libp2pHandshake dialer({.role = Role::initiator, .muxers = {}, .expected_peer = {}},
                           victim.credentials, key_of(11));
    auto const ephemeral = key_of(12);
    HandshakeState evil(
        Role::responder, find_pattern("XX").value(), Cipher::chacha_poly, {},
        {.static_key = &evil_static, .ephemeral_key = &ephemeral, .remote_static = {}, .psks = {}});
    Bytes hello, payload, answer;
    dialer.poll_transmit(hello);
    REQUIRE(evil.read_message(ByteView(hello).subspan(2), payload).has_value());
    REQUIRE(evil.write_message(evil_payload, answer).has_value());
    Bytes framed(2);
    kith::base::store_be(kith::base::MutableByteView(framed),
                         static_cast<std::uint16_t>(answer.size()));
    kith::base::append(framed, answer);
    ByteView in = framed;
    auto const status = dialer.feed(in);
    CHECK(dialer.is_finished() == status.has_value());
    // A dialer that refuses says nothing more: its own identity stays unknown.
    Bytes reply;
    CHECK(dialer.poll_transmit(reply) == status.has_value());
    return status;
}

Bytes payload_with(ByteView key, ByteView signature) {
    kith::libp2p::NoiseHandshakePayload payload;
    payload.set_identity_key(kith::base::to_text(key));
    payload.set_identity_sig(kith::base::to_text(signature));
    return kith::base::to_bytes(as_bytes(payload.SerializeAsString()));
}

}  // namespace

TEST_CASE("both sides learn the other's proven peer id and agree on a channel, whatever the cuts") {
    Party const a(1), b(2);
    for (std::size_t const step : {std::size_t{1}, std::size_t{7}, std::size_t{100000}}) {
        Handshakes handshakes(a, b,
                              {.dialer_muxers = {}, .listener_muxers = {}, .expected = b.peer});
        REQUIRE(handshakes.run(step).has_value());
        auto first = handshakes.dialer.take_outcome();
        auto second = handshakes.listener.take_outcome();
        CHECK((first.peer == b.peer));
        CHECK((second.peer == a.peer));
        CHECK(first.channel.handshake_hash == second.channel.handshake_hash);
        CHECK_FALSE(first.muxer.has_value());

        Bytes const bulk(200000, 5);
        Bytes wire, got;
        REQUIRE(seal_frames(first.channel.send, bulk, wire).has_value());
        FrameOpener opener;
        for (ByteView rest = wire; !rest.empty();) {
            auto const part = rest.first(std::min<std::size_t>(step * 1000, rest.size()));
            rest = rest.subspan(part.size());
            REQUIRE(opener.feed(second.channel.receive, part, got).has_value());
        }
        CHECK(got == bulk);
    }
}

TEST_CASE("P7: a signature that is not the identity key's is refused") {
    Party const evil(9);
    auto const evil_static = key_of(50);
    auto const good =
        evil.signer.sign(Credentials::to_sign(kith::crypto::x25519_public_key(evil_static)));
    CHECK(dial_evil(payload_with(evil.peer.to_protobuf(), good), evil_static).has_value());
    for (std::size_t i = 0; i < good.size(); i += 7) {
        auto bad = good;
        bad[i] ^= 1;
        auto const status = dial_evil(payload_with(evil.peer.to_protobuf(), bad), evil_static);
        REQUIRE_FALSE(status.has_value());
        CHECK(status.error().code == Code::unauthorized);
    }
    // Somebody else's name over one's own signature.
    CHECK_FALSE(
        dial_evil(payload_with(Party(3).peer.to_protobuf(), good), evil_static).has_value());
    CHECK_FALSE(dial_evil(payload_with(evil.peer.to_protobuf(), Bytes{}), evil_static).has_value());
    CHECK_FALSE(
        dial_evil(payload_with(evil.peer.to_protobuf(), Bytes(63, 1)), evil_static).has_value());
}

TEST_CASE(
    "S15: a man in the middle cannot present another peer's genuine payload over his own static "
    "key") {
    Party const honest(2);
    auto const genuine = honest.credentials.payload({});
    CHECK(dial_evil(genuine, honest.credentials.static_key()).has_value());
    auto const status = dial_evil(genuine, key_of(66));
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().code == Code::unauthorized);
}

TEST_CASE("P7: another peer than the expected one is refused although it proves itself") {
    Party const a(1), b(2), c(3);
    Handshakes handshakes(a, b, {.dialer_muxers = {}, .listener_muxers = {}, .expected = c.peer});
    auto const status = handshakes.run();
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().code == Code::unauthorized);
    CHECK_FALSE(handshakes.dialer.is_finished());
    CHECK_FALSE(handshakes.listener.is_finished());
}

TEST_CASE("identity keys other than Ed25519 and malformed payloads are refused cleanly") {
    Bytes rsa{0x08, 0x00, 0x12, 0x20};
    rsa.resize(36, 1);
    CHECK(dial_evil(payload_with(rsa, Bytes(64, 0)), key_of(50)).error().code == Code::unsupported);
    CHECK_FALSE(dial_evil(Bytes{}, key_of(50)).has_value());
    CHECK_FALSE(dial_evil(Bytes{0xff, 0xff, 0xff}, key_of(50)).has_value());
    CHECK_FALSE(dial_evil(payload_with(Bytes(37, 8), Bytes(64, 0)), key_of(50)).has_value());
}

TEST_CASE("the muxer is agreed early when both sides announce one, the dialer's preference first") {
    Party const a(1), b(2);
    Handshakes both(
        a, b,
        {.dialer_muxers = {"/x", "/b", "/a"}, .listener_muxers = {"/a", "/b"}, .expected = {}});
    REQUIRE(both.run().has_value());
    CHECK(both.dialer.take_outcome().muxer == "/b");
    CHECK(both.listener.take_outcome().muxer == "/b");
    Handshakes one(a, b, {.dialer_muxers = {"/a"}, .listener_muxers = {}, .expected = {}});
    REQUIRE(one.run().has_value());
    CHECK_FALSE(one.dialer.take_outcome().muxer.has_value());
    CHECK_FALSE(one.listener.take_outcome().muxer.has_value());
    Handshakes none(a, b, {.dialer_muxers = {"/a"}, .listener_muxers = {"/b"}, .expected = {}});
    CHECK(none.run().error().code == Code::unsupported);
}

TEST_CASE("a list of more than a hundred muxers counts as none") {
    Party const a(1), b(2);
    Handshakes many(a, b,
                    {.dialer_muxers = std::vector<std::string>(muxers_max + 1, "/a"),
                     .listener_muxers = {"/a"},
                     .expected = {}});
    REQUIRE(many.run().has_value());
    CHECK_FALSE(many.listener.take_outcome().muxer.has_value());
}

TEST_CASE("handshake messages above the limit are refused at their length") {
    Party const b(2);
    for (std::size_t const size : {handshake_message_max + 1, message_bytes_max}) {
        Libp2pHandshake listener({.role = Role::responder, .muxers = {}, .expected_peer = {}},
                                 b.credentials, key_of(12));
        Bytes length(2);
        kith::base::store_be(kith::base::MutableByteView(length), static_cast<std::uint16_t>(size));
        ByteView in = length;
        CHECK(listener.feed(in).error().code == Code::too_large);
    }
}

TEST_CASE("a transport frame shorter than a tag is an error and an empty one is legal") {
    Party const a(1), b(2);
    Handshakes handshakes(a, b, {});
    REQUIRE(handshakes.run().has_value());
    auto first = handshakes.dialer.take_outcome();
    auto second = handshakes.listener.take_outcome();
    Bytes empty{0, tag_bytes}, got;
    REQUIRE(first.channel.send.seal({}, {}, empty).has_value());
    FrameOpener opener;
    CHECK(opener.feed(second.channel.receive, empty, got).has_value());
    CHECK(got.empty());
    for (std::size_t size = 0; size < tag_bytes; ++size) {
        Bytes shorter{0, static_cast<std::uint8_t>(size)};
        shorter.resize(2 + size);
        FrameOpener fresh;
        CHECK(fresh.feed(second.channel.receive, shorter, got).error().code == Code::unauthorized);
    }
}
