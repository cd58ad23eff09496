#include "node/link/link.h"

#include <doctest/doctest.h>

#include <random>
#include <type_traits>

#include "crypto/ed25519.h"
#include "crypto/x25519.h"

using namespace kith::node;
using kith::base::as_bytes;
using kith::base::as_text;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::Duration;
using kith::base::Instant;
using kith::base::Status;
using kith::identity::PeerId;
using namespace std::chrono_literals;
namespace noise = kith::proto::noise;

// S16: nobody but Link can say who a peer is.
static_assert(!std::is_constructible_v<AuthenticatedPeer, PeerId, noise::HandshakeHash>);
static_assert(!std::is_default_constructible_v<AuthenticatedPeer>);

namespace {

constexpr Instant start{};

noise::PrivateKey key_of(std::uint8_t fill) {
    return noise::PrivateKey::from(Bytes(32, fill)).value();
}

struct Party {
    explicit Party(std::uint8_t fill)
        : signer(key_of(fill)), peer(signer.public_key()), credentials(present(fill)) {}

    noise::Credentials present(std::uint8_t fill) const {
        auto static_key = key_of(static_cast<std::uint8_t>(fill + 100));
        auto const signature =
            signer.sign(noise::Credentials::to_sign(kith::crypto::x25519_public_key(static_key)));
        return {std::move(static_key), peer, signature};
    }

    kith::crypto::Ed25519KeyPair signer;
    PeerId peer;
    noise::Credentials credentials;
};

// Two links joined back to back, carried `step` bytes at a time.
struct Bench {
    explicit Bench(LinkOptions dialer_options = {}, LinkOptions listener_options = {})
        : dialer(with_role(std::move(dialer_options), LinkRole::dialer), a.credentials, key_of(11),
                 start),
          listener(with_role(std::move(listener_options), LinkRole::listener), b.credentials,
                   key_of(12), start) {}

    static LinkOptions with_role(LinkOptions options, LinkRole role) {
        options.role = role;
        if (options.accepted_protocols.empty()) options.accepted_protocols = {"/echo"};
        return options;
    }

    Status carry(Link& from, Link& to) {
        Bytes wire;
        moved = from.poll_transmit(wire, now) || moved;
        for (ByteView rest = wire; !rest.empty();) {
            auto const part = rest.first(std::min(step, rest.size()));
            rest = rest.subspan(part.size());
            if (auto status = to.feed(part, now); !status) return status;
        }
        return {};
    }

    // Until nothing moves any more; false when a side failed.
    bool settle() {
        do {
            moved = false;
            if (auto status = carry(dialer, listener); !status) error = status.error();
            if (auto status = carry(listener, dialer); !status) error = status.error();
        } while (moved && !error);
        return !error;
    }

    template <class T>
    static std::vector<T> events_of(Link& link) {
        std::vector<T> found;
        while (auto event = link.poll_event())
            if (auto* const one = std::get_if<T>(&*event)) found.push_back(std::move(*one));
        return found;
    }

    Party a{1}, b{2};
    Instant now = start;
    std::size_t step = 1 << 20;
    bool moved = false;
    std::optional<kith::base::Error> error;
    Link dialer, listener;
};

std::string framed(std::string_view text) {
    std::string out(1, static_cast<char>(text.size() + 1));
    return out.append(text).append("\n");
}

}  // namespace

TEST_CASE(
    "both ends come up with the same channel and each other's proven id, whatever the cuts and the "
    "muxer path") {
    for (auto const early : {EarlyMuxer::announce, EarlyMuxer::off}) {
        for (std::size_t const step : {std::size_t{1}, std::size_t{13}, std::size_t{1} << 20}) {
            LinkOptions options;
            options.early_muxer = early;
            Bench bench(options);
            bench.step = step;
            REQUIRE(bench.settle());
            auto const first = Bench::events_of<LinkUp>(bench.dialer);
            auto const second = Bench::events_of<LinkUp>(bench.listener);
            REQUIRE(first.size() == 1);
            REQUIRE(second.size() == 1);
            CHECK((first[0].peer.peer() == bench.b.peer));
            CHECK((second[0].peer.peer() == bench.a.peer));
            CHECK(first[0].peer.channel() == second[0].peer.channel());
            CHECK(bench.dialer.is_up());
        }
    }
}

