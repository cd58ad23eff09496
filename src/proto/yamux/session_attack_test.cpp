// What peers that break or bend the protocol can do to a session.
#include "proto/yamux/session_test_bench.h"

using namespace kith::proto::yamux;
using namespace kith::proto::yamux::test;

TEST_CASE("data one byte beyond the window ends the session before anything is stored") {
    CHECK(refusal({frame(data(1, flag_syn, window_initial + 1))}) == Code::invalid);
    CHECK(refusal({frame(data(1, flag_syn, 0x80000000))}) == Code::invalid);
    CHECK(refusal({frame(data(1, flag_syn, window_initial), window_initial),
                   frame(data(1, 0, 1), 1)}) == Code::invalid);
    Session session(Role::listener, start);
    CHECK(
        session.feed(frame(data(1, flag_syn, window_initial), window_initial), start).has_value());
}

TEST_CASE("protocol errors of a peer end the session with GoAway") {
    CHECK(refusal({frame(data(2, flag_syn, 0))}) == Code::invalid);  // our parity
    CHECK(refusal({frame(data(0, flag_syn, 0))}) == Code::invalid);  // stream 0
    CHECK(refusal({frame(data(1, flag_syn, 0)), frame(update(1, flag_syn, 0))}) ==
          Code::invalid);                                                       // twice
    CHECK(refusal({frame(update(1, flag_syn, 0xffffffff))}) == Code::invalid);  // overflow
    CHECK(refusal({frame(data(1, flag_syn | flag_fin, 0)), frame(data(1, 0, 1), 1)}) ==
          Code::invalid);
    CHECK(refusal({Bytes(header_bytes, 0xff)}) == Code::invalid);  // version
    CHECK(refusal({frame({.type = Type::ping, .flags = flag_syn, .stream = 1, .length = 0})}) ==
          Code::invalid);
    CHECK(refusal({frame(data(9, 0, window_max + 1))}) == Code::invalid);
}

TEST_CASE("frames for unknown streams change nothing") {
    Session session(Role::listener, start);
    sent_by(session);
    CHECK(session.feed(frame(data(7, 0, 100), 100), start).has_value());
    CHECK(session.feed(frame(update(7, 0, 100)), start).has_value());
    CHECK(session.feed(frame(update(7, flag_rst, 0)), start).has_value());
    CHECK(session.feed(frame(data(8, flag_fin, 0)), start).has_value());
    CHECK(session.poll_event() == std::nullopt);
    CHECK(sent_by(session).empty());
}

TEST_CASE("the stream after the last allowed one is reset and the others live on") {
    Session session(Role::listener, start);
    for (std::uint32_t i = 0; i <= streams_inbound_max; ++i)
        CHECK(session.feed(frame(update(1 + 2 * i, flag_syn, 0)), start).has_value());
    CHECK(session.streams_count() == streams_inbound_max);
    std::size_t resets = 0;
    for (auto const& header : sent_by(session))
        if (header.has(flag_rst)) {
            ++resets;
            CHECK(header.stream == 1 + 2 * streams_inbound_max);
        }
    CHECK(resets == 1);
}

TEST_CASE("a peer that never reads cannot make our queues grow") {
    Session session(Role::listener, start);
    bool refused = false;
    for (std::uint32_t i = 0; i < 100000 && !refused; ++i)
        refused = !session.feed(frame(update(1 + 2 * i, flag_syn, 0)), start).has_value();
    CHECK(refused);  // answers beyond control_frames_max

    Session pinged(Role::listener, start);
    for (std::size_t i = 0; i < pongs_max; ++i)
        CHECK(pinged
                  .feed(frame({.type = Type::ping, .flags = flag_syn, .stream = 0, .length = 1}),
                        start)
                  .has_value());
    CHECK_FALSE(
        pinged.feed(frame({.type = Type::ping, .flags = flag_syn, .stream = 0, .length = 1}), start)
            .has_value());

    Session churned(Role::listener, start);
    for (std::uint32_t i = 0; i < 100000; ++i) {
        REQUIRE(churned.feed(frame(update(1 + 2 * i, flag_syn | flag_rst, 0)), start).has_value());
        while (churned.poll_event()) {
        }
    }
    CHECK(churned.streams_count() == 0);
    CHECK(sent_by(churned).size() <= 1 + control_frames_max);
}

TEST_CASE("unread data of a connection is limited, and the stream that breaks the limit is reset") {
    Session session(Role::listener, start);
    std::uint32_t const streams = received_total_max / window_initial;
    for (std::uint32_t i = 0; i <= streams; ++i) {
        REQUIRE(
            session.feed(frame(data(1 + 2 * i, flag_syn, window_initial), window_initial), start)
                .has_value());
        auto const resets = events_of<StreamReset>(session);
        CHECK(resets.empty() == (i < streams));
    }
}

TEST_CASE("own streams are limited until the peer acknowledges them") {
    Session session(Role::dialer, start);
    for (std::size_t i = 0; i < streams_unacknowledged_max; ++i) CHECK(session.open().has_value());
    CHECK(session.open().error().code == Code::too_large);
    CHECK(session.feed(frame(update(1, flag_ack, 0)), start).has_value());
    CHECK(session.open().has_value());
}

