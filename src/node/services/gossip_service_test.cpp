#include "node/services/gossip_service.h"

#include <doctest/doctest.h>

#include <random>

#include "wire/varint.h"

using namespace kith::node;
using kith::base::as_bytes;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::Instant;
using kith::identity::Identity;
using kith::ports::Close;
using kith::ports::ConnectionId;
using kith::ports::Dial;
using kith::ports::Transmit;
using namespace std::chrono_literals;
namespace gossip = kith::proto::gossip;

namespace {

struct SeededRng final : kith::ports::Rng {
    explicit SeededRng(unsigned seed) : random(seed) {}
    kith::base::Status fill(kith::base::MutableByteView out) override {
        for (auto& byte : out) byte = static_cast<std::uint8_t>(random());
        return {};
    }
    std::mt19937 random;
};

Identity identity_of(SeededRng& rng) {
    kith::crypto::Secret<kith::identity::identity_random_bytes> seed;
    REQUIRE(rng.fill(seed.mutable_view()).has_value());
    return Identity::create(seed, kith::base::UnixTime{1'800'000'000}).value();
}

gossip::Options options_of(unsigned seed) {
    gossip::Options options;
    options.policy = gossip::SignaturePolicy::strict_no_sign;
    options.seed = seed;
    return options;
}

struct Machine {
    Machine(unsigned seed, std::vector<std::string> protocols)
        : rng(seed),
          identity(identity_of(rng)),
          host(
              Host::create(identity, rng, {.limits = {}, .accepted_protocols = protocols}).value()),
          service(*host, options_of(seed), Instant{}) {}

    SeededRng rng;
    Identity identity;
    std::unique_ptr<Host> host;
    GossipService service;
    std::vector<HostEvent> unhandled;
    std::vector<std::string> messages;
    std::vector<GossipFault> faults;
    bool admits = true;
};

// Two machines on a perfect wire; a dials b.
struct Pair {
    explicit Pair(std::vector<std::string> b_protocols = GossipService::protocols())
        : a(1, GossipService::protocols()), b(2, std::move(b_protocols)) {
        CHECK(a.service.subscribe("t", now).has_value());
        CHECK(b.service.subscribe("t", now).has_value());
        dial();
    }

    void dial() {
        CHECK(a.host->dial({"10.0.0.2", 1}, b.identity.peer_id(), now).has_value());
        run();
    }
    void run() {
        for (bool moved = true; moved;) {
            moved = turn(a);
            moved = carry(a, b, to_b, to_a) || moved;
            moved = turn(b) || moved;
            moved = carry(b, a, to_a, to_b) || moved;
        }
    }
    void beat() {
        now += 1s;
        for (auto* const machine : {&a, &b}) machine->service.on_deadline(now);
        run();
    }

    Instant now{};
    Machine a, b;
    std::map<ConnectionId, ConnectionId> to_b, to_a;
    std::uint64_t next_odd = 1;

private:
    bool turn(Machine& machine) {
        bool moved = false;
        while (auto event = machine.host->poll_event()) {
            moved = true;
            auto const handled = machine.service.on_event(*event, now);
            if (auto const* const up = std::get_if<PeerConnected>(&event->what);
                up && machine.admits)
                machine.service.admit(event->connection, *up, now);
            if (handled == Handled::no) machine.unhandled.push_back(std::move(*event));
        }
        while (auto event = machine.service.poll_event()) {
            if (auto* const fault = std::get_if<GossipFault>(&*event)) {
                machine.faults.push_back(*fault);
                continue;
            }
            auto const& message = std::get<gossip::Deliver>(*event);
            machine.messages.push_back(kith::base::to_text(message.data));
            machine.service.validated(message.handle, gossip::Verdict::accept, now);
        }
        return moved;
    }
    bool carry(Machine& from, Machine& to, std::map<ConnectionId, ConnectionId>& forth,
               std::map<ConnectionId, ConnectionId>& back) {
        bool moved = false;
        while (auto output = from.host->poll_output()) {
            moved = true;
            if (auto const* const dialled = std::get_if<Dial>(&*output)) {
                ConnectionId const far{next_odd};
                next_odd += 2;
                forth[dialled->id] = far;
                back[far] = dialled->id;
                to.host->on_accepted(far, {"10.0.0.1", 1}, now);
                from.host->on_connected(dialled->id, now);
            }
            if (auto const* const ready = std::get_if<Transmit>(&*output)) {
                Bytes bytes;
                while (from.host->poll_transmit(ready->id, bytes, now)) {
                }
                if (!bytes.empty()) to.host->on_bytes(forth.at(ready->id), bytes, now);
            }
            if (auto const* const closed = std::get_if<Close>(&*output))
                to.host->on_closed(forth.at(closed->id), {Code::unavailable, "closed"}, now);
        }
        return moved;
    }
};

// The connection of `machine`, from what it told its owner.
ConnectionId connection_of(Machine const& machine) {
    for (auto const& event : machine.unhandled)
        if (std::holds_alternative<PeerConnected>(event.what)) return event.connection;
    return {};
}

}  // namespace

TEST_CASE("two services find each other and deliver both ways") {
    Pair pair;
    pair.beat();
    CHECK(pair.a.service.router().mesh("t").size() == 1);
    CHECK(pair.b.service.router().mesh("t").size() == 1);
    CHECK(pair.a.service.publish("t", as_bytes("from a"), pair.now).has_value());
    pair.run();
    CHECK(pair.b.service.publish("t", as_bytes("from b"), pair.now).has_value());
    pair.run();
    CHECK(pair.a.messages == std::vector<std::string>{"from b"});
    CHECK(pair.b.messages == std::vector<std::string>{"from a"});
    CHECK(pair.a.faults.empty());
}

TEST_CASE("messages larger than any buffer on the way arrive whole") {
    Pair pair;
    pair.beat();
    std::string const large(1'000'000, 'x');
    for (char const digit : {'1', '2', '3'})
        CHECK(pair.a.service.publish("t", as_bytes(digit + large), pair.now).has_value());
    pair.run();
    REQUIRE(pair.b.messages.size() == 3);
    CHECK(pair.b.messages[2] == '3' + large);
}

TEST_CASE("a peer that speaks 1.0 only is found by asking for less") {
    Pair pair({std::string(gossip::protocol_v1_0)});
    pair.beat();
    CHECK(pair.a.service.publish("t", as_bytes("x"), pair.now).has_value());
    pair.run();
    CHECK(pair.b.messages.size() == 1);
}

TEST_CASE("a peer that speaks no gossip is left alone") {
    Pair pair(std::vector<std::string>{});
    pair.beat();
    CHECK(pair.a.service.router().subscribers_count("t") == 0);
    CHECK(pair.a.faults.empty());
    CHECK(pair.a.host->links_count() == 1);
}

TEST_CASE("who was not admitted is not listened to") {
    Pair pair;
    pair.b.admits = false;
    pair.b.host->disconnect(connection_of(pair.b), {Code::cancelled, "again"});
    pair.run();
    pair.dial();
    pair.beat();
    CHECK(pair.b.service.router().subscribers_count("t") == 0);
    CHECK(pair.a.service.publish("t", as_bytes("x"), pair.now).has_value());
    pair.run();
    CHECK(pair.b.messages.empty());
}

TEST_CASE("bytes that are no RPC end the peer's gossip and name it") {
    Pair pair;
    pair.beat();
    auto const connection = connection_of(pair.a);
    auto const stream =
        pair.a.host->open_stream(connection, std::string(gossip::protocol_v1_2), pair.now);
    REQUIRE(stream.has_value());
    pair.a.host->write(connection, *stream, Bytes{3, 0xff, 0xff, 0xff});
    pair.run();
    REQUIRE(pair.b.faults.size() == 1);
    CHECK(pair.b.faults[0].peer == pair.a.identity.peer_id());
    CHECK(pair.b.faults[0].reason.code == Code::invalid);
    CHECK(pair.b.service.router().subscribers_count("t") == 0);
}

TEST_CASE("a frame above the limit is refused when its length is read") {
    Pair pair;
    pair.beat();
    auto const connection = connection_of(pair.a);
    auto const stream =
        pair.a.host->open_stream(connection, std::string(gossip::protocol_v1_2), pair.now);
    REQUIRE(stream.has_value());
    Bytes length;
    kith::wire::append_varint(length, gossip::rpc_bytes_max + 1);
    pair.a.host->write(connection, *stream, length);
    pair.run();
    REQUIRE(pair.b.faults.size() == 1);
    CHECK(pair.b.faults[0].reason.code == Code::too_large);
}

TEST_CASE("when one of two connections goes, gossip moves to the other") {
    Pair pair;
    pair.dial();
    pair.beat();
    pair.a.host->disconnect(connection_of(pair.a), {Code::cancelled, "the first"});
    pair.run();
    pair.beat();
    CHECK(pair.a.host->links_count() == 1);
    CHECK(pair.a.service.publish("t", as_bytes("x"), pair.now).has_value());
    pair.run();
    CHECK(pair.b.messages.size() == 1);
    for (auto const& event : pair.a.unhandled)
        if (std::holds_alternative<PeerConnected>(event.what))
            pair.a.host->disconnect(event.connection, {Code::cancelled, "all"});
    pair.run();
    CHECK(pair.a.service.router().subscribers_count("t") == 0);
    CHECK(pair.b.service.router().subscribers_count("t") == 0);
}