TEST_CASE("a stream carries data both ways, data written before the answer included") {
    Bench bench;
    REQUIRE(bench.settle());
    Bench::events_of<LinkUp>(bench.dialer);
    Bench::events_of<LinkUp>(bench.listener);
    auto const id = bench.dialer.open_stream("/echo", start).value();
    CHECK(bench.dialer.write(id, as_bytes("early")) == 5);
    bench.dialer.close_write(id);
    REQUIRE(bench.settle());
    std::string got;
    bool ended = false;
    while (auto event = bench.listener.poll_event()) {
        if (auto const* opened = std::get_if<StreamOpened>(&*event)) {
            CHECK(opened->protocol == "/echo");
            CHECK(opened->direction == Direction::inbound);
        }
        if (auto const* data = std::get_if<StreamData>(&*event)) got += as_text(data->bytes);
        ended = ended || std::holds_alternative<StreamEnded>(*event);
    }
    CHECK(got == "early");
    CHECK(ended);
    CHECK(bench.listener.write(id, as_bytes("late")) == 4);
    bench.listener.close_write(id);
    REQUIRE(bench.settle());
    auto const back = Bench::events_of<StreamData>(bench.dialer);
    REQUIRE(back.size() == 1);
    CHECK(as_text(back[0].bytes) == "late");
}

TEST_CASE("megabytes pass through one stream while the reader consumes") {
    Bench bench;
    REQUIRE(bench.settle());
    auto const id = bench.dialer.open_stream("/echo", start).value();
    Bytes sent(3'000'000);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(i * 7);
    std::size_t offset = 0;
    Bytes got;
    for (int turn = 0; turn < 10000 && got.size() < sent.size(); ++turn) {
        offset += bench.dialer.write(id, ByteView(sent).subspan(offset));
        REQUIRE(bench.settle());
        for (auto const& data : Bench::events_of<StreamData>(bench.listener)) {
            kith::base::append(got, data.bytes);
            bench.listener.consumed(id, data.bytes.size());
        }
    }
    CHECK(got == sent);
}

TEST_CASE("P7: a dialled peer that is not the expected one brings the link down before it is up") {
    LinkOptions options;
    options.expected_peer = Party(7).peer;
    Bench bench(options);
    CHECK_FALSE(bench.settle());
    REQUIRE(bench.error.has_value());
    CHECK(bench.error->code == Code::unauthorized);
    CHECK(Bench::events_of<LinkUp>(bench.dialer).empty());
    CHECK(Bench::events_of<LinkUp>(bench.listener).empty());
    CHECK(bench.dialer.feed(Bytes{1}, start).error().code == Code::conflict);
}

TEST_CASE("P31: a peer that asks for plaintext is told na and nothing else") {
    Bench bench;
    Bytes sent;
    REQUIRE(bench.listener
                .feed(as_bytes(framed("/multistream/1.0.0") + framed("/plaintext/2.0.0")), start)
                .has_value());
    bench.listener.poll_transmit(sent, start);
    CHECK(as_text(sent) == framed("/multistream/1.0.0") + framed("na"));
    CHECK_FALSE(bench.listener.is_up());
    // A protocol of ours before authentication is answered the same way.
    sent.clear();
    REQUIRE(bench.listener.feed(as_bytes(framed("/echo")), start).has_value());
    bench.listener.poll_transmit(sent, start);
    CHECK(as_text(sent) == framed("na"));
}

TEST_CASE("P31: a dialled peer that offers no Noise is left") {
    Bench bench;
    CHECK(bench.dialer.feed(as_bytes(framed("/multistream/1.0.0") + framed("na")), start)
              .error()
              .code == Code::unsupported);
    Bench other;
    CHECK_FALSE(
        other.dialer
            .feed(as_bytes(framed("/multistream/1.0.0") + framed("/plaintext/2.0.0")), start)
            .has_value());
}

