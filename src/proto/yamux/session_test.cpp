#include "proto/yamux/session_test_bench.h"

#include <random>

using namespace kith::proto::yamux;
using namespace kith::proto::yamux::test;
using kith::base::as_bytes;
using kith::base::Duration;
using namespace std::chrono_literals;

TEST_CASE("bytes written on one side arrive on the other, both ways, and both halves close") {
    Pair pair;
    auto const id = pair.dialer.open().value();
    CHECK(pair.dialer.write(id, as_bytes("question")) == 8);
    pair.dialer.close_write(id);
    pair.settle();
    bool opened = false, ended = false;
    while (auto event = pair.listener.poll_event()) {
        if (std::get_if<StreamOpened>(&*event)) opened = true;
        if (auto const* got = std::get_if<StreamData>(&*event))
            CHECK(kith::base::as_text(got->bytes) == "question");
        if (std::get_if<StreamEnded>(&*event)) ended = true;
    }
    CHECK(opened);
    CHECK(ended);
    CHECK(pair.listener.write(id, as_bytes("answer")) == 6);
    pair.listener.close_write(id);
    pair.settle();
    CHECK(events_of<StreamData>(pair.dialer).size() == 1);
    CHECK_FALSE(pair.dialer.knows(id));
    CHECK_FALSE(pair.listener.knows(id));
}

TEST_CASE("writes of any size and any cut arrive intact") {
    auto const seed = std::random_device{}();
    INFO("seed ", seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 8; ++round) {
        Pair pair;
        auto const id = pair.dialer.open().value();
        Bytes sent(random() % (1024 * 1024)), received;
        for (auto& byte : sent) byte = static_cast<std::uint8_t>(random());
        std::size_t offset = 0;
        for (int turn = 0; received.size() < sent.size() && turn < 100000; ++turn) {
            offset += pair.dialer.write(id, ByteView(sent).subspan(offset));
            Bytes wire;
            pair.dialer.poll_transmit(wire, start);
            for (ByteView rest = wire; !rest.empty();) {
                auto const part =
                    rest.first(std::min<std::size_t>(rest.size(), 1 + random() % 70000));
                REQUIRE(pair.listener.feed(part, start).has_value());
                rest = rest.subspan(part.size());
            }
            for (auto& got : events_of<StreamData>(pair.listener)) {
                kith::base::append(received, got.bytes);
                pair.listener.consumed(id, got.bytes.size());
            }
            Bytes back;
            pair.listener.poll_transmit(back, start);
            REQUIRE(pair.dialer.feed(back, start).has_value());
        }
        CHECK(received == sent);
    }
}

TEST_CASE("a reader that takes nothing stops the writer at the initial window") {
    Pair pair;
    auto const id = pair.dialer.open().value();
    Bytes const bulk(send_buffer_max, 1);
    CHECK(pair.dialer.write(id, bulk) == send_buffer_max);
    CHECK(pair.dialer.write(id, bulk) == 0);
    pair.settle();
    std::size_t received = 0;
    for (auto const& got : events_of<StreamData>(pair.listener)) received += got.bytes.size();
    CHECK(received == window_initial);
    CHECK(events_of<StreamWritable>(pair.dialer).size() == 1);
    pair.listener.consumed(id, window_initial / 2);
    pair.settle();
    CHECK_FALSE(events_of<StreamData>(pair.listener).empty());
}

TEST_CASE("a window grows up to its cap while its reader keeps up, and not for a slow one") {
    for (auto const pause : {Duration(0), Duration(1s)}) {
        Pair pair;
        auto now = start;
        pair.settle(now);  // the round trip is measured as zero
        auto const id = pair.dialer.open().value();
        std::size_t in_one_go_max = 0;
        for (int turn = 0; turn < 200; ++turn) {
            while (pair.dialer.write(id, Bytes(send_buffer_max, 1)) > 0) pair.step(now);
            pair.settle(now);
            std::size_t received = 0;
            for (auto const& got : events_of<StreamData>(pair.listener))
                received += got.bytes.size();
            in_one_go_max = std::max(in_one_go_max, received);
            now += pause;
            pair.listener.consumed(id, received);
        }
        CHECK(in_one_go_max <= window_max);
        CHECK((in_one_go_max > window_initial) == (pause == Duration(0)));
    }
}

