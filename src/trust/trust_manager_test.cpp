#include "trust/trust_manager.h"

#include <doctest/doctest.h>

#include "base/code_of.h"

using namespace kith;
using namespace kith::trust;
using namespace std::chrono_literals;

namespace {

PeerKey key(std::uint32_t number) {
    PeerKey made{};
    base::store_be(base::MutableByteView(made).first(4), number);
    return made;
}

// A clock that only the test moves; both displays of time go together unless it says otherwise.
struct Bench {
    base::Instant instant{1000s};
    std::int64_t unix_s = 1'800'000'000;
    TrustManager manager{now()};
    std::uint32_t next_event = 1;

    [[nodiscard]] Moment now() const { return {instant, base::UnixTime{unix_s}}; }
    void pass(std::chrono::seconds span) {
        instant += span;
        unix_s += span.count();
    }
    Counted record(PeerKey const& peer, TrustEvent kind,
                   std::optional<PeerKey> const& counterparty = {}) {
        return manager.record(peer,
                              {.kind = kind,
                               .id = key(next_event++),
                               .at = base::UnixTime{unix_s},
                               .counterparty = counterparty},
                              now());
    }
    [[nodiscard]] double score(PeerKey const& peer) const {
        return manager.score(peer).to_double();
    }
};

}  // namespace

TEST_CASE("S32: whoever is unknown has one half") {
    CHECK(Bench().score(key(1)) == 0.5);
}

TEST_CASE("S33: each kind of event moves the score by exactly its step") {
    struct Row {
        TrustEvent kind;
        std::int64_t thousandths;
    };
    for (auto const& [kind, thousandths] : {Row{TrustEvent::inference_success, 10},
                                            {TrustEvent::valid_transaction, 20},
                                            {TrustEvent::spot_check_fail, -100},
                                            {TrustEvent::invalid_gossip, -50},
                                            {TrustEvent::signature_violation, -200}}) {
        Bench bench;
        CHECK(bench.record(key(1), kind, key(2)) == Counted::yes);
        CHECK(bench.manager.score(key(1)).deviation() == thousandths * score_unit / 1000);
        CHECK(bench.score(key(2)) == 0.5);
    }
}

TEST_CASE("S33: the same event counts once, however often it is said") {
    Bench bench;
    Happened const success{.kind = TrustEvent::inference_success,
                           .id = key(7),
                           .at = base::UnixTime{bench.unix_s},
                           .counterparty = {}};
    CHECK(bench.manager.record(key(1), success, bench.now()) == Counted::yes);
    for (int i = 0; i < 100; ++i) {
        bench.pass(3s);
        CHECK(bench.manager.record(key(1), success, bench.now()) == Counted::duplicate);
    }
    CHECK(bench.score(key(1)) <= 0.51);
}

TEST_CASE("S33: an event whose id may have been forgotten is too old to count") {
    Bench bench;
    bench.pass(1000s);
    auto const at = [&](std::int64_t offset) {
        Happened event{.kind = TrustEvent::inference_success,
                       .id = key(bench.next_event++),
                       .at = base::UnixTime{bench.unix_s + offset},
                       .counterparty = {}};
        return bench.manager.record(key(1), event, bench.now());
    };
    CHECK(at(-event_age_max) == Counted::yes);
    CHECK(at(-event_age_max - 1) == Counted::too_old);
    CHECK(at(event_future_max) == Counted::yes);
    CHECK(at(event_future_max + 1) == Counted::in_future);
    CHECK(bench.score(key(1)) == doctest::Approx(0.52));
}

TEST_CASE("S33: what happened before this process began earns nothing, but is still punished") {
    Bench bench;
    Happened event{.kind = TrustEvent::inference_success,
                   .id = key(1),
                   .at = base::UnixTime{bench.unix_s - 1},
                   .counterparty = {}};
    CHECK(bench.manager.record(key(1), event, bench.now()) == Counted::too_old);
    event.kind = TrustEvent::spot_check_fail;
    CHECK(bench.manager.record(key(1), event, bench.now()) == Counted::yes);
}