TEST_CASE(
    "P31: a protocol outside the accepted list is refused, and the list can change at run time") {
    Bench bench;
    REQUIRE(bench.settle());
    auto const refused = bench.dialer.open_stream("/secret", start).value();
    REQUIRE(bench.settle());
    auto const resets = Bench::events_of<StreamReset>(bench.dialer);
    REQUIRE(resets.size() == 1);
    CHECK(resets[0].id == refused);
    CHECK(resets[0].reason.code == Code::unsupported);
    CHECK(Bench::events_of<StreamOpened>(bench.listener).empty());

    bench.listener.set_accepted_protocols({"/secret"});
    bench.dialer.open_stream("/secret", start).value();
    bench.dialer.open_stream("/echo", start).value();
    REQUIRE(bench.settle());
    auto const opened = Bench::events_of<StreamOpened>(bench.listener);
    REQUIRE(opened.size() == 1);
    CHECK(opened[0].protocol == "/secret");
}

TEST_CASE("a flipped bit anywhere behind the handshake ends the link") {
    Bench bench;
    REQUIRE(bench.settle());
    bench.dialer.open_stream("/echo", start).value();
    Bytes wire;
    REQUIRE(bench.dialer.poll_transmit(wire, start));
    wire[wire.size() / 2] ^= 1;
    CHECK(bench.listener.feed(wire, start).error().code == Code::unauthorized);
}

TEST_CASE("a handshake that is not done in five seconds is given up at every stage") {
    for (std::size_t const fed :
         {std::size_t{0}, std::size_t{5}, std::size_t{30}, std::size_t{62}}) {
        Bench bench;
        Bytes wire;
        bench.dialer.poll_transmit(wire, start);
        REQUIRE(bench.listener.feed(ByteView(wire).first(fed), start).has_value());
        CHECK(bench.listener.deadline() == start + 5s);
        CHECK(bench.listener.on_deadline(start + 4999ms).has_value());
        CHECK(bench.listener.on_deadline(start + 5s).error().code == Code::timeout);
        CHECK(bench.listener.deadline() == std::nullopt);
    }
}

TEST_CASE("a stream whose protocol is not agreed in ten seconds is reset, the link stays") {
    Bench bench;
    REQUIRE(bench.settle());
    bench.dialer.open_stream("/echo", start).value();
    Bytes lost;
    bench.dialer.poll_transmit(lost, start);
    REQUIRE(bench.dialer.deadline() == start + 10s);
    CHECK(bench.dialer.on_deadline(start + 10s).has_value());
    auto const resets = Bench::events_of<StreamReset>(bench.dialer);
    REQUIRE(resets.size() == 1);
    CHECK(resets[0].reason.code == Code::timeout);
    CHECK(bench.dialer.is_up());
}

TEST_CASE("a peer that falls silent is found by its unanswered pings") {
    Bench bench;
    REQUIRE(bench.settle());
    Bytes lost;
    for (int rings = 0; rings < 10 && bench.dialer.deadline(); ++rings) {
        bench.now = *bench.dialer.deadline();
        auto const status = bench.dialer.on_deadline(bench.now);
        if (!status) {
            CHECK(status.error().code == Code::timeout);
            CHECK(bench.now - start <= 60s);
            return;
        }
        bench.dialer.poll_transmit(lost, bench.now);
    }
    FAIL("the link never noticed");
}

TEST_CASE("nothing can be opened or written before the link is up") {
    Bench bench;
    CHECK(bench.dialer.open_stream("/echo", start).error().code == Code::conflict);
    CHECK(bench.dialer.write(StreamId{1}, as_bytes("x")) == 0);
    bench.dialer.reset(StreamId{1});
    bench.dialer.consumed(StreamId{1}, 0);
}

TEST_CASE("oversized and malformed openings are refused at once") {
    for (auto const& bytes : {Bytes{0xff, 0xff, 0x7f}, Bytes{0x80, 0x00}, Bytes(64, 0)}) {
        Bench bench;
        CHECK_FALSE(bench.listener.feed(bytes, start).has_value());
    }
    Bench http;
    CHECK_FALSE(
        http.listener
            .feed(as_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(100, ' ')), start)
            .has_value());
}

