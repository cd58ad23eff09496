#include "node/link/host.h"

#include <doctest/doctest.h>

#include <random>
#include <set>

using namespace kith::node;
using kith::base::as_bytes;
using kith::base::as_text;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::Instant;
using kith::identity::Identity;
using kith::identity::PeerId;
using kith::ports::Close;
using kith::ports::ConnectionId;
using kith::ports::Dial;
using kith::ports::DialFrom;
using kith::ports::SocketAddress;
using kith::ports::Transmit;
using namespace std::chrono_literals;

namespace {

struct SeededRng final : kith::ports::Rng {
    explicit SeededRng(unsigned seed) : random(seed) {}
    kith::base::Status fill(kith::base::MutableByteView out) override {
        if (broken) return kith::base::fail(Code::io, "no randomness");
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
        return {};
    }
    std::mt19937 random;
    bool broken = false;
};

Identity identity_of(SeededRng& rng) {
    kith::crypto::Secret<kith::identity::identity_random_bytes> seed;
    REQUIRE(rng.fill(seed.mutable_view()).has_value());
    return Identity::create(seed, kith::base::UnixTime{1'800'000'000}).value();
}

struct Machine {
    explicit Machine(unsigned seed, HostOptions options = {})
        : rng(seed),
          identity(identity_of(rng)),
          host(Host::create(identity, rng, std::move(options)).value()) {}

    SeededRng rng;
    Identity identity;
    std::unique_ptr<Host> host;
    std::vector<HostEvent> events;
};

// Two machines on a wire: dials of `a` arrive at `b` as the next odd id.
struct Wire {
    explicit Wire(HostOptions a_options = {}, HostOptions b_options = {})
        : a(1, std::move(a_options)), b(2, std::move(b_options)) {}

    void run() {
        bool moved = true;
        while (moved) {
            moved = step(a, b, to_b, to_a);
            moved = step(b, a, to_a, to_b) || moved;
        }
    }

    bool step(Machine& from, Machine& to, std::map<ConnectionId, ConnectionId>& peer_ids,
              std::map<ConnectionId, ConnectionId>& back) {
        bool const moved = carry(from, to, peer_ids, back);
        while (auto event = from.host->poll_event()) from.events.push_back(std::move(*event));
        return moved;
    }

    bool carry(Machine& from, Machine& to, std::map<ConnectionId, ConnectionId>& peer_ids,
               std::map<ConnectionId, ConnectionId>& back) {
        bool moved = false;
        while (auto output = from.host->poll_output()) {
            moved = true;
            if (auto const* request = std::get_if<Dial>(&*output)) {
                ConnectionId const far{next_odd};
                next_odd += 2;
                peer_ids[request->id] = far;
                back[far] = request->id;
                to.host->on_accepted(far, {.ip = "10.0.0.1", .port = 1}, now);
                from.host->on_connected(request->id, now);
            }
            if (auto const* transmit = std::get_if<Transmit>(&*output)) {
                Bytes bytes;
                while (from.host->poll_transmit(transmit->id, bytes, now)) {
                }
                if (!bytes.empty() && peer_ids.contains(transmit->id))
                    to.host->on_bytes(peer_ids[transmit->id], bytes, now);
            }
            if (auto const* closed = std::get_if<Close>(&*output)) {
                if (peer_ids.contains(closed->id))
                    to.host->on_closed(peer_ids[closed->id],
                                       {.code = Code::unavailable, .message = "eof"}, now);
            }
        }
        return moved;
    }

    Instant now{};
    std::uint64_t next_odd = 1;
    std::map<ConnectionId, ConnectionId> to_b, to_a;
    Machine a, b;
};

template <class T>
std::vector<T> of(Machine const& machine) {
    std::vector<T> found;
    for (auto const& event : machine.events)
        if (auto const* one = std::get_if<T>(&event.what)) found.push_back(*one);
    return found;
}

}  // namespace

TEST_CASE("a dialled host is connected on both ends and streams carry data") {
    Wire wire({}, {.limits = {}, .accepted_protocols = {"/echo"}});
    auto const id =
        wire.a.host->dial({.ip = "10.0.0.2", .port = 8810}, wire.b.identity.peer_id(), wire.now)
            .value();
    wire.run();
    REQUIRE(of<PeerConnected>(wire.a).size() == 1);
    REQUIRE(of<PeerConnected>(wire.b).size() == 1);
    CHECK((of<PeerConnected>(wire.a)[0].peer.peer() == wire.b.identity.peer_id()));
    CHECK((of<PeerConnected>(wire.b)[0].peer.peer() == wire.a.identity.peer_id()));
    CHECK(of<PeerConnected>(wire.b)[0].direction == Direction::inbound);
    auto const stream = wire.a.host->open_stream(id, "/echo", wire.now).value();
    CHECK(wire.a.host->write(id, stream, as_bytes("hi")) == 2);
    wire.run();
    REQUIRE(of<StreamData>(wire.b).size() == 1);
    CHECK(as_text(of<StreamData>(wire.b)[0].bytes) == "hi");
}

TEST_CASE("each connection ends in exactly one LinkDown on either side, whoever ends it") {
    Wire wire;
    auto const id = wire.a.host->dial({.ip = "10.0.0.2", .port = 1}, {}, wire.now).value();
    wire.run();
    wire.a.host->disconnect(id, {.code = Code::forbidden, .message = "kicked"});
    wire.a.host->disconnect(id, {.code = Code::forbidden, .message = "again"});
    wire.run();
    REQUIRE(of<LinkDown>(wire.a).size() == 1);
    CHECK(of<LinkDown>(wire.a)[0].reason.code == Code::forbidden);
    CHECK(of<LinkDown>(wire.b).size() == 1);
    CHECK(wire.a.host->links_count() == 0);
    CHECK(wire.b.host->links_count() == 0);
    CHECK(wire.a.host->open_stream(id, "/echo", wire.now).error().code == Code::not_found);
    wire.a.host->on_bytes(id, Bytes{1, 2, 3}, wire.now);
    wire.a.host->on_closed(id, {.code = Code::unavailable, .message = "late"}, wire.now);
    CHECK(wire.a.host->poll_event() == std::nullopt);
}

TEST_CASE("P7: dialling somebody else than expected ends in unauthorized and connects nobody") {
    Wire wire;
    REQUIRE(wire.a.host->dial({.ip = "10.0.0.2", .port = 1}, wire.a.identity.peer_id(), wire.now)
                .has_value());
    wire.run();
    CHECK(of<PeerConnected>(wire.a).empty());
    CHECK(of<PeerConnected>(wire.b).empty());
    REQUIRE(of<LinkDown>(wire.a).size() == 1);
    CHECK(of<LinkDown>(wire.a)[0].reason.code == Code::unauthorized);
    CHECK(of<LinkDown>(wire.b).size() == 1);
}

TEST_CASE("a dial nobody answers times out, and a refused one says why") {
    Machine machine(1);
    REQUIRE(machine.host->dial({.ip = "10.0.0.2", .port = 1}, {}, Instant{}).has_value());
    CHECK(machine.host->deadline() == Instant{} + HostLimits{}.dial_timeout);
    machine.host->on_deadline(Instant{} + HostLimits{}.dial_timeout);
    auto const event = machine.host->poll_event();
    REQUIRE(event.has_value());
    CHECK(std::get<LinkDown>(event->what).reason.code == Code::timeout);
    CHECK(machine.host->links_count() == 0);
    auto const id = machine.host->dial({.ip = "10.0.0.2", .port = 1}, {}, Instant{}).value();
    machine.host->on_closed(id, {.code = Code::unavailable, .message = "refused"}, Instant{});
    CHECK(std::get<LinkDown>(machine.host->poll_event()->what).reason.code == Code::unavailable);
}

TEST_CASE("a slow inbound handshake is dropped in time and its place is free again") {
    Machine machine(1);
    machine.host->on_accepted({1}, {.ip = "10.0.0.9", .port = 5}, Instant{});
    machine.host->on_bytes({1}, Bytes{0x13}, Instant{});
    CHECK(machine.host->deadline() == Instant{} + 5s);
    machine.host->on_deadline(Instant{} + 5s);
    CHECK(std::get<LinkDown>(machine.host->poll_event()->what).reason.code == Code::timeout);
    CHECK(machine.host->links_count() == 0);
}

TEST_CASE("unproven inbound connections are limited, in total and per address") {
    HostLimits const limits{
        .connections_max = 10, .pending_inbound_max = 5, .pending_per_ip_max = 2};
    auto const count_after = [&](auto const& address_of, std::uint64_t count) {
        Machine machine(1, {.limits = limits, .accepted_protocols = {}});
        for (std::uint64_t i = 0; i < count; ++i)
            machine.host->on_accepted({2 * i + 1}, address_of(i), Instant{});
        CHECK(machine.host->poll_event() == std::nullopt);
        return machine.host->links_count();
    };
    auto const same = [](std::uint64_t) { return SocketAddress{.ip = "10.0.0.9", .port = 5}; };
    auto const different = [](std::uint64_t i) {
        return SocketAddress{.ip = "10.0.0." + std::to_string(i), .port = 5};
    };
    CHECK(count_after(same, 2) == 2);
    CHECK(count_after(same, 3) == 2);
    CHECK(count_after(different, 5) == 5);
    CHECK(count_after(different, 6) == 5);
}

TEST_CASE(
    "proved strangers of one address use up their own share; who is vouched for does not count") {
    HostLimits const limits{.pending_per_ip_max = 2, .strangers_max = 3};
    Machine machine(1, {.limits = limits, .accepted_protocols = {}});
    std::uint64_t next = 1;
    auto const accept = [&](std::string const& ip) {
        auto const before = machine.host->links_count();
        machine.host->on_accepted(ConnectionId{next++}, {.ip = ip, .port = 5}, Instant{});
        return machine.host->links_count() > before;
    };
    CHECK(accept("10.0.0.2"));
    CHECK(accept("10.0.0.2"));
    CHECK_FALSE(accept("10.0.0.2"));
    CHECK(accept("10.0.0.3"));
    CHECK_FALSE(accept("10.0.0.4"));
    machine.host->vouch(ConnectionId{1});
    CHECK(accept("10.0.0.2"));
    CHECK_FALSE(accept("10.0.0.4"));
}

TEST_CASE("the connection beyond the last allowed one is refused, dialled or accepted") {
    HostLimits const limits{
        .connections_max = 3, .pending_inbound_max = 5, .pending_per_ip_max = 5};
    Machine machine(1, {.limits = limits, .accepted_protocols = {}});
    for (int i = 0; i < 3; ++i)
        CHECK(machine.host->dial({.ip = "10.0.0.2", .port = 1}, {}, Instant{}).has_value());
    CHECK(machine.host->dial({.ip = "10.0.0.2", .port = 1}, {}, Instant{}).error().code ==
          Code::too_large);
    machine.host->on_accepted({1}, {.ip = "10.0.0.9", .port = 5}, Instant{});
    CHECK(machine.host->links_count() == 3);
}

TEST_CASE("of many connections that one peer proves, the newest stay; what was dialled stays too") {
    HostLimits const limits{.pending_per_ip_max = 99, .inbound_per_peer_max = 3};
    Wire wire({}, {.limits = limits, .accepted_protocols = {}});
    auto const dial = [](Machine& from, Machine const& to) {
        auto const id = from.host->dial({.ip = "10.0.0.2", .port = 1}, to.identity.peer_id(), {});
        REQUIRE(id.has_value());
        return *id;
    };
    std::vector<ConnectionId> dialled;
    for (int i = 0; i < 3; ++i) dialled.push_back(dial(wire.a, wire.b));
    wire.run();
    CHECK(wire.b.host->links_count() == 3);
    for (int i = 0; i < 20; ++i) {
        dialled.push_back(dial(wire.a, wire.b));
        wire.run();
        CHECK(wire.b.host->links_count() == 3);
    }
    CHECK(of<LinkDown>(wire.b).size() == 20);
    CHECK(of<LinkDown>(wire.b)[0].reason.code == Code::too_large);
    // Which: on the other end exactly the last three are still there.
    CHECK(wire.a.host->links_count() == 3);
    for (std::size_t i = dialled.size() - 3; i < dialled.size(); ++i)
        CHECK(wire.a.host->open_stream(dialled[i], "/x", {}).has_value());
}

TEST_CASE("an owner may end a connection, or all of them, in the middle of any event") {
    // cpp-libp2p#301, kagome#1204: freed inside of its own callback.
    for (int stop_at = 1; stop_at <= 5; ++stop_at) {
        for (bool const all : {false, true}) {
            INFO("event ", stop_at, " all ", all);
            HostOptions const options{.limits = {}, .accepted_protocols = {"/x"}};
            Wire wire({}, options);
            std::vector<ConnectionId> dialled;
            for (int i = 0; i < 2; ++i)
                dialled.push_back(wire.a.host->dial({.ip = "10.0.0.2", .port = 1}, {}, {}).value());
            wire.run();
            auto const id = wire.a.host->open_stream(dialled[0], "/x", {}).value();
            auto const other = wire.a.host->open_stream(dialled[0], "/x", {}).value();
            wire.a.host->write(dialled[0], id, Bytes(200'000, 1));
            wire.b.events.clear();
            wire.carry(wire.a, wire.b, wire.to_b, wire.to_a);
            wire.a.host->close_write(dialled[0], id);
            wire.a.host->reset(dialled[0], other);
            wire.carry(wire.a, wire.b, wire.to_b, wire.to_a);
            // Opened twice, data, end, reset: polled here, and at one of them b ends things.
            int nth = 0;
            while (auto event = wire.b.host->poll_event()) {
                wire.b.events.push_back(*event);
                if (++nth != stop_at) continue;
                kith::base::Error const why{.code = Code::cancelled, .message = "enough"};
                wire.b.host->disconnect(event->connection, why);
                wire.b.host->write(event->connection, id, as_bytes("too late"));
                wire.b.host->consumed(event->connection, id, 1);
                if (all)
                    for (std::uint64_t one = 1; one < 6; one += 2)
                        wire.b.host->disconnect({one}, why);
            }
            wire.run();
            auto const left = wire.b.host->links_count();
            CHECK(nth >= stop_at);
            CHECK(left == (all ? 0 : 1));
            CHECK(wire.a.host->links_count() == left);
            std::set<ConnectionId> down;  // each ends once, and nothing follows
            for (auto const& event : wire.b.events) {
                CHECK_FALSE(down.contains(event.connection));
                if (std::holds_alternative<LinkDown>(event.what)) down.insert(event.connection);
            }
            CHECK(down.size() == 2 - left);
        }
    }
}

TEST_CASE("without randomness no link is made") {
    Machine machine(1);
    machine.rng.broken = true;
    machine.host->on_accepted({1}, {.ip = "10.0.0.9", .port = 5}, Instant{});
    CHECK(std::get<LinkDown>(machine.host->poll_event()->what).reason.code == Code::io);
    CHECK(machine.host->links_count() == 0);
    auto const created = Host::create(machine.identity, machine.rng, {});
    REQUIRE_FALSE(created.has_value());
    CHECK(created.error().code == Code::io);
}

namespace {

// Both ends dialled: TCP made one connection of it.
struct Crossing {
    explicit Crossing(PeerId const* a_expects = nullptr) {
        auto const expected_a = a_expects != nullptr ? *a_expects : wire.b.identity.peer_id();
        client = wire.a.host->dial(to, expected_a, wire.now, options(LinkRole::dialer)).value();
        server =
            wire.b.host->dial(to, wire.a.identity.peer_id(), wire.now, options(LinkRole::listener))
                .value();
        CHECK(std::get<Dial>(*wire.a.host->poll_output()).from == DialFrom::listen_port);
        CHECK(std::get<Dial>(*wire.b.host->poll_output()).from == DialFrom::listen_port);
        wire.to_b[client] = server;
        wire.to_a[server] = client;
        wire.a.host->on_connected(client, wire.now);
        wire.b.host->on_connected(server, wire.now);
        wire.run();
    }
    static DialOptions options(LinkRole role) {
        return {.from = DialFrom::listen_port, .role = role};
    }

    SocketAddress to{.ip = "10.0.0.9", .port = 8810};
    Wire wire;
    ConnectionId client, server;
};

}  // namespace

TEST_CASE("where both ends dialled, their roles say who is the client") {
    Crossing crossing;
    auto const at_client = of<PeerConnected>(crossing.wire.a);
    auto const at_server = of<PeerConnected>(crossing.wire.b);
    REQUIRE(at_client.size() == 1);
    REQUIRE(at_server.size() == 1);
    CHECK(at_client[0].direction == Direction::outbound);
    CHECK(at_server[0].direction == Direction::inbound);
    CHECK(at_server[0].peer.peer() == crossing.wire.a.identity.peer_id());
    CHECK(at_client[0].peer.channel() == at_server[0].peer.channel());
}

TEST_CASE("P31: where both ends dialled, another key than the expected one is refused") {
    SeededRng rng(9);
    auto const other = identity_of(rng).peer_id();
    Crossing crossing(&other);
    CHECK(of<PeerConnected>(crossing.wire.a).empty());
    auto const down = of<LinkDown>(crossing.wire.a);
    REQUIRE(down.size() == 1);
    CHECK(down[0].reason.code == Code::unauthorized);
}

TEST_CASE("P31: the server of a crossed dial refuses another key as well") {
    Wire wire;
    SeededRng rng(9);
    auto const other = identity_of(rng).peer_id();
    SocketAddress const to{.ip = "10.0.0.9", .port = 8810};
    auto const client =
        wire.a.host->dial(to, std::nullopt, wire.now, Crossing::options(LinkRole::dialer)).value();
    auto const server =
        wire.b.host->dial(to, other, wire.now, Crossing::options(LinkRole::listener)).value();
    (void)wire.a.host->poll_output();
    (void)wire.b.host->poll_output();
    wire.to_b[client] = server;
    wire.to_a[server] = client;
    wire.a.host->on_connected(client, wire.now);
    wire.b.host->on_connected(server, wire.now);
    wire.run();
    CHECK(of<PeerConnected>(wire.b).empty());
    auto const down = of<LinkDown>(wire.b);
    REQUIRE(down.size() == 1);
    CHECK(down[0].reason.code == Code::unauthorized);
}
