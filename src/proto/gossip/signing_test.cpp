#include "proto/gossip/signing.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "base/encoding.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "proto/gossip/gossip_test_bench.h"

using namespace kith::proto::gossip;
using kith::base::as_bytes;
using kith::base::Code;
using kith::base::code_of;
using kith::libp2p::PubsubMessage;
using test::identity_of;

namespace {

Code verdict(PubsubMessage const& message) {
    auto const origin = read_origin(message, SignaturePolicy::strict_sign);
    if (!origin) return origin.error().code;
    auto const status = verify_signature(message, (**origin).author);
    return status ? Code::cancelled : status.error().code;  // cancelled: nothing was refused
}

}  // namespace

TEST_CASE("a signed message proves its author and number") {
    auto const author = identity_of(3);
    auto const message = sign_message("topic", as_bytes("data"), 0x0102, author);
    CHECK_FALSE(message.has_key());
    CHECK(message.seqno() == std::string("\0\0\0\0\0\0\1\2", 8));
    auto const origin = read_origin(message, SignaturePolicy::strict_sign).value();
    REQUIRE(origin.has_value());
    CHECK(origin->author == author.peer_id());
    CHECK(origin->seqno == 0x0102);
    CHECK(verify_signature(message, origin->author).has_value());
    CHECK(signed_id(*origin).size() == 46);
}

TEST_CASE("the signature is over the prefix and fields 1 to 4 in tag order, without the key") {
    auto const author = identity_of(3);
    auto message = sign_message("t", as_bytes("d"), 1, author);
    kith::base::Bytes text = kith::base::to_bytes(as_bytes("libp2p-pubsub:"));
    kith::base::append(text, kith::base::Bytes{0x0a, 38});
    kith::base::append(text, author.peer_id().to_multihash());
    kith::base::append(
        text, kith::base::Bytes{0x12, 1, 'd', 0x1a, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0x22, 1, 't'});
    kith::crypto::Ed25519Signature signature;
    std::ranges::copy(as_bytes(message.signature()), signature.begin());
    CHECK(kith::crypto::ed25519_verify(author.operational_public_key(), text, signature));
    // js sends the key along: it changes nothing.
    message.set_key(kith::base::to_text(author.peer_id().to_protobuf()));
    CHECK(verdict(message) == Code::cancelled);
}

TEST_CASE("StrictSign refuses what is missing, malformed or another's") {
    auto const author = identity_of(3);
    auto const other = identity_of(4);
    auto const good = sign_message("topic", as_bytes("data"), 9, author);
    auto const changed = [&good](auto change) {
        auto message = good;
        change(message);
        return verdict(message);
    };
    CHECK(changed([](auto&) {}) == Code::cancelled);
    CHECK(changed([](auto& m) { m.clear_from(); }) == Code::invalid);
    CHECK(changed([](auto& m) { m.clear_seqno(); }) == Code::invalid);
    CHECK(changed([](auto& m) { m.set_seqno("1234567"); }) == Code::invalid);
    CHECK(changed([](auto& m) { m.set_seqno("123456789"); }) == Code::invalid);
    CHECK(changed([](auto& m) { m.clear_signature(); }) == Code::invalid);
    CHECK(changed([](auto& m) { m.set_signature("short"); }) == Code::unauthorized);
    CHECK(changed([](auto& m) { m.set_data("other"); }) == Code::unauthorized);
    CHECK(changed([](auto& m) { m.clear_data(); }) == Code::unauthorized);
    CHECK(changed([](auto& m) { m.set_topic("other"); }) == Code::unauthorized);
    CHECK(changed([](auto& m) { m.set_seqno("87654321"); }) == Code::unauthorized);
    CHECK(changed([](auto& m) { m.set_from("\x12\x20" + std::string(32, 'x')); }) ==
          Code::unsupported);
    CHECK(changed([&](auto& m) {
              m.set_from(kith::base::to_text(other.peer_id().to_multihash()));
          }) == Code::unauthorized);
    CHECK(changed([&](auto& m) {
              m.set_key(kith::base::to_text(other.peer_id().to_protobuf()));
          }) == Code::invalid);
    CHECK(changed([](auto& m) { m.set_key(""); }) == Code::invalid);
}

TEST_CASE("StrictNoSign refuses fields that are present, even empty ones") {
    auto const policy = SignaturePolicy::strict_no_sign;
    PubsubMessage plain;
    plain.set_topic("t");
    plain.set_data("d");
    CHECK(read_origin(plain, policy).has_value());
    for (int field = 0; field < 4; ++field) {
        auto message = plain;
        if (field == 0) message.set_from("");
        if (field == 1) message.set_seqno("");
        if (field == 2) message.set_signature("");
        if (field == 3) message.set_key("");
        auto const sent = decode_rpc(encode_publish(message)).value().publish(0);
        CHECK(code_of(read_origin(sent, policy)) == Code::invalid);
    }
}

TEST_CASE("a content id depends on topic and data, and not on where one ends") {
    CHECK(content_id("ab", as_bytes("c")) != content_id("a", as_bytes("bc")));
    CHECK(content_id("a", as_bytes("b")).size() == kith::crypto::sha256_bytes);
}