TEST_CASE("a write of any size from nothing to 1 MiB arrives whole") {
    auto const seed = std::random_device{}();
    INFO("seed ", seed);
    std::mt19937 random(seed);
    std::vector<std::size_t> sizes{0,       1,       16 * 1024, 16 * 1024 + 1, 65'518,
                                   65'519,  65'520,  65'535,    65'536,        262'144,
                                   262'145, 524'288, 524'289,   1024 * 1024};
    for (int i = 0; i < 8; ++i) sizes.push_back(random() % (1024 * 1024));
    Bench bench;
    REQUIRE(bench.settle());
    for (auto const size : sizes) {
        INFO("size ", size);
        auto const id = bench.dialer.open_stream("/echo", start).value();
        Bytes sent(size), got;
        for (auto& byte : sent) byte = static_cast<std::uint8_t>(random());
        std::size_t offset = bench.dialer.write(id, sent);
        bool ended = false;
        for (int turn = 0; turn < 100 && !ended; ++turn) {
            if (offset == size) bench.dialer.close_write(id);
            REQUIRE(bench.settle());
            while (auto event = bench.listener.poll_event()) {
                ended = ended || std::holds_alternative<StreamEnded>(*event);
                auto const* data = std::get_if<StreamData>(&*event);
                if (data == nullptr) continue;
                kith::base::append(got, data->bytes);
                bench.listener.consumed(id, data->bytes.size());
            }
            offset += bench.dialer.write(id, ByteView(sent).subspan(offset));
        }
        CHECK(ended);
        CHECK(got == sent);
        bench.listener.reset(id);
        REQUIRE(bench.settle());
    }
}

TEST_CASE("a small message and the answer to it leave with the next poll each, alone") {
    // js-yamux#48: a pong was written and not flushed. Counted in polls, not in time.
    Bench bench;
    REQUIRE(bench.settle());
    auto const id = bench.dialer.open_stream("/echo", start).value();
    REQUIRE(bench.settle());
    Bench::events_of<StreamData>(bench.listener);
    Bytes wire;
    CHECK(bench.dialer.write(id, as_bytes("x")) == 1);
    REQUIRE(bench.dialer.poll_transmit(wire, start));
    REQUIRE(bench.listener.feed(wire, start).has_value());
    CHECK(Bench::events_of<StreamData>(bench.listener).size() == 1);
    CHECK(bench.listener.write(id, as_bytes("y")) == 1);
    wire.clear();
    REQUIRE(bench.listener.poll_transmit(wire, start));
    REQUIRE(bench.dialer.feed(wire, start).has_value());
    CHECK(Bench::events_of<StreamData>(bench.dialer).size() == 1);

    // The same for a ping of the session, which no owner answers.
    wire.clear();
    auto const due = *bench.dialer.deadline();
    REQUIRE(bench.dialer.on_deadline(due).has_value());
    REQUIRE(bench.dialer.poll_transmit(wire, due));
    REQUIRE(bench.listener.feed(wire, due).has_value());
    wire.clear();
    REQUIRE(bench.listener.poll_transmit(wire, due));
    REQUIRE(bench.dialer.feed(wire, due).has_value());
    CHECK(*bench.dialer.deadline() > due + 15s);  // answered: the next thing is the next ping
}

TEST_CASE("a link that moved megabytes and is idle holds next to nothing in its buffers") {
    Bench bench;
    REQUIRE(bench.settle());
    auto const id = bench.dialer.open_stream("/echo", start).value();
    Bytes const part(300'000, 3);
    for (std::size_t moved = 0; moved < 3'000'000;) {
        moved += bench.dialer.write(id, part);
        CHECK(bench.dialer.buffer_bytes() >= 100'000);  // it counts what is in use
        REQUIRE(bench.settle());
        for (auto const& data : Bench::events_of<StreamData>(bench.listener))
            bench.listener.consumed(id, data.bytes.size());
    }
    REQUIRE(bench.settle());
    CHECK(bench.dialer.buffer_bytes() <= 2 * idle_buffer_max);
    CHECK(bench.listener.buffer_bytes() <= 2 * idle_buffer_max);
}
