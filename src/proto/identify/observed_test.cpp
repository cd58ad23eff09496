#include "proto/identify/observed.h"

#include <doctest/doctest.h>

using namespace kith::proto::identify;
using kith::base::Instant;
using kith::wire::Multiaddr;
using namespace std::chrono_literals;

namespace {

Multiaddr at(std::string const& text) {
    return Multiaddr::from_text(text).value();
}

std::string observer(std::size_t network, int host = 1) {
    return "9.8." + std::to_string(network) + "." + std::to_string(host);
}

}  // namespace

TEST_CASE("an address is believed when observers of three networks agree, and not before") {
    ObservedAddresses observed;
    Instant const now{};
    auto const seen = at("/ip4/5.6.7.8/tcp/8810");
    observed.vote(observer(1), seen, now);
    observed.vote(observer(2), seen, now);
    CHECK(observed.believed(now).empty());
    observed.vote(observer(3), seen, now);
    CHECK(observed.believed(now) == std::vector{seen});
}

TEST_CASE("many observers of one network are one, also in IPv6 clothes") {
    ObservedAddresses observed;
    Instant const now{};
    auto const seen = at("/ip4/5.6.7.8");
    for (int host = 1; host < 200; ++host) observed.vote(observer(1, host), seen, now);
    observed.vote("::ffff:9.8.1.250", seen, now);
    observed.vote(observer(2), seen, now);
    CHECK(observed.believed(now).empty());
    for (auto const* one : {"2a00:1:2:3::1", "2a00:1:2:3:4::5"}) observed.vote(one, seen, now);
    CHECK(observed.believed(now).size() == 1);
    ObservedAddresses six;
    for (auto const* one : {"2a00:1:2:3::1", "2a00:1:2:3:ffff::1", "2a00:1:2:4::1"})
        six.vote(one, seen, now);
    CHECK(six.believed(now).empty());
    six.vote("2a00:1:2:5::1", seen, now);
    CHECK(six.believed(now).size() == 1);
}

TEST_CASE("votes that disagree do not add up, and votes die") {
    ObservedAddresses observed;
    Instant const now{};
    observed.vote(observer(1), at("/ip4/5.6.7.8/tcp/1"), now);
    observed.vote(observer(2), at("/ip4/5.6.7.8/tcp/2"), now);
    observed.vote(observer(3), at("/ip4/5.6.7.8"), now);
    CHECK(observed.believed(now).empty());
    observed.vote(observer(4), at("/ip4/5.6.7.8"), now + 1min);
    observed.vote(observer(5), at("/ip4/5.6.7.8"), now + 2min);
    CHECK(observed.believed(now + 2min).size() == 1);
    CHECK(observed.believed(now + vote_lives - 1us).size() == 1);
    CHECK(observed.believed(now + vote_lives).empty());
    observed.vote(observer(3), at("/ip4/5.6.7.8"), now + vote_lives);
    CHECK(observed.believed(now + vote_lives).size() == 1);
}

TEST_CASE("addresses that nobody on the internet can reach, and other shapes, get no votes") {
    for (auto const* text :
         {"/ip4/10.0.0.1", "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.1", "/ip4/172.31.0.1",
          "/ip4/100.64.0.1", "/ip4/169.254.1.1", "/ip4/0.0.0.0", "/ip4/224.0.0.1",
          "/ip4/255.255.255.255", "/ip4/192.0.2.1", "/ip6/::1", "/ip6/fe80::1", "/ip6/fc00::1",
          "/ip6/2001:db8::1", "/ip6/2002:a00:1::1", "/ip6/ff02::1", "/dns4/a.b/tcp/1",
          "/ip4/5.6.7.8/udp/1", "/ip6/::ffff:10.0.0.1"}) {
        ObservedAddresses observed;
        for (std::size_t network = 0; network < 5; ++network)
            observed.vote(observer(network), at(text), Instant{});
        CHECK_MESSAGE(observed.believed(Instant{}).empty(), text);
    }
    CHECK(is_global("172.32.0.1"));
    CHECK(is_global("100.128.0.1"));
    CHECK(is_global("2a00::1"));
    CHECK_FALSE(is_global("example.org"));
    CHECK_FALSE(network_of("").has_value());
}

TEST_CASE("a network keeps its last four votes, and the networks heard longest ago go first") {
    ObservedAddresses observed;
    Instant now{};
    auto const seen = at("/ip4/5.6.7.8/tcp/1");
    for (std::size_t network = 1; network <= observers_min; ++network)
        observed.vote(observer(network), seen, now);
    for (std::size_t i = 0; i < votes_per_network_max - 1; ++i)
        observed.vote(observer(1), at("/ip4/5.6.7.8/tcp/" + std::to_string(10 + i)), now);
    CHECK(observed.believed(now).size() == 1);
    observed.vote(observer(1), at("/ip4/5.6.7.8/tcp/99"), now);
    CHECK(observed.believed(now).empty());
    observed.vote(observer(1), seen, now);
    now += 1s;
    for (std::size_t network = 0; network < networks_max - observers_min; ++network)
        observed.vote(observer(100 + network), at("/ip4/1.2.3.4"), now);
    CHECK(observed.believed(now).size() == 2);
    observed.vote(observer(99), at("/ip4/1.2.3.4"), now);
    CHECK(observed.believed(now) == std::vector{at("/ip4/1.2.3.4")});
}
