#include "proto/dcutr/message.h"

#include "base/encoding.h"
#include "proto/dcutr/dcutr_test_bench.h"
#include "schema/libp2p.pb.h"

using namespace kith::proto::dcutr;
using namespace kith::proto::dcutr::test;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::wire::Multiaddr;
using kith::wire::Reach;

namespace {

Bytes hex(std::string_view text) {
    return kith::base::from_hex(text).value();
}

std::vector<Multiaddr> usable_of(Reach reach, std::vector<std::string> const& texts) {
    std::vector<Multiaddr> addresses;
    for (auto const& text : texts) addresses.push_back(at(text));
    return usable(reach, addresses);
}

}  // namespace

TEST_CASE("the bytes are those of the specification") {
    // HolePunch{type = CONNECT (100), ObsAddrs = [/ip4/127.0.0.1/tcp/4001]}, and SYNC (300)
    CHECK(frame(Connect{{at("/ip4/127.0.0.1/tcp/4001")}}) == hex("0c08641208047f000001060fa1"));
    CHECK(frame(Sync{}) == hex("0308ac02"));
    auto const connect = parse(hex("08641208047f000001060fa1")).value();
    REQUIRE(std::holds_alternative<Connect>(connect));
    CHECK(std::get<Connect>(connect).addresses ==
          std::vector<Multiaddr>{at("/ip4/127.0.0.1/tcp/4001")});
    CHECK(std::holds_alternative<Sync>(parse(hex("08ac02")).value()));
}

TEST_CASE("what is no message of the protocol is refused") {
    CHECK(parse({}).error().code == Code::invalid);             // no type
    CHECK(parse(hex("0801")).error().code == Code::invalid);    // a type nobody knows
    CHECK(parse(hex("0864ff")).error().code == Code::invalid);  // cut short
    CHECK(parse(Bytes(message_bytes_max + 1)).error().code == Code::too_large);
}

TEST_CASE("addresses of unknown kinds are left out, the others stand") {
    kith::libp2p::HolePunch message;
    message.set_type(kith::libp2p::HolePunch::CONNECT);
    message.add_addresses("nonsense");
    message.add_addresses("");
    message.add_addresses(kith::base::to_text(at("/ip4/192.0.2.1/tcp/1").to_bytes()));
    auto const parsed = parse(kith::base::as_bytes(message.SerializeAsString())).value();
    CHECK(std::get<Connect>(parsed).addresses ==
          std::vector<Multiaddr>{at("/ip4/192.0.2.1/tcp/1")});
}

TEST_CASE("no more addresses are told than addresses_max") {
    Connect many;
    for (std::size_t i = 0; i <= addresses_max; ++i)
        many.addresses.push_back(at("/ip4/198.51.100.7/tcp/" + std::to_string(1000 + i)));
    auto const parsed = parse(body(frame(many))).value();
    CHECK(std::get<Connect>(parsed).addresses.size() == addresses_max);
    CHECK(usable(Reach::public_network, many.addresses).size() == addresses_max);
}

TEST_CASE("a peer cannot have us dial what a stranger of that reach must not name") {
    std::vector<std::string> const named{"/ip4/127.0.0.1/tcp/22", "/ip4/169.254.1.1/tcp/22",
                                         "/ip4/224.0.0.1/tcp/22", "/ip4/0.0.0.0/tcp/22",
                                         "/ip6/::1/tcp/22",       "/ip6/fe80::1/tcp/22",
                                         "/ip6/ff02::1/tcp/22",   "/ip4/8.8.8.8/tcp/0",
                                         "/ip4/8.8.8.8/udp/22",   "/ip6/64:ff9b::7f00:1/tcp/1"};
    CHECK(usable_of(Reach::public_network, named).empty());
    CHECK(usable_of(Reach::private_network, named).empty());
    CHECK(usable_of(Reach::loopback, named).size() == 2);
    CHECK(usable_of(Reach::public_network, {"/ip4/192.168.1.1/tcp/22"}).empty());
    CHECK(usable_of(Reach::private_network, {"/ip4/192.168.1.1/tcp/22"}).size() == 1);
}

TEST_CASE("an address that is named twice is dialled once") {
    auto const peer = "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    auto const kept = usable_of(Reach::public_network,
                                {"/ip4/8.8.8.8/tcp/1", std::string("/ip4/8.8.8.8/tcp/1") + peer});
    CHECK(kept == std::vector<Multiaddr>{at("/ip4/8.8.8.8/tcp/1")});
}
