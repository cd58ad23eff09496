#include "node/services/dcutr_service.h"

#include <algorithm>

#include "node/services/service_net_test.h"

using namespace kith::node;
using namespace kith::node::test;
using kith::base::Code;
using kith::ports::ConnectionId;
using kith::wire::Multiaddr;
using namespace std::chrono_literals;
namespace dcutr = kith::proto::dcutr;

namespace {

// `a` and `b` are behind routers; `a` reached `b` through the relay `r`.
struct Punched {
    Punched() : r(net.add()), a(net.add()), b(net.add()) {
        a.behind_router = b.behind_router = true;
        auto const link = b.host->dial(r.at, r.identity.peer_id(), net.clock.at).value();
        net.run();
        REQUIRE(b.service.reserve_at(link, net.clock.at).has_value());
        net.run();
        at_a = a.service
                   .dial({.relay_at = r.at, .relay = r.identity.peer_id(), .target = std::nullopt},
                         b.identity.peer_id(), net.clock.at)
                   .value();
        net.run();
        auto const relayed = b.connected(Path::relayed);
        REQUIRE(relayed.size() == 1);
        at_b = relayed[0];
    }
    static std::vector<PeerConnected> direct(Machine const& machine, Machine const& to) {
        std::vector<PeerConnected> found;
        for (auto const& event : machine.events)
            if (auto const* up = std::get_if<PeerConnected>(&event.what);
                up && up->path == Path::direct && up->peer.peer() == to.identity.peer_id())
                found.push_back(*up);
        return found;
    }
    static std::size_t downs(Machine const& machine) {
        return static_cast<std::size_t>(std::ranges::count_if(machine.events, [](auto const& one) {
            return std::holds_alternative<LinkDown>(one.what);
        }));
    }

    Net net;
    Machine &r, &a, &b;
    ConnectionId at_a, at_b;  // the relayed connection
};

Multiaddr at(std::string const& text) {
    return Multiaddr::from_text(text).value();
}

}  // namespace

TEST_CASE("two peers behind routers get from a relayed connection to a direct one") {
    Punched world;
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    world.net.pass(10s);
    auto const at_a = Punched::direct(world.a, world.b);
    auto const at_b = Punched::direct(world.b, world.a);
    REQUIRE(at_a.size() == 1);
    REQUIRE(at_b.size() == 1);
    CHECK(at_a[0].direction == Direction::outbound);  // it dialled through the relay: the client
    CHECK(at_b[0].direction == Direction::inbound);
    CHECK(at_a[0].peer.channel() == at_b[0].peer.channel());
    CHECK(world.a.dcutr.upgrades_count() == 0);
    CHECK(world.b.dcutr.upgrades_count() == 0);
    CHECK(world.a.dcutr.dials_count() == 0);
    CHECK(Punched::downs(world.a) == 0);  // the relayed one is the owner's to end
    CHECK(Punched::downs(world.b) == 0);
}

TEST_CASE("who can be dialled is dialled, without any punching") {
    Punched world;
    world.a.behind_router = false;
    world.b.knows = {at("/ip4/" + world.a.at.ip + "/tcp/8810")};
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    world.net.run();
    auto const at_b = Punched::direct(world.b, world.a);
    REQUIRE(at_b.size() == 1);
    CHECK(at_b[0].direction == Direction::outbound);
    CHECK(world.b.dcutr.upgrades_count() == 0);
}

TEST_CASE("where holes cannot be punched nothing is left behind, and nobody hears of it") {
    Punched world;
    world.a.told = {at("/ip4/10.0.0.77/tcp/1")};  // not where it is
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    world.net.pass(60s);
    CHECK(Punched::direct(world.a, world.b).empty());
    CHECK(world.a.dcutr.upgrades_count() == 0);
    CHECK(world.b.dcutr.upgrades_count() == 0);
    CHECK(world.a.dcutr.dials_count() == 0);
    CHECK(world.b.dcutr.dials_count() == 0);
    CHECK(Punched::downs(world.a) == 0);
    CHECK(Punched::downs(world.b) == 0);
    CHECK(world.a.host->round_trip(world.at_a).has_value());  // the relayed one stands
}

TEST_CASE("a link that we dialled, a direct one and a second try are left alone") {
    Punched world;
    world.a.dcutr.upgrade(world.at_a, world.net.clock.at);
    world.b.dcutr.upgrade(world.b.connected(Path::direct)[0], world.net.clock.at);
    CHECK(world.a.dcutr.upgrades_count() == 0);
    CHECK(world.b.dcutr.upgrades_count() == 0);
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    CHECK(world.b.dcutr.upgrades_count() == 1);
}

TEST_CASE("P31: somebody else who answers at the address named is refused") {
    Punched world;
    auto& mallory = world.net.add();  // sits at the address that `b` says is its own
    world.b.told = {Multiaddr::tcp(mallory.at.ip, mallory.at.port).value()};
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    world.net.pass(60s);
    CHECK(Punched::direct(world.a, mallory).empty());
    CHECK(Punched::direct(world.a, world.b).empty());
    CHECK(Punched::downs(world.a) == 0);
}

TEST_CASE("P5: a peer that is not served does not make this node dial") {
    Punched world;
    world.a.may_punch = false;
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    world.net.pass(30s);
    CHECK(Punched::direct(world.a, world.b).empty());
    CHECK(world.a.dcutr.dials_count() == 0);
}

TEST_CASE("a peer that asks again and again gets a few answers a minute") {
    Punched world;
    std::size_t answered = 0;
    for (std::size_t i = 0; i < punches_per_peer_max + 3; ++i) {
        auto const stream =
            world.b.host->open_stream(world.at_b, std::string(dcutr::protocol), world.net.clock.at)
                .value();
        world.b.host->write(world.at_b, stream, dcutr::frame(dcutr::Connect{}));
        world.net.run();
        auto const data = world.b.heard<StreamData>(world.at_b);
        if (std::ranges::any_of(data, [&](auto const& one) { return one.id == stream; }))
            ++answered;
    }
    CHECK(answered == punches_per_peer_max);
    CHECK(world.a.dcutr.upgrades_count() <= 1);
}

TEST_CASE("a relayed link that ends takes its punching with it") {
    Punched world;
    world.b.told.clear();
    world.b.dcutr.upgrade(world.at_b, world.net.clock.at);
    world.net.run();
    world.b.host->disconnect(world.at_b, {Code::cancelled, "over"});
    world.net.run();
    CHECK(world.a.dcutr.upgrades_count() == 0);
    CHECK(world.b.dcutr.upgrades_count() == 0);
    CHECK(world.a.dcutr.dials_count() == 0);
    CHECK(world.b.dcutr.dials_count() == 0);
}
