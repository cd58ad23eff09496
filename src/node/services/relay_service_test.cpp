#include "node/services/service_net_test.h"

using namespace kith::node;
using namespace kith::node::test;
using kith::base::as_bytes;
using kith::base::as_text;
using kith::base::Bytes;
using kith::base::Code;
using kith::ports::ConnectionId;
using kith::proto::relay::Grant;
using kith::proto::relay::ServerLimits;
using namespace std::chrono_literals;
namespace relay = kith::proto::relay;

namespace {

// `b` has a reservation at `r`, `a` may dial it there.
struct Relayed {
    explicit Relayed(HostLimits b_limits = {}, ServerLimits limits = {})
        : r(net.add({}, limits)), a(net.add()), b(net.add(b_limits)) {}

    void reserve() {
        link = b.host->dial(r.at, r.identity.peer_id(), net.clock.at).value();
        net.run();
        REQUIRE(b.service.reserve_at(link, net.clock.at).has_value());
        net.run();
    }
    ConnectionId dial() {
        auto const id =
            a.service
                .dial({.relay_at = r.at, .relay = r.identity.peer_id(), .target = std::nullopt},
                      b.identity.peer_id(), net.clock.at)
                .value();
        net.run();
        return id;
    }

    Net net;
    Machine &r, &a, &b;
    ConnectionId link;  // of b to r
};

}  // namespace

TEST_CASE(
    "a peer is reached through a relay, proved end to end, and streams carry data both ways") {
    Relayed world;
    world.reserve();
    auto const id = world.dial();
    auto const up = world.a.heard<PeerConnected>(id);
    REQUIRE(up.size() == 1);
    CHECK((up[0].peer.peer() == world.b.identity.peer_id()));
    CHECK(up[0].path == Path::relayed);
    CHECK(up[0].direction == Direction::outbound);
    CHECK((up[0].remote == world.r.at));
    auto const far = world.b.connected(Path::relayed);
    REQUIRE(far.size() == 1);
    auto const accepted = world.b.heard<PeerConnected>(far[0])[0];
    CHECK((accepted.peer.peer() == world.a.identity.peer_id()));
    CHECK(accepted.direction == Direction::inbound);
    CHECK(accepted.peer.channel() == up[0].peer.channel());

    auto const stream = world.a.host->open_stream(id, "/echo", world.net.clock.at).value();
    std::string const secret = "nobody on the way reads this line";
    world.a.host->write(id, stream, as_bytes(secret));
    world.net.run();
    auto const data = world.b.heard<StreamData>(far[0]);
    REQUIRE(data.size() == 1);
    CHECK(as_text(data[0].bytes) == secret);
    world.b.host->write(far[0], data[0].id, as_bytes("answer"));
    world.net.run();
    CHECK(as_text(world.a.heard<StreamData>(id)[0].bytes) == "answer");
    CHECK(as_text(world.r.tape).find(secret) == std::string_view::npos);
    CHECK(world.r.service.server().circuits_count() == 1);
    CHECK(world.r.connected(Path::relayed).empty());
}

TEST_CASE("megabytes pass through a relay whole, however slow the windows make them") {
    Relayed world;
    world.reserve();
    auto const id = world.dial();
    auto const stream = world.a.host->open_stream(id, "/echo", world.net.clock.at).value();
    std::size_t const size = 3'000'000;
    Bytes sent(size), received;
    for (std::size_t i = 0; i < size; ++i) sent[i] = static_cast<std::uint8_t>(i * 31 + (i >> 13));
    for (std::size_t at = 0; at < size;) {
        at += world.a.host->write(id, stream, kith::base::ByteView(sent).subspan(at));
        world.net.run();
    }
    for (auto const& data : world.b.heard<StreamData>(world.b.connected(Path::relayed)[0]))
        kith::base::append(received, data.bytes);
    CHECK(received == sent);
}