TEST_CASE("S33: a full memory of events stops rewards, never penalties") {
    Bench bench;
    for (std::size_t i = 0; i < event_ids_max; ++i)
        CHECK(bench.record(key(1), TrustEvent::inference_success) == Counted::yes);
    CHECK(bench.record(key(1), TrustEvent::inference_success) == Counted::capped);
    CHECK(bench.score(key(1)) == 1.0);
    CHECK(bench.record(key(1), TrustEvent::signature_violation) == Counted::yes);
    CHECK(bench.score(key(1)) == 0.8);
    CHECK(bench.record(key(2), TrustEvent::inference_success) == Counted::yes);  // its own memory
    bench.pass(std::chrono::seconds(event_age_max + 1));
    CHECK(bench.record(key(1), TrustEvent::inference_success) == Counted::yes);
}

TEST_CASE(
    "S34: two peers that trade with each other all day gain less than two transactions' worth") {
    Bench bench;
    for (int i = 0; i < 100; ++i) {
        bench.record(key(1), TrustEvent::valid_transaction, key(2));
        bench.record(key(2), TrustEvent::valid_transaction, key(1));
    }
    CHECK(bench.score(key(1)) > 0.5);
    CHECK(bench.score(key(1)) < 0.54);
    CHECK(bench.score(key(2)) < 0.54);
}

TEST_CASE("S34: a transaction with oneself, or without a counterparty, counts nothing") {
    Bench bench;
    CHECK(bench.record(key(1), TrustEvent::valid_transaction, key(1)) == Counted::self_dealing);
    CHECK(bench.record(key(1), TrustEvent::valid_transaction) == Counted::self_dealing);
    CHECK(bench.score(key(1)) == 0.5);
}

TEST_CASE("S34: fifty free keys that trade in a ring lift nobody above 0.6, on any day") {
    Bench bench;
    for (int day = 0; day < 3; ++day) {
        for (std::uint32_t from = 1; from <= 50; ++from)
            for (std::uint32_t to = 1; to <= 50; ++to)
                if (from != to) bench.record(key(from), TrustEvent::valid_transaction, key(to));
        for (std::uint32_t one = 1; one <= 50; ++one) {
            CHECK(bench.score(key(one)) > 0.5);
            CHECK(bench.manager.score(key(one)).deviation() <= transactions_gain_max);
        }
        bench.pass(std::chrono::seconds(earning_window));
        bench.manager.advance(bench.now());
        CHECK(bench.score(key(1)) == 0.5);  // a day's decay
    }
}

TEST_CASE("S34: the limits of a day are not lifted by a restart or by a clock that is set back") {
    Bench bench;
    for (std::uint32_t other = 2; other <= 6; ++other)
        CHECK(bench.record(key(1), TrustEvent::valid_transaction, key(other)) == Counted::yes);
    CHECK(bench.record(key(1), TrustEvent::valid_transaction, key(7)) == Counted::capped);
    auto restarted =
        TrustManager::import_state(bench.manager.export_state(bench.now()), bench.now());
    REQUIRE(restarted.has_value());
    bench.manager = std::move(*restarted);
    CHECK(bench.record(key(1), TrustEvent::valid_transaction, key(8)) == Counted::capped);
    CHECK(bench.score(key(1)) == 0.6);
}

TEST_CASE("S36: bad content is charged to who signed it, not to who passed it on") {
    auto const [peer, event] = blame(Fault::nonsense_content, key(1), key(2));
    CHECK(peer == key(2));
    CHECK(event == TrustEvent::invalid_gossip);
}

TEST_CASE("S37: a false name or signature is charged to the proved sender, never to the name") {
    for (auto const fault : {Fault::wrong_sender, Fault::bad_signature})
        for (auto const& origin : {std::optional<PeerKey>{}, std::optional(key(2))}) {
            auto const [peer, event] = blame(fault, key(1), origin);
            CHECK(peer == key(1));
            CHECK(event == TrustEvent::signature_violation);
        }
}

