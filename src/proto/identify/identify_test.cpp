#include "proto/identify/identify.h"

#include <doctest/doctest.h>

#include "schema/libp2p.pb.h"

using namespace kith::proto::identify;
using kith::base::as_bytes;
using kith::base::ByteArray;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::identity::PeerId;
using kith::wire::Multiaddr;

namespace {

ByteArray<32> key_of(std::uint8_t fill) {
    ByteArray<32> key;
    key.fill(fill);
    return key;
}

Bytes framed(kith::libp2p::Identify const& message) {
    Bytes out;
    kith::wire::append_frame(out, as_bytes(message.SerializeAsString()));
    return out;
}

Info sample() {
    Info info;
    info.protocol_version = "ipfs/0.1.0";
    info.agent_version = "kith/0.1";
    info.protocols = {"/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"};
    info.listen_addresses = {Multiaddr::from_text("/ip4/127.0.0.1/tcp/8810").value()};
    info.observed_address = Multiaddr::from_text("/ip6/::1/tcp/99").value();
    info.signed_peer_record = {1, 2, 3};
    return info;
}

}  // namespace

TEST_CASE("what is built is read back, byte by byte") {
    auto const message = build(sample(), key_of(5));
    Reader reader{PeerId(key_of(5))};
    for (auto const byte : message) CHECK(reader.feed(ByteView(&byte, 1)).has_value());
    auto const info = reader.finish().value();
    CHECK(info.protocol_version == "ipfs/0.1.0");
    CHECK(info.agent_version == "kith/0.1");
    CHECK(info.protocols == sample().protocols);
    CHECK(info.listen_addresses == sample().listen_addresses);
    CHECK(info.observed_address == sample().observed_address);
    CHECK(info.signed_peer_record == sample().signed_peer_record);
}

TEST_CASE("P7: a public key that is not the connected peer's is refused") {
    Reader reader{PeerId(key_of(6))};
    auto const status = reader.feed(build(sample(), key_of(5)));
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().code == Code::unauthorized);
}

TEST_CASE("ten messages are merged, the eleventh is refused") {
    Reader reader{PeerId(key_of(5))};
    for (std::size_t i = 0; i < messages_max; ++i) {
        kith::libp2p::Identify message;
        message.add_protocols("/p" + std::to_string(i));
        message.add_protocols("/same");
        CHECK(reader.feed(framed(message)).has_value());
    }
    CHECK(reader.feed(framed({})).error().code == Code::too_large);
    Reader merged{PeerId(key_of(5))};
    kith::libp2p::Identify first, second;
    first.set_agent_version("a");
    second.set_signed_peer_record("record");
    CHECK(merged.feed(framed(first)).has_value());
    CHECK(merged.feed(framed(second)).has_value());
    auto const info = merged.finish().value();
    CHECK(info.agent_version == "a");
    CHECK(info.signed_peer_record.size() == 6);
}

TEST_CASE("addresses nobody knows are skipped and long versions clipped") {
    kith::libp2p::Identify message;
    message.add_listen_addrs("\xff\xff");
    message.add_listen_addrs("");
    auto const good = Multiaddr::from_text("/ip4/1.2.3.4/tcp/1")->to_bytes();
    message.add_listen_addrs(kith::base::to_text(good));
    message.set_observed_addr("nonsense");
    message.set_agent_version(std::string(5000, 'x'));
    Reader reader{PeerId(key_of(5))};
    REQUIRE(reader.feed(framed(message)).has_value());
    auto const info = reader.finish().value();
    CHECK(info.listen_addresses.size() == 1);
    CHECK_FALSE(info.observed_address.has_value());
    CHECK(info.agent_version.size() == version_chars_max);
}

TEST_CASE("too many protocols, oversized messages, garbage and early ends are refused") {
    kith::libp2p::Identify many;
    for (std::size_t i = 0; i <= protocols_max; ++i) many.add_protocols("/p" + std::to_string(i));
    Reader crowded{PeerId(key_of(5))};
    CHECK(crowded.feed(framed(many)).error().code == Code::too_large);

    Reader oversized{PeerId(key_of(5))};
    Bytes length;
    kith::wire::append_frame(length, Bytes(message_bytes_max + 1, 0));
    CHECK(oversized.feed(length).error().code == Code::too_large);

    Reader garbled{PeerId(key_of(5))};
    CHECK(garbled.feed(Bytes{3, 0xff, 0xff, 0xff}).error().code == Code::invalid);

    Reader cut{PeerId(key_of(5))};
    CHECK_FALSE(cut.finish().has_value());
    CHECK(cut.feed(Bytes{3, 0x0a}).has_value());
    CHECK_FALSE(cut.finish().has_value());
}

TEST_CASE("what we send stays below what rust-libp2p accepts") {
    auto info = sample();
    for (int i = 0; i < 200; ++i)
        info.protocols.push_back("/kith/a-rather-long-protocol-name/" + std::to_string(i));
    CHECK(build(info, key_of(5)).size() <= message_bytes_sent_max + 2);
}