TEST_CASE(
    "large transfers both ways at once through a relay finish, read while frames still come") {
    Relayed world;
    world.reserve();
    auto const id = world.dial();
    auto const stream = world.a.host->open_stream(id, "/echo", world.net.clock.at).value();
    auto const far = world.b.connected(Path::relayed)[0];
    world.net.run();
    std::size_t const size = 12'000'000;  // the windows of the circuit grow beyond 1 MiB meanwhile
    Bytes const part(700'000, 3);
    auto const push = [&](Machine& from, ConnectionId link, std::size_t& at) {
        at += from.host->write(link, stream,
                               kith::base::ByteView(part).first(std::min(part.size(), size - at)));
    };
    auto const take = [](Machine& at, std::size_t& got) {
        for (auto const& event : at.events)
            if (auto const* data = std::get_if<StreamData>(&event.what)) got += data->bytes.size();
        at.events.clear();
    };
    std::size_t there = 0, back = 0, got_there = 0, got_back = 0;
    for (int turn = 0; turn < 2000 && (got_there < size || got_back < size); ++turn) {
        push(world.a, id, there);
        push(world.b, far, back);
        world.net.run();
        take(world.b, got_there);
        take(world.a, got_back);
    }
    CHECK(got_there == size);
    CHECK(got_back == size);
}

TEST_CASE("either owner may end the connection below or above while an event of it is handled") {
    // What b hears: a stream is opened, then data, more than once.
    for (int stop_at = 1; stop_at <= 3; ++stop_at) {
        for (bool const below : {false, true}) {
            INFO("event ", stop_at, " below ", below);
            Relayed world;
            world.reserve();
            auto const id = world.dial();
            auto const far = world.b.connected(Path::relayed)[0];
            auto const stream = world.a.host->open_stream(id, "/echo", world.net.clock.at).value();
            world.a.host->write(id, stream, Bytes(500'000, 1));
            int nth = 0;
            world.b.on_event = [&](HostEvent const& event) {
                if (event.connection != far || ++nth != stop_at) return;
                world.b.host->disconnect(below ? world.link : far, {Code::cancelled, "enough"});
            };
            world.net.run();
            CHECK(nth >= stop_at);
            CHECK(world.b.heard<LinkDown>(world.link).size() == (below ? 1 : 0));
            CHECK(world.b.heard<LinkDown>(far).size() == 1);
            CHECK(world.a.heard<LinkDown>(id).size() == 1);
        }
    }
}

TEST_CASE("the addresses a reservation gives lead through the relay, and are gone with its link") {
    Relayed world;
    world.reserve();
    CHECK(world.b.service.take_changed());
    CHECK_FALSE(world.b.service.take_changed());
    auto const addresses = world.b.service.addresses(world.net.clock.at);
    REQUIRE(addresses.size() == 1);
    auto const parsed = parse_circuit(addresses[0]).value();
    CHECK((parsed.relay_at == world.r.at));
    CHECK((parsed.relay == world.r.identity.peer_id()));
    CHECK_FALSE(parsed.target.has_value());
    world.b.host->disconnect(world.link, {Code::cancelled, "enough"});
    world.net.run();
    CHECK(world.b.service.addresses(world.net.clock.at).empty());
    CHECK(world.b.service.take_changed());
    CHECK(world.r.service.server().reservations_count() == 0);
}

TEST_CASE("a reservation is refreshed while its link stands") {
    Relayed world;
    world.reserve();
    world.net.pass(5h);
    CHECK(world.r.service.server().reservations_count() == 1);
    CHECK_FALSE(world.b.service.addresses(world.net.clock.at).empty());
    CHECK(world.a.heard<PeerConnected>(world.dial()).size() == 1);
}

TEST_CASE("dialling says why it came to nothing") {
    auto const reason = [](auto const& prepare) {
        Relayed world;
        prepare(world);
        auto const id = world.dial();
        auto const down = world.a.heard<LinkDown>(id);
        REQUIRE(down.size() == 1);
        CHECK(world.a.heard<PeerConnected>(id).empty());
        CHECK(world.a.connected(Path::relayed).empty());
        return down[0].reason;
    };
    CHECK(reason([](Relayed&) {}).message == "that peer has no reservation at the relay");
    CHECK(reason([](Relayed& world) {
              world.reserve();
              world.r.grant = Grant::refused;
          }).code == Code::forbidden);
    CHECK(reason([](Relayed& world) { world.r.at.port = 1; }).code == Code::unavailable);
}

TEST_CASE("a relay that never answers ends the dial in time, and leaves nothing behind") {
    Relayed world;
    auto const before = world.a.host->links_count();
    auto const id = world.a.service
                        .dial({.relay_at = {.ip = "10.9.9.9", .port = 1},
                               .relay = world.r.identity.peer_id(),
                               .target = std::nullopt},
                              world.b.identity.peer_id(), world.net.clock.at)
                        .value();
    CHECK(world.a.host->links_count() == before + 2);
    world.net.pass(11s);
    CHECK(world.a.heard<LinkDown>(id).size() == 1);
    CHECK(world.a.host->links_count() == before);
}

TEST_CASE("nobody is brought to us by a relay where we hold no reservation") {
    Relayed world;
    auto const id = world.b.host->dial(world.r.at, {}, world.net.clock.at).value();
    world.net.run();
    auto const far = world.r.connected(Path::direct).front();
    auto const stream =
        world.r.host->open_stream(far, std::string(relay::stop_protocol), world.net.clock.at);
    auto const request =
        relay::frame_stop(relay::Connect{.peer = world.a.identity.peer_id(), .limit = {}});
    world.r.host->write(far, *stream, request);
    world.net.run();
    auto const answer = world.r.heard<StreamData>(far);
    REQUIRE(answer.size() == 1);
    CHECK(answer[0].bytes == relay::StopAnswer::refuse(relay::Status::permission_denied));
    CHECK(world.b.connected(Path::relayed).empty());
    CHECK(world.b.heard<LinkDown>(id).empty());
}

TEST_CASE(
    "a relayed connection leads to no other one: no reservation and no relay behind a relay") {
    Relayed world;
    world.reserve();
    auto const id = world.dial();
    CHECK(world.a.service.reserve_at(id, world.net.clock.at).error().code == Code::conflict);
    // Asked all the same, the other end refuses.
    auto const stream =
        world.a.host->open_stream(id, std::string(relay::hop_protocol), world.net.clock.at).value();
    world.a.host->write(id, stream, relay::HopRequest::reserve());
    world.net.run();
    auto const answer = world.a.heard<StreamData>(id);
    REQUIRE(answer.size() == 1);
    CHECK(answer[0].bytes ==
          relay::frame_hop(relay::Answer{.status = relay::Status::permission_denied}));
    auto const through_b = world.a.service.dial(
        {.relay_at = world.b.at, .relay = world.b.identity.peer_id(), .target = std::nullopt},
        world.r.identity.peer_id(), world.net.clock.at);
    CHECK(through_b.error().code == Code::conflict);
    CHECK(world.a.host->accept_relayed({.connection = id, .stream = stream}, {}, world.net.clock.at)
              .error()
              .code == Code::conflict);
}

TEST_CASE("ending a relayed connection on one side ends it on the other, and its circuit") {
    for (bool const by_dialer : {true, false}) {
        Relayed world;
        world.reserve();
        auto const id = world.dial();
        auto const far = world.b.connected(Path::relayed)[0];
        auto& first = by_dialer ? world.a : world.b;
        first.host->disconnect(by_dialer ? id : far, {Code::cancelled, "enough"});
        world.net.run();
        CHECK(world.a.heard<LinkDown>(id).size() == 1);
        CHECK(world.b.heard<LinkDown>(far).size() == 1);
        CHECK(world.r.service.server().circuits_count() == 0);
        CHECK(world.a.host->links_count() == 1);  // to the relay
        CHECK(world.b.host->links_count() == 1);
        CHECK(world.a.heard<PeerConnected>(world.dial()).size() == 1);
    }
}

TEST_CASE("when the relay goes, every connection through it goes, once each") {
    Relayed world;
    world.reserve();
    auto const id = world.dial();
    auto const second = world.dial();
    for (auto const link : world.r.connected(Path::direct))
        world.r.host->disconnect(link, {Code::cancelled, "gone"});
    world.net.run();
    CHECK(world.a.heard<LinkDown>(id).size() == 1);
    CHECK(world.a.heard<LinkDown>(second).size() == 1);
    CHECK(world.a.host->links_count() == 0);
    CHECK(world.b.host->links_count() == 0);
    CHECK(world.r.host->links_count() == 0);
    CHECK(world.r.service.server().circuits_count() == 0);
}

TEST_CASE("limits of a host count relayed connections as any other") {
    Relayed pending({.pending_inbound_max = 0});
    pending.reserve();
    CHECK(pending.a.heard<PeerConnected>(pending.dial()).empty());
    Relayed all({.connections_max = 2});
    all.reserve();
    CHECK(all.a.heard<PeerConnected>(all.dial()).size() == 1);
    CHECK(all.a.heard<PeerConnected>(all.dial()).empty());
    CHECK(all.b.host->links_count() == 2);
}

TEST_CASE("a limited circuit breaks at its bytes and its time, and says so on both ends") {
    Relayed world({}, {.limited = {.duration_s = 60, .data_bytes = 100'000}});
    world.r.grant = Grant::limited;
    world.reserve();
    auto const id = world.dial();
    REQUIRE(world.a.heard<PeerConnected>(id).size() == 1);
    auto const stream = world.a.host->open_stream(id, "/echo", world.net.clock.at).value();
    world.a.host->write(id, stream, Bytes(200'000, 1));
    world.net.run();
    CHECK(world.a.heard<LinkDown>(id).size() == 1);
    CHECK(world.b.heard<LinkDown>(world.b.connected(Path::relayed)[0]).size() == 1);
    auto const second = world.dial();
    REQUIRE(world.a.heard<PeerConnected>(second).size() == 1);
    world.net.pass(59s);
    CHECK(world.a.heard<LinkDown>(second).empty());
    world.net.pass(1s);
    CHECK(world.a.heard<LinkDown>(second).size() == 1);
}

TEST_CASE("P7: a relay that connects us to somebody else than we dialled is found out") {
    Relayed world;
    auto& other = world.net.add();
    world.reserve();
    // The dialler believes that it talks to `other`, the relay has it talk to b.
    auto const id =
        world.a.service
            .dial({.relay_at = world.r.at, .relay = world.r.identity.peer_id(), .target = {}},
                  world.b.identity.peer_id(), world.net.clock.at)
            .value();
    world.a.host->disconnect(id, {Code::cancelled, "the test dials by hand"});
    world.net.run();
    auto const link = world.a.connected(Path::direct)[0];
    auto const wrong =
        world.a.host->dial_relayed(other.identity.peer_id(), world.net.clock.at).value();
    auto const stream =
        world.a.host->open_stream(link, std::string(relay::hop_protocol), world.net.clock.at)
            .value();
    world.a.consumes = false;
    world.a.host->write(link, stream, relay::HopRequest::connect(world.b.identity.peer_id()));
    world.net.run();
    auto const answer = world.a.heard<StreamData>(link);
    REQUIRE(answer.size() == 1);
    auto const yes = relay::frame_hop(relay::Answer{.status = relay::Status::ok});
    world.a.host->consumed(link, stream, yes.size());
    world.a.host->carry(wrong, {.connection = link, .stream = stream},
                        kith::base::ByteView(answer[0].bytes).subspan(yes.size()),
                        world.net.clock.at);
    world.net.run();
    CHECK(world.a.heard<PeerConnected>(wrong).empty());
    REQUIRE(world.a.heard<LinkDown>(wrong).size() == 1);
    CHECK(world.a.heard<LinkDown>(wrong)[0].reason.code == Code::unauthorized);
}

TEST_CASE("addresses that are no circuits, or name foreign keys, are not dialled") {
    std::string const peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    auto const code_of = [](std::string const& text) {
        return parse_circuit(kith::wire::Multiaddr::from_text(text).value()).error().code;
    };
    CHECK(code_of("/ip4/1.2.3.4/tcp/5/p2p/" + peer) == Code::invalid);
    CHECK(code_of("/p2p/" + peer + "/p2p-circuit") == Code::invalid);
    CHECK(code_of("/ip4/1.2.3.4/tcp/5/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
                  "/p2p-circuit") == Code::unsupported);
}
