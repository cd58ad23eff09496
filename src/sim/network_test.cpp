#include "sim/network.h"

#include <doctest/doctest.h>

#include "sim/disk.h"

using namespace kith;
using namespace kith::sim;
using namespace std::chrono_literals;

namespace {

// A core that says what it is told to, and writes down what it hears.
struct Talker final : ports::NetworkCore {
    std::deque<ports::NetworkOutput> outputs;
    std::map<ports::ConnectionId, base::Bytes> to_send;
    std::map<ports::ConnectionId, base::Bytes> heard;
    std::vector<ports::ConnectionId> accepted, connected, closed;
    std::vector<base::Instant> heard_at;
    bool dies = false;

    void dial(std::uint64_t id, Address const& to,
              ports::DialFrom from = ports::DialFrom::any_port) {
        outputs.push_back(ports::Dial{{id}, to, from});
    }
    void say(ports::ConnectionId id, base::Bytes bytes) {
        base::append(to_send[id], bytes);
        outputs.push_back(ports::Transmit{id});
    }
    void on_accepted(ports::ConnectionId id, ports::SocketAddress, base::Instant) override {
        accepted.push_back(id);
    }
    void on_connected(ports::ConnectionId id, base::Instant) override { connected.push_back(id); }
    void on_bytes(ports::ConnectionId id, base::ByteView bytes, base::Instant now) override {
        if (dies) throw Crash{};
        base::append(heard[id], bytes);
        heard_at.push_back(now);
    }
    void on_closed(ports::ConnectionId id, base::Error, base::Instant) override {
        closed.push_back(id);
    }
    void on_deadline(base::Instant) override {}
    bool poll_transmit(ports::ConnectionId id, base::Bytes& out, base::Instant) override {
        auto const size = std::min<std::size_t>(to_send[id].size(), 256 * 1024);
        auto const end = to_send[id].begin() + static_cast<std::ptrdiff_t>(size);
        out.insert(out.end(), to_send[id].begin(), end);
        to_send[id].erase(to_send[id].begin(), end);
        return size > 0;
    }
    std::optional<ports::NetworkOutput> poll_output() override {
        if (outputs.empty()) return std::nullopt;
        auto output = outputs.front();
        outputs.pop_front();
        return output;
    }
    std::optional<base::Instant> deadline() const override { return std::nullopt; }
};

struct Pair {
    explicit Pair(Conditions const& conditions = {}, std::uint64_t seed = 1)
        : network(Network::Tape::keep, seed) {
        network.set_conditions(conditions);
        network.attach(here, a, [] {});
        network.attach(there, b, [] {});
        a.dial(2, there);
        run(5s);
    }
    void run(base::Duration span) {
        auto const end = clock.now() + span;
        for (;;) {
            while (network.step(clock.now())) {
            }
            auto const next = network.deadline();
            if (!next || *next > end) break;
            clock.set(std::max(*next, clock.now()));
        }
        clock.set(end);
    }
    Address here{"10.0.0.1", 1}, there{"10.0.0.2", 1};
    VirtualClock clock;
    Network network;
    Talker a, b;
    ports::ConnectionId const dialled{2};
};

base::Bytes numbered(std::size_t size) {
    base::Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
    return bytes;
}

Conditions const rough{
    .latency_min = 1ms, .latency_max = 90ms, .slow_one_in = 3, .slow_max = 2s, .split_one_in = 2};

}  // namespace

TEST_CASE("bytes arrive in order whatever their segments meet, and a seed is a run") {
    auto const run = [](std::uint64_t seed) {
        Pair pair(rough, seed);
        REQUIRE(pair.a.connected.size() == 1);
        base::Bytes all;
        for (std::size_t i = 1; i < 50; ++i) {
            auto const more = numbered(i * 3);
            base::append(all, more);
            pair.a.say(pair.dialled, more);
            pair.run(50ms);
        }
        pair.run(10s);
        CHECK(pair.b.heard[pair.b.accepted.at(0)] == all);
        return pair.network.trace();
    };
    CHECK(run(5) == run(5));
    CHECK(run(5) != run(6));
}

TEST_CASE("more than the window is not asked for before the other side has it") {
    Pair pair(Conditions{.latency_min = 10ms, .latency_max = 10ms});
    auto const all = numbered(window_bytes_max * 3);
    pair.a.say(pair.dialled, all);
    while (pair.network.step(pair.clock.now())) {
    }
    CHECK(pair.a.to_send[pair.dialled].size() == all.size() - window_bytes_max);
    pair.run(5s);
    CHECK(pair.b.heard[pair.b.accepted.at(0)] == all);
    pair.a.say(pair.dialled, all);  // what is pending goes before the end, also past the window
    pair.a.outputs.push_back(ports::Close{pair.dialled});
    pair.run(5s);
    CHECK(pair.b.heard[pair.b.accepted.at(0)].size() == 2 * all.size());
    CHECK(pair.b.closed.size() == 1);
    CHECK(pair.network.connections_count(pair.there) == 0);
}

