#include <doctest/doctest.h>

#include <limits>

#include "wire/frame.h"
#include "wire/multiaddr.h"
#include "wire/reader.h"
#include "wire/varint.h"
#include "wire/writer.h"

using namespace kith::wire;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;

TEST_CASE("a varint reads back and says how long it was") {
    for (std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127}, std::uint64_t{128},
          std::uint64_t{300}, std::uint64_t{16384}, varint_value_max}) {
        Bytes bytes;
        append_varint(bytes, value);
        CHECK(bytes.size() == varint_size(value));
        bytes.push_back(0x55);
        auto const read = read_varint(bytes).value();
        REQUIRE(read.has_value());
        CHECK(read->value == value);
        CHECK(read->size == bytes.size() - 1);
    }
}

TEST_CASE(
    "a varint is refused when not minimal or longer than nine bytes, and waited for when cut") {
    CHECK_FALSE(read_varint(Bytes{0x80, 0x00}).has_value());
    CHECK_FALSE(read_varint(Bytes{0xff, 0x80, 0x00}).has_value());
    CHECK_FALSE(read_varint(Bytes(10, 0xff)).has_value());
    CHECK(read_varint(Bytes{0x80}).value() == std::nullopt);
    CHECK(read_varint(Bytes{}).value() == std::nullopt);
    CHECK(read_varint(Bytes(8, 0xff)).value() == std::nullopt);
    CHECK_FALSE(read_varint(Bytes(9, 0xff)).has_value());
}

TEST_CASE("frames arrive whole whatever the cuts, and leftovers stay with the caller") {
    Bytes stream;
    append_frame(stream, as_bytes("one"));
    append_frame(stream, as_bytes(""));
    append_frame(stream, Bytes(300, 7));
    for (std::size_t step = 1; step <= stream.size(); ++step) {
        FrameReader reader(300);
        std::vector<Bytes> frames;
        for (std::size_t at = 0; at < stream.size(); at += step) {
            ByteView in = ByteView(stream).subspan(at, std::min(step, stream.size() - at));
            while (auto frame = reader.next(in).value()) frames.push_back(*frame);
            CHECK(in.empty());
        }
        REQUIRE(frames.size() == 3);
        CHECK(frames[0] == Bytes{'o', 'n', 'e'});
        CHECK(frames[1].empty());
        CHECK(frames[2] == Bytes(300, 7));
        CHECK(reader.at_boundary());
    }
}

TEST_CASE("a frame one byte above the limit is refused at its length, before any body") {
    Bytes length;
    append_varint(length, 301);
    FrameReader reader(300);
    ByteView in = length;
    auto const result = reader.next(in);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Code::too_large);
}

TEST_CASE("fields read back in the order written and nothing is read past the end") {
    Writer writer;
    writer.u8(1)
        .u16(0x0203)
        .u32(0x04050607)
        .u64(8)
        .prefixed_u16(as_bytes("ab"))
        .prefixed_u32(as_bytes("c"));
    Bytes const bytes = writer.take();
    Reader reader(bytes);
    CHECK(reader.u8().value() == 1);
    CHECK(reader.u16().value() == 0x0203);
    CHECK(reader.u32().value() == 0x04050607);
    CHECK(reader.u64().value() == 8);
    CHECK(kith::base::to_text(reader.prefixed_u16(2).value()) == "ab");
    CHECK_FALSE(reader.expect_end().has_value());
    CHECK(kith::base::to_text(reader.prefixed_u32(1).value()) == "c");
    CHECK(reader.expect_end().has_value());
    CHECK_FALSE(reader.u8().has_value());
    Reader bounded(ByteView(bytes).subspan(15));
    CHECK(bounded.prefixed_u16(1).error().code == Code::too_large);
}

TEST_CASE("addresses keep their text and binary forms") {
    for (char const* text :
         {"/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/1", "/dns4/example.org/tcp/443",
          "/ip4/10.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
          "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/"
          "p2p-circuit"}) {
        auto const address = Multiaddr::from_text(text);
        REQUIRE(address.has_value());
        CHECK(address->to_text() == text);
        CHECK(Multiaddr::from_bytes(address->to_bytes()).value() == *address);
    }
    // Known bytes: code 4, four bytes, code 6, port big-endian.
    CHECK(Multiaddr::from_text("/ip4/127.0.0.1/tcp/4001")->to_bytes() ==
          Bytes{4, 127, 0, 0, 1, 6, 0x0f, 0xa1});
}

