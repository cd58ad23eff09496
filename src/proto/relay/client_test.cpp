#include "proto/relay/client.h"

#include <doctest/doctest.h>

using namespace kith::proto::relay;
using kith::base::as_text;
using kith::base::Bytes;
using kith::base::ByteView;
using kith::base::Code;
using kith::base::Instant;
using kith::base::UnixTime;
using kith::identity::Identity;
using kith::identity::PeerId;
using namespace std::chrono_literals;

namespace {

constexpr UnixTime unix_start{1'800'000'000};

Identity identity_of(std::uint8_t fill) {
    kith::base::ByteArray<kith::identity::identity_random_bytes> random;
    random.fill(fill);
    return Identity::create(kith::crypto::Secret<kith::identity::identity_random_bytes>(random),
                            unix_start)
        .value();
}

Reservation lasting(std::int64_t seconds) {
    return {.expires = UnixTime{kith::base::seconds(unix_start) + seconds},
            .addresses = {},
            .voucher = {}};
}

}  // namespace

TEST_CASE("what follows the relay's yes in the same bytes belongs to the connection") {
    auto bytes = frame_hop(Answer{.status = Status::ok});
    kith::base::append(bytes, kith::base::as_bytes("raw"));
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        HopRequest request(Instant{});
        ByteView first = ByteView(bytes).first(cut);
        ByteView second = ByteView(bytes).subspan(cut);
        auto answer = request.feed(first).value();
        if (!answer) answer = request.feed(second).value();
        REQUIRE(answer.has_value());
        CHECK(std::string(as_text(first)).append(as_text(second)) == "raw");
    }
}

TEST_CASE("a relay that says no, talks nonsense or asks back ends the request") {
    auto const code_after = [](Bytes const& bytes) {
        HopRequest request(Instant{});
        ByteView in = bytes;
        return request.feed(in).error().code;
    };
    CHECK(code_after(frame_hop(Answer{.status = Status::permission_denied})) == Code::forbidden);
    CHECK(code_after(frame_hop(Answer{.status = Status::no_reservation})) == Code::unavailable);
    CHECK(code_after(frame_hop(Answer{.status = Status::none})) == Code::unavailable);
    CHECK(code_after(frame_hop(Reserve{})) == Code::invalid);
    CHECK(code_after(Bytes{0x81, 0x20}) == Code::too_large);  // 4097
    CHECK(code_after(Bytes{2, 0xff, 0xff}) == Code::invalid);
}

TEST_CASE("the asked side learns who comes, and keeps what follows") {
    auto const asking = identity_of(4).peer_id();
    auto bytes = frame_stop(Connect{.peer = asking, .limit = {120, 1000}});
    kith::base::append(bytes, kith::base::as_bytes("x"));
    StopAnswer stop(Instant{});
    ByteView in = bytes;
    auto const connect = stop.feed(in).value();
    REQUIRE(connect.has_value());
    CHECK((connect->peer == asking));
    CHECK(connect->limit == Limit{120, 1000});
    CHECK(in.size() == 1);
    StopAnswer confused(Instant{});
    auto const answer = StopAnswer::accept();
    ByteView wrong = answer;
    CHECK(confused.feed(wrong).error().code == Code::invalid);
}

TEST_CASE("a reservation is asked for again at half of its time and is gone at its end") {
    auto const relay = identity_of(1);
    auto const self = identity_of(2).peer_id();
    Instant const start{};
    ReservationKeeper keeper(start);
    CHECK(keeper.is_due(start));
    keeper.asking();
    CHECK_FALSE(keeper.is_due(start + 1h));
    keeper.granted(lasting(3600), relay.peer_id(), self, start, unix_start);
    CHECK(keeper.held(start) != nullptr);
    CHECK_FALSE(keeper.is_due(start + 30min - 1us));
    CHECK(keeper.is_due(start + 30min));
    CHECK(keeper.held(start + 1h - 1us) != nullptr);
    CHECK(keeper.held(start + 1h) == nullptr);
    CHECK_FALSE(keeper.on_deadline(start + 1h - 1us));
    CHECK(keeper.on_deadline(start + 1h));
    CHECK_FALSE(keeper.on_deadline(start + 1h));
}

TEST_CASE("a relay that refuses is asked again, ever more rarely") {
    Instant now{};
    ReservationKeeper keeper(now);
    auto expected = reservation_retry_first;
    for (int i = 0; i < 12; ++i) {
        keeper.asking();
        keeper.failed(now);
        CHECK_FALSE(keeper.is_due(now + expected - 1us));
        now += expected;
        CHECK(keeper.is_due(now));
        expected = std::min(expected * 2, reservation_retry_max);
    }
}

TEST_CASE("expiries in the past, and beyond all years, are survived") {
    auto const relay = identity_of(1).peer_id();
    Instant const start{};
    ReservationKeeper past(start);
    past.asking();
    past.granted(lasting(0), relay, relay, start, unix_start);
    CHECK(past.held(start) == nullptr);
    ReservationKeeper far(start);
    far.asking();
    far.granted({.expires = UnixTime{std::numeric_limits<std::int64_t>::max()},
                 .addresses = {},
                 .voucher = {}},
                relay, relay, start, unix_start);
    CHECK(far.held(start + reservation_lives_max - 1us) != nullptr);
    CHECK(far.held(start + reservation_lives_max) == nullptr);
}

TEST_CASE("a voucher for somebody else is dropped, the reservation stays") {
    auto const relay = identity_of(1);
    auto const self = identity_of(2).peer_id();
    auto const voucher_after = [&](Bytes voucher) {
        ReservationKeeper keeper(Instant{});
        auto reservation = lasting(60);
        reservation.voucher = std::move(voucher);
        keeper.granted(std::move(reservation), relay.peer_id(), self, Instant{}, unix_start);
        REQUIRE(keeper.held(Instant{}) != nullptr);
        return keeper.held(Instant{})->voucher.size();
    };
    CHECK(voucher_after(seal_voucher(relay, self, unix_start)) > 0);
    CHECK(voucher_after(seal_voucher(relay, relay.peer_id(), unix_start)) == 0);
    CHECK(voucher_after(seal_voucher(identity_of(3), self, unix_start)) == 0);
    CHECK(voucher_after({1, 2, 3}) == 0);
}