TEST_CASE("an id that comes back before the end of its first stream was seen ends the session") {
    Session session(Role::listener, start);
    auto attack = frame({.type = Type::data, .flags = flag_syn, .stream = 1, .length = 20}, 20);
    kith::base::append(attack,
                       frame({.type = Type::window_update, .flags = flag_rst, .stream = 1}));
    kith::base::append(attack,
                       frame({.type = Type::window_update, .flags = flag_syn, .stream = 1}));
    auto const fed = session.feed(attack, start);
    REQUIRE_FALSE(fed.has_value());
    CHECK(fed.error().code == Code::invalid);
}

TEST_CASE("credit for a stream that is gone does not reach the one that took its id") {
    Session session(Role::listener, start);
    auto const first =
        frame({.type = Type::data, .flags = flag_syn, .stream = 1, .length = 20}, 20);
    REQUIRE(session.feed(first, start).has_value());
    REQUIRE(events_of<StreamData>(session).size() == 1);
    auto again = frame({.type = Type::window_update, .flags = flag_rst, .stream = 1});
    REQUIRE(session.feed(again, start).has_value());
    while (session.poll_event()) {
    }
    REQUIRE(
        session.feed(frame({.type = Type::window_update, .flags = flag_syn, .stream = 1}), start)
            .has_value());
    session.consumed(StreamId{1}, 20);  // a slow owner
    auto const little = frame({.type = Type::data, .stream = 1, .length = 10}, 10);
    REQUIRE(session.feed(little, start).has_value());
    CHECK(events_of<StreamData>(session).size() == 1);
    CHECK(session.knows(StreamId{1}));  // not reset for unread data that nobody sent
}

TEST_CASE("bytes of a frame that are still under way are no room for others") {
    Session session(Role::listener, start);
    auto const whole =
        frame({.type = Type::data, .flags = flag_syn, .stream = 1, .length = window_initial},
              window_initial);
    ByteView const sent = whole;
    REQUIRE(session.feed(sent.first(header_bytes + 1), start).has_value());
    session.consumed(StreamId{1}, 1);
    REQUIRE(session.feed(sent.subspan(header_bytes + 1), start).has_value());
    // Nothing but the one byte was read: a second window full must not be allowed.
    auto const more = frame({.type = Type::data, .stream = 1, .length = window_initial});
    static_cast<void>(sent_by(session));
    CHECK_FALSE(session.feed(more, start).has_value());
}

TEST_CASE("a reset takes effect although the peer has filled the queue of answers") {
    Session session(Role::listener, start);
    for (std::uint32_t i = 0; i < streams_inbound_max; ++i)
        REQUIRE(session.feed(frame(update(1 + 2 * i, flag_syn, 0)), start).has_value());
    for (std::uint32_t i = 1; i < control_frames_max; ++i)  // a ping of ours stands there already
        REQUIRE(session.feed(frame(update(10001 + 2 * i, flag_syn, 0)), start).has_value());
    session.reset(StreamId{1});
    CHECK_FALSE(session.knows(StreamId{1}));
    CHECK(session.open().has_value());  // the session lives
    auto const sent = sent_by(session);
    CHECK(std::ranges::count_if(sent, [](auto const& header) {
              return header.stream == 1 && header.has(flag_rst);
          }) == 1);
    CHECK(session.feed(frame(update(99999, flag_syn, 0)), start).has_value());
    CHECK(session.knows(StreamId{99999}));
}

TEST_CASE("resets that are not sent yet keep the places of their streams, both ways") {
    Session session(Role::listener, start);
    auto const open_and_reset = [&](std::uint32_t id) {
        REQUIRE(session.feed(frame(update(id, flag_syn, 0)), start).has_value());
        bool const opened = session.knows(StreamId{id});
        while (session.poll_event()) {
        }
        session.reset(StreamId{id});
        return opened;
    };
    std::uint32_t id = 1;
    for (std::size_t i = 0; i < streams_inbound_max; ++i, id += 2) CHECK(open_and_reset(id));
    CHECK_FALSE(open_and_reset(id));
    CHECK(session.streams_count() == 0);
    // One answer for each of them, one for the stream too many, our ping.
    CHECK(sent_by(session).size() == streams_inbound_max + 2);
    CHECK(open_and_reset(id));
    // The id of a stream whose reset waits is not free.
    CHECK_FALSE(session.feed(frame(update(id, flag_syn, 0)), start).has_value());

    Session own(Role::dialer, start);
    std::vector<StreamId> ours;
    for (std::uint32_t i = 0; i < streams_outbound_max; ++i) {
        ours.push_back(own.open().value());
        static_cast<void>(sent_by(own));
        REQUIRE(own.feed(frame(update(1 + 2 * i, flag_ack, 0)), start).has_value());
    }
    for (auto const one : ours) own.reset(one);
    CHECK(own.open().error().code == Code::too_large);
    CHECK(sent_by(own).size() == streams_outbound_max);
    CHECK(own.open().has_value());
}
