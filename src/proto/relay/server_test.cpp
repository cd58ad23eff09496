#include "proto/relay/server.h"

#include <doctest/doctest.h>

#include <array>
#include <set>

#include "proto/relay/client.h"

using namespace kith::proto::relay;
using kith::base::as_bytes;
using kith::base::as_text;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Instant;
using kith::base::UnixTime;
using kith::identity::Identity;
using kith::identity::PeerId;
using namespace std::chrono_literals;

namespace {

constexpr UnixTime unix_start{1'800'000'000};

PeerId peer_of(std::uint8_t fill) {
    kith::base::ByteArray<32> key;
    key.fill(fill);
    return PeerId(key);
}

Identity relay_identity() {
    kith::base::ByteArray<kith::identity::identity_random_bytes> random;
    random.fill(1);
    return Identity::create(kith::crypto::Secret<kith::identity::identity_random_bytes>(random),
                            unix_start)
        .value();
}

Caller caller_of(std::uint8_t peer, Grant grant = Grant::unlimited) {
    return {.peer = peer_of(peer),
            .ip = "10.0.0." + std::to_string(peer),
            .path = Path::direct,
            .grant = grant};
}

// A relay whose driver is this struct: what was written on each stream is kept, room is unlimited
// unless a test says otherwise. Connection n is that of peer n.
struct Bench {
    explicit Bench(ServerLimits limits = {}) : server(limits, self) {}

    StreamRef hop(std::uint8_t peer, Grant grant = Grant::unlimited) {
        return hop_of(caller_of(peer, grant), peer);
    }
    StreamRef hop_of(Caller caller, std::uint64_t connection) {
        StreamRef const stream{connection, next_stream++};
        server.on_hop_opened(stream, std::move(caller), now);
        drive();
        return stream;
    }
    void say(StreamRef stream, ByteView bytes) {
        server.on_data(stream, bytes, now, unix_start);
        drive();
    }
    Status reserve(std::uint8_t peer, Grant grant = Grant::unlimited) {
        auto const stream = hop(peer, grant);
        say(stream, HopRequest::reserve());
        server.on_ended(stream);
        return status_on(stream);
    }
    StreamRef connect(std::uint8_t from, std::uint8_t to, Grant grant = Grant::unlimited) {
        auto const stream = hop(from, grant);
        say(stream, HopRequest::connect(peer_of(to)));
        return stream;
    }
    Status status_on(StreamRef stream) {
        ByteView in = written[stream];
        kith::wire::FrameReader reader(message_bytes_max);
        auto const frame = reader.next(in);
        if (!frame || !*frame) return Status::none;
        auto const rest = in.size();
        written[stream].erase(written[stream].begin(),
                              written[stream].end() - static_cast<std::ptrdiff_t>(rest));
        return std::get<Answer>(parse_hop(**frame).value()).status;
    }

    void drive() {
        while (auto const action = server.poll_action())
            std::visit([this](auto const& one) { carry_out(one); }, *action);
    }
    void carry_out(Transmit const& one) {
        auto const waiting = server.pending(one.to);
        auto const part = waiting.first(std::min(waiting.size(), room));
        kith::base::append(written[one.to], part);
        if (server.knows(one.to)) server.sent(one.to, part.size());
    }
    void carry_out(OpenStop const& one) {
        if (!answers_stop) return server.stop_failed(one.circuit);
        stop = {one.connection, next_stream++};
        server.stop_opened(one.circuit, stop);
    }
    void carry_out(Finish const& one) { finished.insert(one.stream); }
    void carry_out(Reset const& one) { resets.insert(one.stream); }
    void carry_out(Consumed const& one) { consumed[one.stream] += one.size; }

    // A circuit from peer 2 to peer 3; what the target was asked is taken off its stream.
    StreamRef circuit(Grant source = Grant::unlimited, Grant target = Grant::unlimited) {
        REQUIRE(reserve(3, target) == Status::ok);
        auto const stream = connect(2, 3, source);
        written[stop].clear();
        say(stop, StopAnswer::accept());
        REQUIRE(status_on(stream) == Status::ok);
        return stream;
    }

    Identity self = relay_identity();
    Server server;
    Instant now{};
    std::uint32_t next_stream = 1;
    std::size_t room = std::numeric_limits<std::size_t>::max();
    bool answers_stop = true;
    StreamRef stop;
    std::map<StreamRef, Bytes> written;
    std::map<StreamRef, std::size_t> consumed;
    std::set<StreamRef> finished, resets;
};

}  // namespace

TEST_CASE("a reservation is granted with its time, the relay's addresses and a voucher") {
    Bench bench;
    bench.server.set_addresses({kith::wire::Multiaddr::from_text("/ip4/9.9.9.9/tcp/1").value()});
    auto const stream = bench.hop(2);
    bench.say(stream, HopRequest::reserve());
    HopRequest request(bench.now);
    ByteView in = bench.written[stream];
    auto const answer = request.feed(in).value().value();
    CHECK(kith::base::seconds(answer.reservation->expires) ==
          kith::base::seconds(unix_start) + 3600);
    REQUIRE(answer.reservation->addresses.size() == 1);
    CHECK(answer.reservation->addresses[0].to_text() ==
          "/ip4/9.9.9.9/tcp/1/p2p/" + bench.self.peer_id().to_text());
    CHECK((open_voucher(answer.reservation->voucher).value().peer == peer_of(2)));
    CHECK(answer.limit == Limit{});
    CHECK(bench.finished.contains(stream));
    bench.server.on_ended(stream);
    CHECK_FALSE(bench.server.knows(stream));
}

TEST_CASE("who has no permission gets neither a reservation nor a connection") {
    Bench bench;
    CHECK(bench.reserve(2, Grant::refused) == Status::permission_denied);
    CHECK(bench.server.reservations_count() == 0);
    CHECK(bench.reserve(3) == Status::ok);
    CHECK(bench.status_on(bench.connect(2, 3, Grant::refused)) == Status::permission_denied);
    CHECK(bench.server.circuits_count() == 0);
}

TEST_CASE("nobody is relayed who comes through a relay himself") {
    Bench bench;
    CHECK(bench.reserve(3) == Status::ok);
    auto relayed = caller_of(2);
    relayed.path = Path::relayed;
    auto const asked = bench.hop_of(relayed, 2);
    bench.say(asked, HopRequest::reserve());
    CHECK(bench.status_on(asked) == Status::permission_denied);
    auto const connecting = bench.hop_of(relayed, 2);
    bench.say(connecting, HopRequest::connect(peer_of(3)));
    CHECK(bench.status_on(connecting) == Status::permission_denied);
    CHECK(bench.server.reservations_count() == 1);
}

TEST_CASE("a peer without a reservation is not reached, nor one whose time is over or who left") {
    Bench bench;
    CHECK(bench.status_on(bench.connect(2, 3)) == Status::no_reservation);
    CHECK(bench.reserve(3) == Status::ok);
    bench.now += 1h - 1us;
    bench.status_on(bench.connect(2, 3));
    CHECK(bench.server.circuits_count() == 1);
    bench.now += 1us;
    CHECK(bench.status_on(bench.connect(2, 3)) == Status::no_reservation);
    CHECK(bench.reserve(4) == Status::ok);
    bench.server.on_connection_down(4);
    CHECK(bench.status_on(bench.connect(2, 4)) == Status::no_reservation);
}

TEST_CASE("a refresh replaces the reservation of the same peer and moves its end") {
    Bench bench;
    CHECK(bench.reserve(3) == Status::ok);
    bench.now += 30min;
    CHECK(bench.reserve(3) == Status::ok);
    CHECK(bench.server.reservations_count() == 1);
    bench.now += 59min;
    bench.server.on_deadline(bench.now);
    CHECK(bench.server.reservations_count() == 1);
    bench.now += 1min;
    bench.server.on_deadline(bench.now);
    CHECK(bench.server.reservations_count() == 0);
}

TEST_CASE("reservations end at their number, in total and from one address") {
    Bench all({.reservations_max = 3});
    for (std::uint8_t peer = 2; peer < 5; ++peer) CHECK(all.reserve(peer) == Status::ok);
    CHECK(all.reserve(5) == Status::reservation_refused);
    CHECK(all.reserve(2) == Status::ok);
    Bench same({.reservations_per_ip_max = 2});
    auto const from_one_ip = [&same](std::uint8_t peer) {
        auto caller = caller_of(peer);
        caller.ip = "10.0.0.1";
        auto const stream = same.hop_of(caller, peer);
        same.say(stream, HopRequest::reserve());
        return same.status_on(stream);
    };
    CHECK(from_one_ip(2) == Status::ok);
    CHECK(from_one_ip(3) == Status::ok);
    CHECK(from_one_ip(4) == Status::reservation_refused);
    CHECK(same.reserve(9) == Status::ok);
}

TEST_CASE("bytes pass both ways in order, and both ends' closing ends the circuit") {
    Bench bench;
    auto const source = bench.circuit();
    bench.say(source, as_bytes("to target"));
    bench.say(bench.stop, as_bytes("to source"));
    CHECK(as_text(bench.written[bench.stop]) == "to target");
    CHECK(as_text(bench.written[source]) == "to source");
    bench.server.on_ended(source);
    bench.drive();
    CHECK(bench.finished.contains(bench.stop));
    CHECK_FALSE(bench.finished.contains(source));
    bench.say(bench.stop, as_bytes(", still"));
    CHECK(as_text(bench.written[source]) == "to source, still");
    bench.server.on_ended(bench.stop);
    bench.drive();
    CHECK(bench.finished.contains(source));
    CHECK(bench.server.circuits_count() == 0);
    CHECK_FALSE(bench.server.knows(source));
    CHECK(bench.resets.empty());
}

TEST_CASE("bytes behind CONNECT wait for the target's yes, bytes behind the yes are not lost") {
    Bench bench;
    REQUIRE(bench.reserve(3) == Status::ok);
    auto const source = bench.hop(2);
    auto early = HopRequest::connect(peer_of(3));
    kith::base::append(early, as_bytes("early"));
    bench.say(source, early);
    bench.say(source, as_bytes(" bird"));
    auto const asked = bench.written[bench.stop];
    CHECK(asked == frame_stop(Connect{.peer = peer_of(2), .limit = {}}));
    auto yes = StopAnswer::accept();
    kith::base::append(yes, as_bytes("hello"));
    bench.say(bench.stop, yes);
    CHECK(as_text(ByteView(bench.written[bench.stop]).subspan(asked.size())) == "early bird");
    CHECK(bench.status_on(source) == Status::ok);
    CHECK(as_text(bench.written[source]) == "hello");
}

TEST_CASE("a target that closes at once after its yes: the source hears the yes and the end") {
    Bench bench;
    REQUIRE(bench.reserve(3) == Status::ok);
    auto const source = bench.connect(2, 3);
    bench.say(bench.stop, StopAnswer::accept());
    bench.server.on_ended(bench.stop);
    bench.drive();
    CHECK(bench.status_on(source) == Status::ok);
    CHECK(bench.finished.contains(source));
}

TEST_CASE("a source that closed while the target was asked is passed on as closed") {
    Bench bench;
    REQUIRE(bench.reserve(3) == Status::ok);
    auto const source = bench.connect(2, 3);
    bench.server.on_ended(source);
    bench.say(bench.stop, StopAnswer::accept());
    CHECK(bench.finished.contains(bench.stop));
}

TEST_CASE("a target that refuses, asks back, is silent or cannot be asked: CONNECTION_FAILED") {
    auto const after = [](auto const& answer) {
        Bench bench;
        REQUIRE(bench.reserve(3) == Status::ok);
        auto const source = bench.connect(2, 3);
        answer(bench);
        bench.drive();
        CHECK(bench.server.circuits_count() == 0);
        return bench.status_on(source);
    };
    CHECK(after([](Bench& bench) {
              bench.say(bench.stop, StopAnswer::refuse(Status::permission_denied));
          }) == Status::connection_failed);
    CHECK(after([](Bench& bench) {
              bench.say(bench.stop, frame_stop(Connect{.peer = peer_of(2), .limit = {}}));
          }) == Status::connection_failed);
    CHECK(after([](Bench& bench) {
              bench.say(bench.stop, Bytes{0x81, 0x20});
          }) == Status::connection_failed);
    CHECK(after([](Bench& bench) { bench.server.on_reset(bench.stop); }) ==
          Status::connection_failed);
    CHECK(after([](Bench& bench) { bench.server.on_ended(bench.stop); }) ==
          Status::connection_failed);
    CHECK(after([](Bench& bench) { bench.server.on_connection_down(3); }) ==
          Status::connection_failed);
    CHECK(after([](Bench& bench) {
              bench.now += ServerLimits{}.answer_timeout;
              CHECK(bench.server.deadline() <= bench.now);
              bench.server.on_deadline(bench.now);
          }) == Status::connection_failed);
    Bench closed;
    REQUIRE(closed.reserve(3) == Status::ok);
    closed.answers_stop = false;
    CHECK(closed.status_on(closed.connect(2, 3)) == Status::connection_failed);
}

TEST_CASE("the last allowed byte passes in each direction, one more resets both ends") {
    ServerLimits const limits{.limited = {.duration_s = 120, .data_bytes = 100}};
    for (bool const from_source : {true, false}) {
        Bench bench(limits);
        auto const source = bench.circuit(Grant::limited);
        auto const from = from_source ? source : bench.stop;
        auto const to = from_source ? bench.stop : source;
        bench.say(from, Bytes(60, 1));
        bench.say(from, Bytes(40, 1));
        CHECK(bench.written[to].size() == 100);
        bench.say(to, Bytes(100, 2));  // the other direction has its own count
        CHECK(bench.written[from].size() == 100);
        CHECK(bench.resets.empty());
        bench.say(from, Bytes(1, 1));
        CHECK(bench.written[to].size() == 100);
        CHECK(bench.resets == std::set{source, bench.stop});
        CHECK(bench.server.circuits_count() == 0);
    }
}

TEST_CASE("a limited circuit ends with its time, an unlimited one never") {
    Bench bench;
    auto const source = bench.circuit(Grant::limited);
    bench.now += 120s - 1us;
    bench.server.on_deadline(bench.now);
    bench.drive();
    CHECK(bench.server.circuits_count() == 1);
    bench.now += 1us;
    CHECK(bench.server.deadline() == bench.now);
    bench.server.on_deadline(bench.now);
    bench.drive();
    CHECK(bench.resets == std::set{source, bench.stop});

    Bench members;
    auto const member = members.circuit();
    members.now += 59min;  // the reservation still stands
    members.server.on_deadline(members.now);
    members.say(member, Bytes(1'000'000, 1));
    CHECK(members.written[members.stop].size() == 1'000'000);
    CHECK(members.server.circuits_count() == 1);
}

TEST_CASE("a circuit is unlimited only when both ends are") {
    for (auto const& [source, target] : {std::pair(Grant::limited, Grant::unlimited),
                                         std::pair(Grant::unlimited, Grant::limited)}) {
        Bench bench({.limited = {.duration_s = 5, .data_bytes = 10}});
        auto const stream = bench.circuit(source, target);
        bench.say(stream, Bytes(11, 1));
        CHECK(bench.resets.contains(stream));
    }
}

TEST_CASE("circuits end at their number, in total and of one peer, on either end") {
    Bench all({.circuits_max = 2});
    REQUIRE(all.reserve(3) == Status::ok);
    for (auto const peer : std::array<std::uint8_t, 2>{4, 5})
        CHECK(all.status_on(all.connect(peer, 3)) == Status::none);
    CHECK(all.status_on(all.connect(6, 3)) == Status::resource_limit_exceeded);
    Bench one({.circuits_per_peer_max = 2});
    for (auto const peer : std::array<std::uint8_t, 3>{3, 4, 5})
        REQUIRE(one.reserve(peer) == Status::ok);
    one.connect(2, 3);
    one.connect(2, 4);
    CHECK(one.status_on(one.connect(2, 5)) == Status::resource_limit_exceeded);
    one.connect(6, 4);
    CHECK(one.status_on(one.connect(7, 4)) == Status::resource_limit_exceeded);
    CHECK(one.status_on(one.connect(7, 5)) == Status::none);
}

TEST_CASE("hop streams that ask nothing are few, and end") {
    Bench bench({.unanswered_per_connection_max = 2});
    auto const first = bench.hop(2), second = bench.hop(2), third = bench.hop(2);
    CHECK(bench.resets == std::set{third});
    bench.now += 10s;
    bench.server.on_deadline(bench.now);
    bench.drive();
    CHECK(bench.resets == std::set{first, second, third});
    CHECK_FALSE(bench.server.deadline().has_value());
}

TEST_CASE("requests that are no requests are answered with the code for it") {
    Bench bench;
    auto const status_after = [&bench](Bytes const& bytes) {
        auto const stream = bench.hop(2);
        bench.say(stream, bytes);
        auto const status = bench.status_on(stream);
        bench.server.on_ended(stream);
        return status;
    };
    CHECK(status_after({2, 0xff, 0xff}) == Status::malformed_message);
    CHECK(status_after({0}) == Status::malformed_message);
    CHECK(status_after({0x81, 0x20}) == Status::malformed_message);
    CHECK(status_after(frame_hop(Answer{.status = Status::ok})) == Status::unexpected_message);
    auto const cut = bench.hop(2);
    bench.say(cut, Bytes{4, 8});
    bench.server.on_ended(cut);
    bench.drive();
    CHECK(bench.resets == std::set{cut});
}

TEST_CASE("a slow end slows the other: credit returns only for what was passed on") {
    Bench bench;
    auto const source = bench.circuit();
    auto const before = bench.consumed[source];
    bench.room = 10;
    bench.say(source, Bytes(25, 7));
    CHECK(bench.consumed[source] - before == 10);
    CHECK(bench.written[bench.stop].size() == 10);
    bench.server.on_writable(bench.stop);
    bench.drive();
    bench.server.on_ended(source);
    bench.drive();
    CHECK_FALSE(bench.finished.contains(bench.stop));
    bench.server.on_writable(bench.stop);
    bench.drive();
    CHECK(bench.consumed[source] - before == 25);
    CHECK(bench.written[bench.stop] == Bytes(25, 7));
    CHECK(bench.finished.contains(bench.stop));
}

TEST_CASE("when either end breaks, the other is reset") {
    Bench first;
    auto source = first.circuit();
    first.server.on_reset(source);
    first.drive();
    CHECK(first.resets == std::set{first.stop});
    CHECK(first.server.circuits_count() == 0);
    Bench second;
    source = second.circuit();
    second.server.on_connection_down(3);
    second.drive();
    CHECK(second.resets == std::set{source});
    CHECK(second.server.reservations_count() == 0);
}

TEST_CASE("a source that breaks while its target is asked leaves nothing behind") {
    Bench bench;
    REQUIRE(bench.reserve(3) == Status::ok);
    auto const source = bench.connect(2, 3);
    bench.server.on_reset(source);
    bench.drive();
    CHECK(bench.resets == std::set{bench.stop});
    bench.say(bench.stop, StopAnswer::accept());
    CHECK(bench.server.circuits_count() == 0);
    CHECK_FALSE(bench.server.knows(bench.stop));
}

TEST_CASE("an id that comes back while bytes of its circuit wait ends both, and nothing else") {
    Bench bench;
    auto const source = bench.circuit();
    bench.room = 10;
    bench.say(source, Bytes(25, 7));
    bench.server.on_ended(source);
    bench.server.on_ended(bench.stop);
    bench.drive();
    REQUIRE(bench.server.circuits_count() == 1);  // bytes are left
    bench.server.on_hop_opened(source, caller_of(2), bench.now);
    bench.drive();
    CHECK(bench.resets.contains(source));
    CHECK(bench.server.circuits_count() == 0);
    bench.server.on_reset(source);
    bench.server.on_writable(bench.stop);
    bench.drive();
    CHECK_FALSE(bench.server.knows(source));
    bench.room = 1000;
    CHECK(bench.reserve(4) == Status::ok);
}