TEST_CASE("S38: decay counts whole cycles of elapsed time, however late the caller comes") {
    Bench on_time;
    Bench late;
    for (auto* bench : {&on_time, &late}) {
        for (int i = 0; i < 40; ++i) bench->record(key(1), TrustEvent::inference_success);
        CHECK(bench->score(key(1)) == 0.9);
    }
    for (int i = 0; i < 10; ++i) {
        on_time.pass(30s);
        CHECK(on_time.manager.advance(on_time.now()));
    }
    late.pass(317s);  // ten cycles and a bit, in one go
    late.manager.advance(late.now());
    CHECK(late.manager.score(key(1)) == on_time.manager.score(key(1)));
    CHECK(late.score(key(1)) == doctest::Approx(0.5 + 0.4 * 0.904382075).epsilon(1e-9));
    late.pass(13s);  // the rest of the eleventh
    CHECK(late.manager.advance(late.now()));
    CHECK_FALSE(late.manager.advance(late.now()));
}

TEST_CASE("S38: a score goes on decaying from where it was when the process ended") {
    Bench ran;
    Bench restarted;
    for (auto* bench : {&ran, &restarted})
        for (int i = 0; i < 40; ++i) bench->record(key(1), TrustEvent::inference_success);
    for (auto* bench : {&ran, &restarted}) bench->pass(95s);
    restarted.manager.advance(restarted.now());
    auto const bytes = restarted.manager.export_state(restarted.now());
    for (auto* bench : {&ran, &restarted}) bench->pass(3600s);
    restarted.instant = base::Instant{5s};  // the monotonic clock begins anew
    auto imported = TrustManager::import_state(bytes, restarted.now());
    REQUIRE(imported.has_value());
    ran.manager.advance(ran.now());
    CHECK(imported->score(key(1)) == ran.manager.score(key(1)));
    // Both come to the next cycle at the same time.
    CHECK(imported->next_cycle() - restarted.instant == ran.manager.next_cycle() - ran.instant);
}

TEST_CASE("S38: a clock that was set back between two runs decays nothing") {
    Bench bench;
    bench.record(key(1), TrustEvent::signature_violation);
    auto const bytes = bench.manager.export_state(bench.now());
    bench.unix_s -= 1'000'000;
    auto const imported = TrustManager::import_state(bytes, bench.now());
    REQUIRE(imported.has_value());
    CHECK(imported->score(key(1)).to_double() == 0.3);
}

TEST_CASE("stored scores that were altered, cut or padded are refused") {
    Bench bench;
    for (std::uint32_t i = 1; i <= 3; ++i) bench.record(key(i), TrustEvent::spot_check_fail);
    auto const bytes = bench.manager.export_state(bench.now());
    REQUIRE(TrustManager::import_state(bytes, bench.now()).has_value());
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        auto flipped = bytes;
        flipped[at] ^= 0x10;
        CHECK(base::code_of(TrustManager::import_state(flipped, bench.now())) ==
              base::Code::corrupt);
        CHECK_FALSE(
            TrustManager::import_state(base::ByteView(bytes).first(at), bench.now()).has_value());
    }
    auto padded = bytes;
    padded.push_back(0);
    CHECK_FALSE(TrustManager::import_state(padded, bench.now()).has_value());
}

TEST_CASE("S37: a crowd of new identities does not make the node forget a penalised one") {
    Bench bench;
    bench.record(key(1), TrustEvent::signature_violation);
    bench.manager.set_connected(key(2), bench.now());
    bench.record(key(3), TrustEvent::inference_success);
    for (std::uint32_t i = 10; i < 10 + 2 * peers_max; ++i)
        bench.record(key(i), TrustEvent::inference_success);
    CHECK(bench.manager.peers_count() == peers_max);
    CHECK(bench.score(key(1)) == 0.3);
    CHECK(bench.manager.peers_count() == peers_max);
    CHECK(bench.record(key(2), TrustEvent::spot_check_fail) == Counted::yes);
}

TEST_CASE("S37: when nobody can be forgotten, a newcomer is not trusted at all") {
    Bench bench;
    for (std::uint32_t i = 1; i <= peers_max; ++i) bench.record(key(i), TrustEvent::invalid_gossip);
    CHECK(bench.record(key(peers_max + 1), TrustEvent::inference_success) == Counted::no_room);
    CHECK(bench.score(key(peers_max + 1)) == 0.0);
    CHECK(bench.score(key(1)) == 0.45);
    CHECK(bench.manager.peers_count() == peers_max);
}
