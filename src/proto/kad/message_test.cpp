#include "proto/kad/message.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "base/encoding.h"
#include "schema/libp2p.pb.h"

using namespace kith::proto::kad;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::Code;
using kith::base::code_of;
using kith::identity::PeerId;
using kith::libp2p::KadMessage;
using kith::wire::Multiaddr;

namespace {

PeerId peer(std::uint8_t fill) {
    kith::base::ByteArray<32> key;
    key.fill(fill);
    return PeerId(key);
}

Multiaddr address(std::string const& text) {
    return Multiaddr::from_text(text).value();
}

Bytes bytes_of(KadMessage const& message) {
    return kith::base::to_bytes(as_bytes(message.SerializeAsString()));
}

std::string id_text(std::uint8_t fill) {
    return kith::base::to_text(peer(fill).to_multihash());
}

Message sample() {
    Message message;
    message.type = MessageType::get_value;
    message.key = {1, 2, 3};
    message.record = Record{.key = {1, 2, 3}, .value = {9}};
    message.closer_peers = {{.id = peer(1), .addresses = {address("/ip4/10.0.0.1/tcp/1")}},
                            {.id = peer(2), .addresses = {}}};
    message.provider_peers = {
        {.peer = {.id = peer(3), .addresses = {address("/ip6/fd00::1/tcp/2")}}, .proof = {7, 7}}};
    return message;
}

}  // namespace

TEST_CASE("what is encoded is decoded") {
    CHECK(decode(encode(sample())).value() == sample());
    for (auto const type :
         {MessageType::put_value, MessageType::add_provider, MessageType::get_providers,
          MessageType::find_node, MessageType::ping}) {
        Message message;
        message.type = type;
        CHECK(decode(encode(message)).value() == message);
    }
}

TEST_CASE("the bytes are those of the specification") {
    // type = 4 (FIND_NODE), key = "ab": written by hand from kad-dht/README.md.
    Message message;
    message.type = MessageType::find_node;
    message.key = {'a', 'b'};
    CHECK(kith::base::to_hex(encode(message)) == "080412026162");
    // Without a type it is PUT_VALUE, as proto3 senders leave zeros out.
    CHECK(decode(kith::base::from_hex("12026162").value())->type == MessageType::put_value);
    // Field 10 (clusterLevelRaw) and fields nobody knows are ignored.
    CHECK(decode(kith::base::from_hex("08041202616250017a0158").value())->key == message.key);
}

TEST_CASE("peers with other keys and addresses with unknown protocols are left out, not refused") {
    KadMessage message;
    message.set_type(4);
    auto* const rsa = message.add_closer_peers();
    rsa->set_id(std::string("\x12\x20") + std::string(32, 'x'));
    message.add_closer_peers()->set_id("");
    auto* const good = message.add_closer_peers();
    good->set_id(id_text(5));
    good->add_addresses("\xff\xff");
    good->add_addresses("");
    for (int i = 0; i < 2; ++i)
        good->add_addresses(kith::base::to_text(address("/ip4/1.2.3.4/tcp/5").to_bytes()));
    auto const decoded = decode(bytes_of(message)).value();
    REQUIRE(decoded.closer_peers.size() == 1);
    CHECK((decoded.closer_peers[0].id == peer(5)));
    CHECK(decoded.closer_peers[0].addresses == std::vector{address("/ip4/1.2.3.4/tcp/5")});
}

TEST_CASE("lists are taken at their limit and refused one past it, before they are built") {
    auto const with_peers = [](std::size_t closer, std::size_t providers) {
        KadMessage message;
        message.set_type(3);
        for (std::size_t i = 0; i < closer; ++i) message.add_closer_peers()->set_id(id_text(1));
        for (std::size_t i = 0; i < providers; ++i)
            message.add_provider_peers()->set_id(id_text(1));
        return bytes_of(message);
    };
    CHECK(decode(with_peers(peers_max, peers_max))->closer_peers.size() == peers_max);
    CHECK(code_of(decode(with_peers(peers_max + 1, 0))) == Code::too_large);
    CHECK(code_of(decode(with_peers(0, peers_max + 1))) == Code::too_large);
    auto const with_addresses = [](std::size_t count) {
        KadMessage message;
        auto* const one = message.add_closer_peers();
        one->set_id(id_text(1));
        for (std::size_t i = 0; i < count; ++i)
            one->add_addresses(kith::base::to_text(
                address("/ip4/1.2.3.4/tcp/" + std::to_string(i + 1)).to_bytes()));
        return bytes_of(message);
    };
    CHECK(decode(with_addresses(wire_addresses_max))->closer_peers[0].addresses.size() ==
          addresses_kept_max);
    CHECK(code_of(decode(with_addresses(wire_addresses_max + 1))) == Code::too_large);
}