TEST_CASE("two bulk transfers in opposite directions finish") {
    Pair pair;
    auto const up = pair.dialer.open().value();
    auto const down = pair.listener.open().value();
    std::size_t const total = 20 * 1024 * 1024;
    std::size_t sent_up = 0, sent_down = 0, got_up = 0, got_down = 0;
    Bytes const part(100000, 7);
    for (int turn = 0; turn < 100000 && (got_up < total || got_down < total); ++turn) {
        sent_up +=
            pair.dialer.write(up, ByteView(part).first(std::min(part.size(), total - sent_up)));
        sent_down += pair.listener.write(
            down, ByteView(part).first(std::min(part.size(), total - sent_down)));
        pair.step(start);
        for (auto const& got : events_of<StreamData>(pair.listener)) {
            got_up += got.bytes.size();
            pair.listener.consumed(up, got.bytes.size());
        }
        for (auto const& got : events_of<StreamData>(pair.dialer)) {
            got_down += got.bytes.size();
            pair.dialer.consumed(down, got.bytes.size());
        }
    }
    CHECK(got_up == total);
    CHECK(got_down == total);
}

TEST_CASE("streams share a connection in turns") {
    Pair pair;
    auto const first = pair.dialer.open().value();
    auto const second = pair.dialer.open().value();
    pair.dialer.write(first, Bytes(200000, 1));
    pair.dialer.write(second, Bytes(10, 2));
    auto const sent = sent_by(pair.dialer);
    std::size_t position = 0;
    while (sent[position].stream != static_cast<std::uint32_t>(second)) ++position;
    CHECK(position <= 2);  // a ping, one frame of the first stream, then the second
}

TEST_CASE("flags are understood on either frame type and in any combination") {
    Session session(Role::listener, start);
    CHECK(session.feed(frame(data(1, flag_syn | flag_fin, 5), 5), start).has_value());
    CHECK(session.feed(frame(update(3, flag_syn, 1000)), start).has_value());
    CHECK(session.feed(frame(update(3, flag_fin, 0)), start).has_value());
    CHECK(session.feed(frame(data(5, flag_syn, 0)), start).has_value());
    CHECK(session.feed(frame(data(5, flag_rst, 3), 3), start).has_value());
    std::size_t opened = 0, ended = 0, resets = 0, received = 0;
    while (auto event = session.poll_event()) {
        opened += std::holds_alternative<StreamOpened>(*event);
        ended += std::holds_alternative<StreamEnded>(*event);
        resets += std::holds_alternative<StreamReset>(*event);
        if (auto const* got = std::get_if<StreamData>(&*event)) received += got->bytes.size();
    }
    CHECK(opened == 3);
    CHECK(ended == 2);
    CHECK(resets == 1);
    CHECK(received == 5);
}

TEST_CASE(
    "the length of a WindowUpdate with SYN is credit over 256 KiB, and with RST no credit at all") {
    Session session(Role::listener, start);
    CHECK(session.feed(frame(update(1, flag_syn, 1000)), start).has_value());
    CHECK(session.write(StreamId{1}, Bytes(send_buffer_max, 1)) == send_buffer_max);
    std::size_t sent = 0;
    for (auto const& header : sent_by(session))
        if (header.type == Type::data) sent += header.length;
    CHECK(sent == window_initial + 1000);
    CHECK(session.feed(frame(update(1, flag_rst, 0xffffffff)), start).has_value());
    CHECK_FALSE(session.knows(StreamId{1}));
}

TEST_CASE("a body as large as the window is passed on while it arrives") {
    Session session(Role::listener, start);
    Bytes const whole = frame(data(1, flag_syn, window_initial), window_initial);
    CHECK(session.feed(ByteView(whole).first(1000), start).has_value());
    auto const parts = events_of<StreamData>(session);
    REQUIRE(parts.size() == 1);
    CHECK(parts[0].bytes.size() == 1000 - header_bytes);
}

TEST_CASE("a ping is answered with its value and only asked pongs count") {
    Session session(Role::dialer, start);
    auto const asked = sent_by(session);
    REQUIRE(asked.size() == 1);
    CHECK(
        session
            .feed(frame({.type = Type::ping, .flags = flag_syn, .stream = 0, .length = 77}), start)
            .has_value());
    auto const answers = sent_by(session);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].flags == flag_ack);
    CHECK(answers[0].length == 77);
    CHECK(
        session
            .feed(frame({.type = Type::ping, .flags = flag_ack, .stream = 0, .length = 999}), start)
            .has_value());
}

TEST_CASE("a silent peer is pinged, then given up") {
    Session session(Role::dialer, start);
    auto const ping = sent_by(session).at(0);
    auto now = start + 1s;
    CHECK(
        session
            .feed(
                frame({.type = Type::ping, .flags = flag_ack, .stream = 0, .length = ping.length}),
                now)
            .has_value());
    CHECK(session.deadline() == now + ping_interval);
    now += ping_interval;
    session.on_deadline(now);
    CHECK(sent_by(session, now).size() == 1);
    session.on_deadline(now + ping_timeout - 1us);
    CHECK_FALSE(session.is_silent());
    session.on_deadline(now + ping_timeout);
    CHECK(session.is_silent());
}

