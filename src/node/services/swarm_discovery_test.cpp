// What whole nodes do with it: tests/adversary/discovery_attacks.cpp.
#include "node/services/swarm_discovery.h"

#include <doctest/doctest.h>

#include "wire/frame.h"

using namespace kith;
using namespace kith::node;

namespace {

std::vector<wire::Multiaddr> addresses(std::size_t count) {
    std::vector<wire::Multiaddr> made;
    for (std::size_t i = 0; i < count; ++i)
        made.push_back(
            wire::Multiaddr::tcp("10.0.0.7", static_cast<std::uint16_t>(8000 + i)).value());
    return made;
}

}  // namespace

TEST_CASE("the addresses of a member come out of a record as they went in") {
    for (auto const count : {std::size_t{0}, std::size_t{1}, member_addresses_max}) {
        auto const before = addresses(count);
        auto const after = decode_addresses(encode_addresses(before));
        REQUIRE(after.has_value());
        CHECK(*after == before);
    }
    auto const kept = decode_addresses(encode_addresses(addresses(member_addresses_max + 1)));
    REQUIRE(kept.has_value());
    CHECK(*kept == addresses(member_addresses_max));
}

TEST_CASE("a body that is no list of addresses is refused, whatever is wrong with it") {
    auto const good = encode_addresses(addresses(2));
    for (std::size_t size = 1; size < good.size(); ++size) {
        INFO("cut to ", size);
        auto const cut = decode_addresses(base::ByteView(good).first(size));
        CHECK((!cut || cut->size() == 1));  // the end of the first frame is a fair place to end
    }
    base::Bytes many;
    for (std::size_t i = 0; i <= member_addresses_max; ++i)
        wire::append_frame(many, addresses(1).front().to_bytes());
    CHECK(decode_addresses(many).error().code == base::Code::too_large);
    base::Bytes nonsense;
    wire::append_frame(nonsense, base::as_bytes("not a multiaddr"));
    CHECK_FALSE(decode_addresses(nonsense).has_value());
    base::Bytes long_one;
    wire::append_frame(long_one, base::Bytes(address_bytes_max + 1));
    CHECK(decode_addresses(long_one).error().code == base::Code::too_large);
}
