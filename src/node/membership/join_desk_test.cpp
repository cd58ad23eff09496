#include "node/membership/join_desk.h"

#include <doctest/doctest.h>

using namespace kith;
using namespace kith::node;
using base::Bytes;
using ports::ConnectionId;

namespace {

constexpr ConnectionId first_link{7};
constexpr ConnectionId other_link{8};

Carrier at(std::uint32_t stream, ConnectionId id = first_link) {
    return {.connection = id, .stream = StreamId{stream}};
}

Bytes framed(Bytes const& message) {
    Bytes out;
    wire::append_frame(out, message);
    return out;
}

bool refused(JoinDesk::Asked const& asked) {
    return std::holds_alternative<JoinDesk::Refused>(asked);
}

// Asks on a stream of its own; the whole request when it was taken.
std::optional<Bytes> ask(JoinDesk& desk, Carrier const& on) {
    if (!desk.open(on)) return std::nullopt;
    auto const asked = desk.feed(on, framed({1, 2, 3}));
    auto const* request = std::get_if<Bytes>(&asked);
    return request == nullptr ? std::nullopt : std::optional(*request);
}

// A link that takes `room` bytes, and what it took.
struct Line {
    void flush(JoinDesk& desk) {
        desk.flush(
            [this](Carrier const& on, base::ByteView bytes) {
                auto const size = std::min(room, bytes.size());
                room -= size;
                base::append(taken[on], bytes.first(size));
                return size;
            },
            [this](Carrier const& on) { finished.push_back(on); });
    }
    std::size_t room = 0;
    std::map<Carrier, Bytes> taken;
    std::vector<Carrier> finished;
};

}  // namespace

TEST_CASE("a request is handed out whole, however it was cut") {
    JoinDesk desk;
    REQUIRE(desk.open(at(1)));
    CHECK(desk.is_asking(first_link));
    auto const bytes = framed({9, 8, 7});
    for (std::size_t i = 0; i + 1 < bytes.size(); ++i)
        CHECK(std::holds_alternative<JoinDesk::More>(desk.feed(at(1), Bytes{bytes[i]})));
    auto const asked = desk.feed(at(1), Bytes{bytes.back()});
    CHECK(std::get<Bytes>(asked) == Bytes{9, 8, 7});
    CHECK_FALSE(desk.expects(at(1)));  // one request for each stream
    CHECK_FALSE(desk.is_asking(first_link));
}

TEST_CASE("a request may have 16 KiB and not a byte more") {
    JoinDesk desk;
    REQUIRE(desk.open(at(1)));
    CHECK(std::holds_alternative<Bytes>(desk.feed(at(1), framed(Bytes(join_message_bytes_max)))));
    REQUIRE(desk.open(at(2)));
    CHECK(refused(desk.feed(at(2), framed(Bytes(join_message_bytes_max + 1)))));
    CHECK_FALSE(desk.expects(at(2)));
}

TEST_CASE("a link asks eight times in its life, whatever becomes of the requests") {
    JoinDesk desk;
    std::uint32_t stream = 0;
    for (; stream < join_requests_max; ++stream) {
        if (stream % 2 == 0) {
            CHECK(ask(desk, at(stream)));
        } else {
            CHECK(desk.open(at(stream)));
            desk.on_stream_gone(at(stream));
        }
    }
    CHECK_FALSE(desk.open(at(stream)));
    CHECK(ask(desk, at(1, other_link)));  // others are not held to it
}

TEST_CASE("while one answer of a link is unread, its next request is refused") {
    JoinDesk desk;
    Line line;
    REQUIRE(ask(desk, at(1)));
    desk.answer(at(1), Bytes(10, 5));
    CHECK(desk.has_unread_answer(first_link));
    CHECK_FALSE(desk.has_unread_answer(other_link));
    REQUIRE(desk.open(at(2)));
    CHECK(refused(desk.feed(at(2), framed({1}))));
    CHECK(ask(desk, at(1, other_link)));

    line.room = 9;
    line.flush(desk);
    CHECK(desk.has_unread_answer(first_link));
    CHECK(line.finished.empty());
    line.room = 9;
    line.flush(desk);
    CHECK_FALSE(desk.has_unread_answer(first_link));
    CHECK(line.taken[at(1)] == Bytes(10, 5));
    CHECK(line.finished == std::vector{at(1)});
    CHECK(ask(desk, at(3)));
}

TEST_CASE("an answer is dropped with its stream and with its link") {
    JoinDesk desk;
    Line line{.room = 100, .taken = {}, .finished = {}};
    REQUIRE(ask(desk, at(1)));
    desk.answer(at(1), Bytes(10));
    desk.on_stream_gone(at(2));  // another one
    CHECK(desk.has_unread_answer(first_link));
    desk.on_stream_gone(at(1));
    CHECK_FALSE(desk.has_unread_answer(first_link));

    REQUIRE(ask(desk, at(3)));
    desk.answer(at(3), Bytes(10));
    REQUIRE(ask(desk, at(1, other_link)));
    desk.answer(at(1, other_link), Bytes(4));
    desk.on_link_down(first_link);
    CHECK_FALSE(desk.has_unread_answer(first_link));
    CHECK(desk.has_unread_answer(other_link));
    line.flush(desk);
    CHECK(line.taken.size() == 1);
    desk.answer(at(3), Bytes(10));  // for a link that is gone
    CHECK_FALSE(desk.has_unread_answer(first_link));
}