TEST_CASE("a cut is silence; what was sent in it arrives after it, or the sender gives up") {
    Pair pair;
    pair.network.cut(pair.here, pair.there);
    pair.a.say(pair.dialled, numbered(10));
    pair.run(60s);
    CHECK(pair.b.heard.empty());
    CHECK(pair.a.closed.empty());
    pair.network.heal();
    pair.run(retry_interval);
    CHECK(pair.b.heard[pair.b.accepted.at(0)] == numbered(10));
    pair.network.cut(pair.here, pair.there);
    pair.a.say(pair.dialled, numbered(10));
    pair.run(tcp_patience + retry_interval);
    CHECK(pair.a.closed.size() == 1);
    CHECK(pair.b.closed.empty());  // half open
}

TEST_CASE("a machine without power is silent, and resets what it does not know when it is back") {
    Pair pair;
    pair.network.power_off(pair.there);
    pair.a.say(pair.dialled, numbered(10));
    pair.a.dial(4, pair.there);
    pair.run(20s);
    CHECK(pair.a.closed.empty());
    Talker reborn;
    pair.network.attach(pair.there, reborn, [] {});
    pair.run(10s);
    CHECK(reborn.heard.empty());
    CHECK(pair.a.closed.size() == 1);
    CHECK(pair.a.connected.size() == 2);
    CHECK(reborn.accepted.size() == 1);
}

TEST_CASE("a process that ends resets its connections, and nobody listens there any more") {
    Pair pair;
    pair.network.detach(pair.there, pair.clock.now());
    pair.run(1s);
    CHECK(pair.a.closed.size() == 1);
    pair.a.dial(4, pair.there);
    pair.run(1s);
    CHECK(pair.a.closed.size() == 2);
    CHECK(pair.network.connections_count(pair.here) == 0);
}

TEST_CASE("a machine that dies in a call is named, and its connections stay half open") {
    Pair pair;
    pair.b.dies = true;
    pair.a.say(pair.dialled, numbered(1));
    pair.run(1s);
    CHECK(pair.network.take_crashed() == std::vector{pair.there});
    CHECK(pair.network.take_crashed().empty());
    CHECK(pair.a.closed.empty());
    CHECK(pair.network.connections_count(pair.there) == 0);
}

TEST_CASE("a broken connection ends on both sides, or on one that the other finds out about") {
    Pair both;
    CHECK(both.network.break_one(0, Network::Break::both, both.clock.now()));
    CHECK((both.a.closed.size() == 1 && both.b.closed.size() == 1));
    CHECK_FALSE(both.network.break_one(0, Network::Break::both, both.clock.now()));

    Pair half;
    half.network.break_one(1, Network::Break::half_open, half.clock.now());  // the listener's end
    CHECK((half.a.closed.empty() && half.b.closed.size() == 1));
    half.a.say(half.dialled, numbered(1));
    half.run(1s);
    CHECK(half.a.closed.size() == 1);
}

TEST_CASE("local clocks run apart by their drift, never back, and convert exactly") {
    VirtualClock truth;
    for (std::int64_t const ppm : {-1000, -1, 0, 7, 1000}) {
        LocalTime const local{.since = truth.now(), .offset = 12345us, .drift_ppm = ppm};
        for (auto const after : {0us, 1us, 999'999us, 3'600'000'001us}) {
            auto const shown = local.at(truth.now() + after);
            auto const back = local.truth_at(shown);
            CHECK(local.at(back) >= shown);
            CHECK(local.at(back - 1us) < shown);
        }
        auto const gained = local.at(truth.now() + 1h) - local.at(truth.now()) - 1h;
        CHECK(gained == base::Duration(ppm * 3600));
    }
}

TEST_CASE("two machines behind routers meet when both dial from the port that they listen on") {
    using ports::DialFrom;
    Network network;
    VirtualClock clock;
    Talker a, b;
    Address const at_a{"10.0.0.1", 1}, at_b{"10.0.0.2", 1};
    network.set_conditions({.latency_min = 10ms, .latency_max = 10ms});
    network.attach(at_a, a, [] {});
    network.attach(at_b, b, [] {});
    network.hide(at_a, Network::Router::punchable);
    network.hide(at_b, Network::Router::punchable);
    auto const run = [&](base::Duration span) {
        auto const end = clock.now() + span;
        for (;;) {
            while (network.step(clock.now())) {
            }
            auto const next = network.deadline();
            if (!next || *next > end) break;
            clock.set(std::max(*next, clock.now()));
        }
        clock.set(end);
    };
    SUBCASE("one alone does not get in") {
        a.dial(2, at_b, DialFrom::listen_port);
        run(10s);
        CHECK(a.connected.empty());
        CHECK(b.accepted.empty());
    }
    SUBCASE("not from any port") {
        a.dial(2, at_b);
        b.dial(2, at_a);
        run(10s);
        CHECK(a.connected.empty());
        CHECK(b.connected.empty());
    }
    SUBCASE("both at once: one connection, dialled by both") {
        a.dial(2, at_b, DialFrom::listen_port);
        b.dial(2, at_a, DialFrom::listen_port);
        run(10s);
        CHECK(a.connected.size() == 1);
        CHECK(b.connected.size() == 1);
        CHECK(a.accepted.empty());
        CHECK(b.accepted.empty());
        a.say({2}, base::Bytes(3, 7));
        run(1s);
        CHECK(b.heard[{2}] == base::Bytes(3, 7));
    }
}
