#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>
#include <set>

#include "io/net/open_files_test.h"
#include "io/net/os.h"
#include "io/net/tcp_driver.h"

using namespace kith::io;
namespace test = kith::io::test;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::Error;
using kith::base::Instant;
using kith::ports::Close;
using kith::ports::ConnectionId;
using kith::ports::Dial;
using kith::ports::DialFrom;
using kith::ports::NetworkOutput;
using kith::ports::SocketAddress;
using kith::ports::Transmit;
using namespace std::chrono_literals;

namespace {

// A core that records what the driver reports and sends what the test queues; with `echo` it sends
// bytes back.
struct ProbeCore final : kith::ports::NetworkCore {
    enum class EndAt { never, accepted, connected, bytes, transmit };

    void on_accepted(ConnectionId id, SocketAddress remote, Instant) override {
        accepted.push_back(id);
        remotes.push_back(std::move(remote));
        end(EndAt::accepted, id);
    }
    void on_connected(ConnectionId id, Instant) override {
        connected.push_back(id);
        end(EndAt::connected, id);
    }
    void on_bytes(ConnectionId id, ByteView bytes, Instant) override {
        kith::base::append(received[id], bytes);
        if (echo) send(id, bytes);
        end(EndAt::bytes, id);
    }
    void on_closed(ConnectionId id, Error reason, Instant) override {
        closed[id] = reason;
        over.insert(id);
    }
    void on_deadline(Instant now) override {
        rung = now;
        due.reset();
    }
    bool poll_transmit(ConnectionId id, Bytes& out, Instant) override {
        end(EndAt::transmit, id);
        if (to_send[id].empty()) return false;
        kith::base::append(out, std::exchange(to_send[id], {}));
        return true;
    }
    std::optional<NetworkOutput> poll_output() override {
        if (outputs.empty()) return std::nullopt;
        auto output = outputs.front();
        outputs.pop_front();
        return output;
    }
    std::optional<Instant> deadline() const override { return due; }

    void send(ConnectionId id, ByteView bytes) {
        kith::base::append(to_send[id], bytes);
        outputs.push_back(Transmit{id});
    }

    // Asks for the end of the connection in the middle of a call about it.
    void end(EndAt at, ConnectionId id) {
        if (at != end_at) return;
        outputs.push_back(Close{id});
        over.insert(id);
    }

    EndAt end_at = EndAt::never;
    bool echo = false;
    std::vector<ConnectionId> accepted, connected;
    std::vector<SocketAddress> remotes;  // of the accepted
    std::map<ConnectionId, Bytes> received, to_send;
    std::map<ConnectionId, Error> closed;
    std::set<ConnectionId> over;  // by either side
    std::deque<NetworkOutput> outputs;
    std::optional<Instant> due, rung;
};

struct Bench {
    Bench() { server.echo = true; }

    // Runs the loop until `done` or the budget of the test is used up.
    template <class Done>
    bool until(Done const& done) {
        auto const give_up = std::chrono::steady_clock::now() + 20s;
        while (!done() && std::chrono::steady_clock::now() < give_up) {
            context.restart();
            context.run_one_for(100ms);
        }
        return done();
    }

    test::OpenFiles open_files;  // of every test here: after it as many as before
    boost::asio::io_context context;
    OsClock clock;
    ProbeCore server, client;
    TcpDriver server_driver{context, server, clock, {}};
    TcpDriver client_driver{context, client, clock, {}};
};

}  // namespace

TEST_CASE("bytes travel both ways over loopback, and an end of file is reported once") {
    Bench bench;
    auto const bound = bench.server_driver.listen({.ip = "127.0.0.1", .port = 0}).value();
    CHECK(bound.port != 0);
    ConnectionId const id{2};
    bench.client.outputs.push_back(Dial{.id = id, .to = bound});
    bench.client_driver.pump();
    REQUIRE(bench.until([&] { return !bench.client.connected.empty(); }));
    Bytes const bulk(3'000'000, 9);
    bench.client.send(id, bulk);
    bench.client_driver.pump();
    REQUIRE(bench.until([&] { return bench.client.received[id].size() == bulk.size(); }));
    CHECK(bench.client.received[id] == bulk);
    CHECK(bench.server.accepted.front().value % 2 == 1);
    bench.client.send(id, Bytes(10, 1));
    bench.client.outputs.push_back(Close{id});
    bench.client_driver.pump();
    REQUIRE(bench.until([&] { return !bench.server.closed.empty(); }));
    CHECK(bench.server.received.begin()->second.size() == bulk.size() + 10);
    CHECK(bench.client.closed.empty());
}

TEST_CASE("a dial that fails is reported as closed") {
    Bench bench;
    // A port that was free a moment ago and that nobody listens on now.
    SocketAddress nobody;
    {
        TcpDriver gone(bench.context, bench.server, bench.clock, {});
        nobody = gone.listen({.ip = "127.0.0.1", .port = 0}).value();
    }
    bench.client.outputs.push_back(Dial{.id = {2}, .to = nobody});
    bench.client.outputs.push_back(Dial{.id = {4}, .to = {.ip = "not an address", .port = 1}});
    bench.client_driver.pump();
    REQUIRE(bench.until([&] { return bench.client.closed.size() == 2; }));
    CHECK(bench.client.closed[{2}].code == Code::unavailable);
    CHECK(bench.client.closed[{4}].code == Code::invalid);
}