TEST_CASE("an address gives its endpoint and peer where it has them") {
    auto const address =
        Multiaddr::from_text(
            "/ip6/::1/tcp/80/ipfs/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp")
            .value();
    CHECK(address.tcp_endpoint()->ip == "::1");
    CHECK(address.tcp_endpoint()->port == 80);
    CHECK(address.peer_multihash()->size() == 38);
    CHECK_FALSE(Multiaddr::from_text("/dns4/a.b/tcp/1")->tcp_endpoint().has_value());
    CHECK(Multiaddr::tcp("127.0.0.1", 5)->to_text() == "/ip4/127.0.0.1/tcp/5");
    CHECK_FALSE(Multiaddr::tcp("localhost", 5).has_value());
}

TEST_CASE("malformed addresses are refused with the right code") {
    CHECK(Multiaddr::from_text("/ip4/1.2.3.4/quic-v1").error().code == Code::unsupported);
    for (char const* text :
         {"", "/", "ip4/1.2.3.4", "/ip4", "/ip4/", "/ip4/1.2.3", "/tcp/65536", "/tcp/-1", "/tcp/1x",
          "/dns4/a b/tcp/1", "/p2p/0OIl", "/ip4//tcp/1", "/tcp/1/"})
        CHECK(Multiaddr::from_text(text).error().code == Code::invalid);
    CHECK(Multiaddr::from_text(std::string(multiaddr_text_max + 1, '/')).error().code ==
          Code::too_large);
    CHECK_FALSE(Multiaddr::from_bytes(Bytes{4, 1, 2, 3}).has_value());
    CHECK_FALSE(Multiaddr::from_bytes(Bytes{0xa5, 0x03, 0xff, 0x01}).has_value());
    CHECK(Multiaddr::from_bytes(Bytes{0x01}).error().code == Code::unsupported);
}

TEST_CASE("an address has at most sixteen parts") {
    std::string text;
    for (std::size_t i = 0; i < multiaddr_components_max; ++i) text += "/tcp/1";
    CHECK(Multiaddr::from_text(text).has_value());
    CHECK(Multiaddr::from_text(text + "/tcp/1").error().code == Code::too_large);
}

// Found by address_fuzz: such an address had a text and no binary form that anybody would read.
TEST_CASE("a multiaddr has 512 bytes at most, whichever way it is made") {
    auto const name = [](std::size_t size) { return "/dns4/" + std::string(size, 'a'); };
    auto const longest = Multiaddr::from_text(name(253) + name(253)).value();
    CHECK(longest.to_bytes().size() == multiaddr_bytes_max);
    CHECK(Multiaddr::from_bytes(longest.to_bytes()).value() == longest);
    CHECK(Multiaddr::from_text(name(253) + name(253) + "/tcp/1").error().code == Code::too_large);
    CHECK(longest.with_circuit().error().code == Code::too_large);
    CHECK(longest.with_peer(Bytes(38)).error().code == Code::too_large);
}

TEST_CASE(
    "an address through a relay is put together and taken apart again, and no other shape is") {
    std::string const relay = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    std::string const target = "12D3KooWSSchzF81YDUKpe9Uk5AHV5oqAaXAcWNSPYgoLauUk4st";
    auto const at_relay = Multiaddr::from_text("/ip4/1.2.3.4/tcp/5/p2p/" + relay).value();
    auto const circuit = at_relay.with_circuit().value();
    CHECK(circuit.to_text() == at_relay.to_text() + "/p2p-circuit");
    auto const open = circuit.circuit().value();
    CHECK(open.relay_at.ip == "1.2.3.4");
    CHECK(open.relay_at.port == 5);
    CHECK(open.relay == at_relay.peer_multihash());
    CHECK(open.target.empty());
    auto const whole = Multiaddr::from_text(circuit.to_text() + "/p2p/" + target).value();
    CHECK(whole.circuit()->target == whole.peer_multihash());
    for (auto const& text : std::vector<std::string>{
             at_relay.to_text(), "/p2p-circuit/p2p/" + target, "/ip4/1.2.3.4/tcp/5/p2p-circuit",
             "/dns4/a.b/tcp/5/p2p/" + relay + "/p2p-circuit", circuit.to_text() + "/tcp/5",
             whole.to_text() + "/p2p-circuit", circuit.to_text() + "/p2p-circuit"})
        CHECK_FALSE(Multiaddr::from_text(text)->circuit().has_value());
}
