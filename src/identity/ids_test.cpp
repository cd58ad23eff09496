#include "identity/ids.h"

#include <doctest/doctest.h>

#include <unordered_set>

#include "base/encoding.h"
#include "crypto/ed25519.h"
#include "crypto/mldsa65.h"
#include "identity/contexts.h"

using namespace kith;
using namespace identity;
using base::Code;

namespace {

crypto::Secret<32> filled(std::uint8_t byte) {
    crypto::Secret<32> out;
    std::ranges::fill(out.mutable_view(), byte);
    return out;
}

NodeId node_of_seed_ending_in(std::uint8_t byte) {
    crypto::Secret<32> seed;
    seed.mutable_view()[31] = byte;
    return NodeId{crypto::Ed25519KeyPair(seed).public_key()};
}

base::Bytes bytes_of(std::string_view hex) {
    auto out = base::from_hex(hex);
    REQUIRE(out);
    return *out;
}

}  // namespace

TEST_CASE("E3: an address is 34 characters beginning with E and reads back") {
    for (std::uint8_t i = 0; i < 8; ++i) {
        auto const address = Address::of(crypto::MlDsa65SigningKey(filled(i)).public_key());
        auto const text = address.to_text();
        CHECK(text.size() == address_chars);
        CHECK(text[0] == 'E');
        auto const parsed = Address::parse(text);
        REQUIRE(parsed);
        CHECK(*parsed == address);
    }
    // The two ends of the range, so that no address can look different.
    Address lowest;
    Address highest;
    highest.hash.fill(0xff);
    CHECK(lowest.to_text() == "EH9uVaqWRxHuzJbroqzX18yxmeW8XVJyV9");
    CHECK(Address::parse(lowest.to_text()));
    CHECK(highest.to_text()[0] == 'E');
    CHECK(highest.to_text().size() == address_chars);
}

TEST_CASE("E3: no address with one changed, lost or added character is accepted") {
    auto const text = Address::of(crypto::MlDsa65SigningKey(filled(1)).public_key()).to_text();
    constexpr std::string_view digits =
        "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl ";
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (char const digit : digits) {
            auto changed = text;
            changed[i] = digit;
            if (changed != text) CHECK(!Address::parse(changed));
        }
        auto shorter = text;
        shorter.erase(i, 1);
        CHECK(!Address::parse(shorter));
        auto longer = text;
        longer.insert(i, 1, '1');
        CHECK(!Address::parse(longer));
    }
    CHECK(!Address::parse(""));
}

TEST_CASE("E3: other versions and lengths are refused even with a right checksum") {
    for (int version = 0; version < 256; ++version) {
        base::Bytes payload(21, 5);
        payload[0] = static_cast<std::uint8_t>(version);
        CHECK(Address::parse(to_base58check(payload)).has_value() == (version == address_version));
    }
    for (std::size_t const size : {0U, 1U, 20U, 22U, 33U}) {
        base::Bytes payload(size, address_version);
        CHECK(!Address::parse(to_base58check(payload)));
    }
}

TEST_CASE("a node id shows its first 8 bytes, and two with the same display stay different") {
    NodeId a{{0xab, 0xcd}};
    NodeId b = a;
    b.bytes[31] = 1;
    CHECK(a.to_short() == "abcd000000000000");
    CHECK(a.to_short() == b.to_short());
    CHECK(a != b);
    CHECK((a <=> b) == std::strong_ordering::less);
    CHECK(std::unordered_set<NodeId>{a, b, a}.size() == 2);
    CHECK(NodeId::parse(a.to_hex()) == a);
    CHECK(!NodeId::parse(a.to_short()));
    CHECK(!NodeId::parse(std::string(64, 'g')));
    CHECK(!NodeId::parse(a.to_hex() + "00"));
}

TEST_CASE("peer ids are those js-libp2p and rust-libp2p derive from the same seeds") {
    CHECK(PeerId(node_of_seed_ending_in(1)).to_text() ==
          "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp");
    CHECK(PeerId(node_of_seed_ending_in(4)).to_text() ==
          "12D3KooWSsChzF81YDUKpe9Uk5AHV5oqAaXAcWNSPYgoLauUk4st");
    CHECK(PeerId(node_of_seed_ending_in(7)).to_text() ==
          "12D3KooWE3quQCP6Xu7eXpcmmpwVS1KofWnPCBWYNHCswgaqwCso");
}

TEST_CASE("a peer id is read from base58, from CIDv1 base32, from its multihash and its protobuf") {
    constexpr std::string_view text = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    auto const peer = PeerId::parse(text);
    REQUIRE(peer);
    CHECK(peer->to_text() == text);
    CHECK(PeerId::parse("bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3l") ==
          *peer);
    CHECK(PeerId::from_multihash(peer->to_multihash()) == *peer);
    CHECK(PeerId::from_protobuf(peer->to_protobuf()) == *peer);
    CHECK(base::to_hex(peer->to_protobuf()) ==
          "080112202ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b");
}

TEST_CASE("P7: keys that are not Ed25519 are refused with a sentence that says so") {
    auto const refused = [](base::Result<PeerId> const& result) {
        REQUIRE(!result);
        CHECK(result.error().code == Code::unsupported);
        CHECK(result.error().message.find("Ed25519") != std::string::npos);
    };
    refused(PeerId::parse("16Uiu2HAmCrkEifo33vCmFSjzbqYEyqHPhom8HEJ4JYF4xDR1UMGN"));  // secp256k1
    refused(PeerId::parse("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"));  // hashed RSA key
    for (std::uint8_t const type : base::Bytes{0, 2, 3, 9}) {
        base::Bytes protobuf = {0x08, type, 0x12, 0x20};
        protobuf.resize(public_key_protobuf_bytes, 7);
        refused(PeerId::from_protobuf(protobuf));
    }
}

TEST_CASE("P7: no second encoding of a public key is accepted") {
    auto const peer = PeerId(node_of_seed_ending_in(1));
    auto const good = peer.to_protobuf();
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK(!PeerId::from_protobuf(base::ByteView(good).first(size)));
    auto longer = base::to_bytes(good);
    longer.push_back(0);
    CHECK(!PeerId::from_protobuf(longer));
    CHECK(!PeerId::from_protobuf(
        bytes_of("1220" + base::to_hex(peer.public_key()) + "0801")));  // order
    CHECK(!PeerId::from_protobuf(
        bytes_of("0881001220" + base::to_hex(peer.public_key()))));  // long varint
    CHECK(!PeerId::from_multihash({}));
    CHECK(!PeerId::from_multihash(bytes_of("0025" + base::to_hex(good))));
    CHECK(!PeerId::parse(""));
    CHECK(!PeerId::parse("b"));
    CHECK(!PeerId::parse(
        "bafzaajaiaejcal72gwuz2or47oyxxn6b3rkwdmmkrxgkjxzy3rqt5kczyn7lcm3lb"));  // stray bits
    CHECK(!PeerId::parse("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"));  // a file
    CHECK(!PeerId::parse(std::string(129, '1')));
}

TEST_CASE(
    "a root id is a tagged hash: the same key hashed for another purpose gives another value") {
    auto const root = crypto::MlDsa65SigningKey(filled(1)).public_key();
    auto const id = RootId::of(root);
    CHECK(RootId::parse(id.to_hex()) == id);
    CHECK(!RootId::parse(id.to_hex().substr(2)));
    auto other = root;
    other[1951] ^= 1;
    CHECK(RootId::of(other) != id);
    CHECK(root_id_tag != context::identity_binding);
}