TEST_CASE("a core may end a connection in the middle of any call about it; no socket is left") {
    using EndAt = ProbeCore::EndAt;
    for (auto const at : {EndAt::accepted, EndAt::connected, EndAt::bytes, EndAt::transmit}) {
        for (int round = 0; round < 5; ++round) {
            Bench bench;
            bench.server.end_at = bench.client.end_at = at;
            auto const bound = bench.server_driver.listen({.ip = "127.0.0.1", .port = 0}).value();
            for (std::uint64_t id = 2; id <= 8; id += 2)
                bench.client.outputs.push_back(Dial{.id = {id}, .to = bound});
            bench.client_driver.pump();
            REQUIRE(bench.until([&] { return bench.client.connected.size() == 4; }));
            for (auto const id : bench.client.connected) bench.client.send(id, Bytes(1000, 1));
            bench.client_driver.pump();
            // A connection that its dialler resets at once may never reach the server's core.
            auto const ended = [&] {
                return bench.client.over.size() == 4 &&
                       bench.server.over.size() == bench.server.accepted.size();
            };
            REQUIRE(bench.until(ended));
            // The next round begins while handlers of this one may still wait: stop() is enough.
        }
    }
}

TEST_CASE("drivers that stop in the middle of everything leave no socket behind") {
    Bench bench;
    auto const bound = bench.server_driver.listen({.ip = "127.0.0.1", .port = 0}).value();
    for (std::uint64_t id = 2; id <= 64; id += 2)
        bench.client.outputs.push_back(Dial{.id = {id}, .to = bound});
    bench.client_driver.pump();
    REQUIRE(bench.until([&] { return bench.server.accepted.size() > 3; }));
    for (auto const id : bench.client.connected) bench.client.send(id, Bytes(1'000'000, 1));
    bench.client_driver.pump();
    bench.client_driver.stop();
}

TEST_CASE("the deadline of the core is kept") {
    Bench bench;
    auto const due = bench.clock.now() + 20ms;
    bench.client.due = due;
    bench.client_driver.pump();
    REQUIRE(bench.until([&] { return bench.client.rung.has_value(); }));
    CHECK(*bench.client.rung >= due);
}

TEST_CASE("a used port and a name are refused with their reason") {
    Bench bench;
    auto const bound = bench.server_driver.listen({.ip = "127.0.0.1", .port = 0}).value();
    CHECK(bench.client_driver.listen(bound).error().code == Code::io);
    CHECK(bench.client_driver.listen({.ip = "localhost", .port = 0}).error().code == Code::invalid);
}

TEST_CASE("a dial from the listen port begins there, once; the second one only where it may not") {
    for (auto const* ip : {"127.0.0.1", "0.0.0.0", "::"}) {
        Bench bench;
        auto const bound = bench.server_driver.listen({.ip = "127.0.0.1", .port = 0}).value();
        auto const own = bench.client_driver.listen({.ip = ip, .port = 0});
        if (!own) continue;  // this machine has no IPv6
        auto const dial = [&](std::uint64_t id, DialFrom from) {
            bench.client.outputs.push_back(Dial{.id = {id}, .to = bound, .from = from});
            bench.client_driver.pump();
            REQUIRE(bench.until([&] {
                return bench.client.connected.size() + bench.client.closed.size() == id / 2;
            }));
        };
        dial(2, DialFrom::listen_port);
        dial(4, DialFrom::listen_port);
        dial(6, DialFrom::listen_port_if_possible);
        CHECK(bench.client.closed.contains({4}));
        CHECK(bench.client.connected == std::vector<ConnectionId>{{2}, {6}});
        REQUIRE(bench.until([&] { return bench.server.remotes.size() == 2; }));
        CHECK(bench.server.remotes[0].port == own->port);
        CHECK(bench.server.remotes[1].port != own->port);
        // Others still come in there, and nobody else can listen.
        bench.server.outputs.push_back(
            Dial{.id = {2}, .to = {.ip = "127.0.0.1", .port = own->port}});
        bench.server_driver.pump();
        CHECK(bench.until([&] { return bench.client.accepted.size() == 1; }));
        CHECK(bench.server_driver.listen({.ip = ip, .port = own->port}).error().code == Code::io);
    }
}

TEST_CASE("without a listener that leads there a dial from the listen port fails, or takes any") {
    Bench bench;
    auto const bound = bench.server_driver.listen({.ip = "127.0.0.1", .port = 0}).value();
    bench.client.outputs.push_back(Dial{.id = {2}, .to = bound, .from = DialFrom::listen_port});
    bench.client.outputs.push_back(
        Dial{.id = {4}, .to = bound, .from = DialFrom::listen_port_if_possible});
    bench.client_driver.pump();
    REQUIRE(bench.until([&] { return !bench.client.connected.empty(); }));
    CHECK(bench.client.connected == std::vector<ConnectionId>{{4}});
    CHECK(bench.client.closed.contains({2}));
}

TEST_CASE("both wildcards listen on one port, IPv4 first") {
    Bench bench;
    if (!bench.client_driver.listen({.ip = "::", .port = 0})) {
        MESSAGE("left out: this machine has no IPv6");
        return;
    }
    auto const four = bench.server_driver.listen({.ip = "0.0.0.0", .port = 0}).value();
    auto const six = bench.server_driver.listen({.ip = "::", .port = four.port});
    REQUIRE(six.has_value());
    CHECK(six->port == four.port);
    CHECK(bench.server_driver.listen({.ip = "::", .port = four.port}).error().code == Code::io);
}

TEST_CASE("the system's generator fills what it is given and its clock moves forward") {
    OsRng rng;
    Bytes first(64), second(64);
    REQUIRE(rng.fill(first).has_value());
    REQUIRE(rng.fill(second).has_value());
    CHECK(first != second);
    OsClock const clock;
    auto const before = clock.now();
    CHECK(clock.now() >= before);
    CHECK(kith::base::seconds(clock.unix_now()) > 1'700'000'000);
}