TEST_CASE("keys, values, proofs and whole messages are taken at their limit, refused past it") {
    auto const with = [](std::size_t key, std::size_t value, std::size_t proof) {
        KadMessage message;
        message.set_key(std::string(key, 'k'));
        message.mutable_record()->set_key(std::string(key, 'k'));
        message.mutable_record()->set_value(std::string(value, 'v'));
        auto* const provider = message.add_provider_peers();
        provider->set_id(id_text(1));
        provider->set_proof(std::string(proof, 'p'));
        return bytes_of(message);
    };
    CHECK(decode(with(message_key_bytes_max, value_bytes_max, proof_bytes_max)).has_value());
    CHECK(code_of(decode(with(message_key_bytes_max + 1, 1, 1))) == Code::too_large);
    CHECK(code_of(decode(with(1, value_bytes_max + 1, 1))) == Code::too_large);
    CHECK(code_of(decode(with(1, 1, proof_bytes_max + 1))) == Code::too_large);

    Bytes filled = with(1, 1, 1);
    // An unknown field (15, bytes) fills it up to exactly the limit.
    auto const size = message_bytes_max - filled.size() - 4;
    filled.insert(filled.end(), {0x7a, static_cast<std::uint8_t>((size & 0x7f) | 0x80),
                                 static_cast<std::uint8_t>(((size >> 7) & 0x7f) | 0x80),
                                 static_cast<std::uint8_t>(size >> 14)});
    filled.resize(message_bytes_max, 0);
    CHECK(decode(filled).has_value());
    filled.push_back(0);
    CHECK(code_of(decode(filled)) == Code::too_large);
}

TEST_CASE("garbage, cut messages and unknown types are refused") {
    auto const whole = encode(sample());
    for (std::size_t size = 1; size < whole.size(); ++size)
        static_cast<void>(decode(kith::base::ByteView(whole).first(size)).has_value());
    CHECK(code_of(decode(Bytes{0xff, 0xff, 0xff})) == Code::invalid);
    CHECK(code_of(decode(Bytes{0x42, 0x7f, 0x01})) ==
          Code::invalid);  // a peer longer than the rest
    CHECK(code_of(decode(Bytes{0x08, 0x06})) == Code::unsupported);
    CHECK(code_of(decode(Bytes{0x08, 0xff, 0xff, 0xff, 0xff, 0x0f})) == Code::unsupported);
    CHECK(code_of(decode(Bytes{0x0b, 0x0b})) == Code::invalid);  // groups that never end
    CHECK(code_of(decode(Bytes{0x0c})) == Code::invalid);        // the end of no group
}

TEST_CASE("what we send is at most 16 KiB: far peers are left out, a record never is") {
    Message message;
    message.type = MessageType::get_value;
    message.key = Bytes(message_key_bytes_max, 'k');
    message.record = Record{.key = message.key, .value = Bytes(value_bytes_max, 'v')};
    for (std::uint8_t i = 0; i < 40; ++i) {
        PeerInfo info{.id = peer(i), .addresses = {}};
        std::string const name(200, 'a');
        for (int j = 0; j < 8; ++j) info.addresses.push_back(address("/ip4/1.2.3.4/tcp/1"));
        message.closer_peers.push_back(info);
        message.provider_peers.push_back({.peer = info, .proof = Bytes(112, 1)});
    }
    auto const bytes = encode(message);
    CHECK(bytes.size() <= message_bytes_sent_max);
    CHECK(bytes.size() > message_bytes_sent_max - 200);
    auto const decoded = decode(bytes).value();
    CHECK(decoded.record == message.record);
    REQUIRE(decoded.provider_peers.size() > 0);
    CHECK((decoded.provider_peers[0].peer.id == peer(0)));
}