TEST_CASE("GoAway with any code ends the session") {
    Session session(Role::dialer, start);
    CHECK(session.feed(frame({.type = Type::go_away, .flags = 0, .stream = 0, .length = 0}), start)
              .error()
              .code == Code::unavailable);
    CHECK_FALSE(session.open().has_value());
}

TEST_CASE("a stream reset before its first frame leaves no trace on the wire") {
    Session session(Role::dialer, start);
    auto const id = session.open().value();
    session.write(id, as_bytes("x"));
    session.reset(id);
    for (auto const& header : sent_by(session)) CHECK(header.stream == 0);
}

TEST_CASE("FIN travels in a frame of its own, because js-libp2p drops a body that comes with it") {
    Session session(Role::dialer, start);
    auto const id = session.open().value();
    session.write(id, as_bytes("last words"));
    session.close_write(id);
    bool ended = false;
    for (auto const& header : sent_by(session)) {
        if (!header.has(flag_fin)) continue;
        ended = true;
        CHECK(header.length == 0);
    }
    CHECK(ended);
}

TEST_CASE("opposite transfers on one stream finish over a narrow line while a reader is slow") {
    // rust-libp2p#5410: both windows grow, and each side waits to write before it reads. Here the
    // line takes little at a time, and one reader takes less than that.
    Pair pair;
    pair.settle();
    auto const id = pair.dialer.open().value();
    std::size_t const total = 3 * 1024 * 1024, line_bytes = 96 * 1024, slow_bytes = 10 * 1024;
    struct Side {
        Session& session;
        std::size_t takes;  // per turn
        Bytes wire{};       // what it said and the line has not taken yet
        std::size_t sent = 0, got = 0, unread = 0, one_go_max = 0;
    };
    Side fast{.session = pair.dialer, .takes = total},
        slow{.session = pair.listener, .takes = slow_bytes};
    Bytes const part(200'000, 7);
    auto const turn = [&](Side& from, Side& to) {
        from.sent +=
            from.session.write(id, ByteView(part).first(std::min(part.size(), total - from.sent)));
        if (from.wire.empty()) from.session.poll_transmit(from.wire, start);
        auto const carried = ByteView(from.wire).first(std::min(line_bytes, from.wire.size()));
        REQUIRE(to.session.feed(carried, start).has_value());
        from.wire.erase(from.wire.begin(),
                        from.wire.begin() + static_cast<std::ptrdiff_t>(carried.size()));
        for (auto const& data : events_of<StreamData>(to.session)) {
            to.got += data.bytes.size();
            to.unread += data.bytes.size();
        }
        to.one_go_max = std::max(to.one_go_max, to.unread);
        auto const read = std::min(to.takes, to.unread);
        to.session.consumed(id, read);
        to.unread -= read;
    };
    int turns = 0;
    for (; turns < 2000 && (fast.got < total || slow.got < total); ++turns) {
        turn(fast, slow);
        turn(slow, fast);
    }
    CHECK(fast.got == total);
    CHECK(slow.got == total);
    CHECK(slow.one_go_max <= window_max);
}

TEST_CASE("100 MB in frames as large as the window, read while each frame is still coming") {
    // js sends such frames; rust-yamux#90: a window that grows inside of a frame was miscounted.
    Session session(Role::listener, start);
    auto const ping = sent_by(session).at(0);
    REQUIRE(
        session.feed(frame({.type = Type::ping, .flags = flag_ack, .length = ping.length}), start)
            .has_value());  // the round trip is known: windows grow
    REQUIRE(session.feed(frame(update(1, flag_syn, 0)), start).has_value());
    std::uint64_t credit = window_initial, sent = 0, got = 0;
    std::uint32_t largest = 0;
    Bytes const body(window_max, 0x42);
    while (sent < 100'000'000) {
        auto const size = static_cast<std::uint32_t>(std::min<std::uint64_t>(credit, window_max));
        REQUIRE(size > 0);
        largest = std::max(largest, size);
        credit -= size;
        sent += size;
        REQUIRE(session.feed(frame(data(1, 0, size)), start).has_value());
        for (ByteView rest = ByteView(body).first(size); !rest.empty();) {
            auto const part = rest.first(std::min<std::size_t>(rest.size(), 100'000));
            rest = rest.subspan(part.size());
            REQUIRE(session.feed(part, start).has_value());
            for (auto const& one : events_of<StreamData>(session)) {
                got += one.bytes.size();
                session.consumed(StreamId{1}, one.bytes.size());
            }
            for (auto const& header : sent_by(session))
                if (header.type == Type::window_update && header.stream == 1)
                    credit += header.length;
            // Never more than one window of what we have not got yet.
            REQUIRE(credit + (sent - got) <= window_max);
        }
    }
    CHECK(got == sent);
    CHECK(largest > 1'000'000);  // beyond what rust-yamux takes as one frame
}
