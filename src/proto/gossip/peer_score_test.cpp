#include "proto/gossip/peer_score.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "proto/gossip/gossip_test_bench.h"

using namespace kith::proto::gossip;
using kith::base::Instant;
using namespace std::chrono_literals;
using test::peer_of;

namespace {

struct Scored {
    Instant now{};
    PeerScore score;
    explicit Scored(ScoreParams params = {}) : score(std::move(params), now) {
        score.add(peer_of(1), "192.0.2.1", now);
    }
    double of(std::size_t number = 1) const { return score.score(peer_of(number), now); }
    void pass(std::size_t seconds) {
        for (std::size_t i = 0; i < seconds; ++i) {
            now += 1s;
            score.decay(now);
        }
    }
};

}  // namespace

TEST_CASE("P1 and P2: staying in the mesh and being first raise the score, up to a cap") {
    Scored bench;
    CHECK(bench.of() == 0);
    bench.score.joined_mesh(peer_of(1), "t", bench.now);
    bench.pass(100);
    CHECK(bench.of() == doctest::Approx(1));
    bench.pass(10'000);
    CHECK(bench.of() == doctest::Approx(3));
    for (int i = 0; i < 1000; ++i) bench.score.delivered_first(peer_of(1), "t");
    CHECK(bench.of() == doctest::Approx(23));
    bench.pass(200);
    CHECK(bench.of() == doctest::Approx(3));
}

TEST_CASE("P3 is off: a peer of a quiet topic loses nothing") {
    Scored bench;
    bench.score.joined_mesh(peer_of(1), "t", bench.now);
    bench.pass(3600);
    bench.score.left_mesh(peer_of(1), "t", bench.now);
    CHECK(bench.of() >= 0);
}

TEST_CASE("P3 when it is on: too few deliveries cost, and are remembered after a PRUNE") {
    ScoreParams params;
    params.p3_weight = -1;
    params.p3b_weight = -1;
    params.p3_threshold = 4;
    Scored bench(params);
    bench.score.joined_mesh(peer_of(1), "t", bench.now);
    bench.pass(29);
    CHECK(bench.of() > 0);
    bench.pass(1);
    CHECK(bench.of() == doctest::Approx(0.3 - 16));
    bench.score.delivered_again(peer_of(1), "t", 5ms);
    bench.score.delivered_again(peer_of(1), "t", 11ms);  // too late to count
    CHECK(bench.of() == doctest::Approx(0.3 - 9));
    bench.score.left_mesh(peer_of(1), "t", bench.now);
    CHECK(bench.of() == doctest::Approx(-9));
}

TEST_CASE("P4: one invalid message silences gossip at most, three graylist; it fades") {
    ScoreParams const params;
    Scored bench;
    bench.score.delivered_invalid(peer_of(1), "t");
    CHECK(bench.of() >= params.gossip);
    bench.score.delivered_invalid(peer_of(1), "t");
    CHECK(bench.of() >= params.graylist);
    bench.score.delivered_invalid(peer_of(1), "t");
    CHECK(bench.of() < params.graylist);
    bench.pass(300);
    CHECK(bench.of() > params.gossip);
}

TEST_CASE("P5: what the owner says is clamped, and nonsense counts as nothing") {
    Scored bench;
    bench.score.set_owner_score(peer_of(1), -7);
    CHECK(bench.of() == -7);
    bench.score.set_owner_score(peer_of(1), 1e308);
    CHECK(bench.of() == 100);
    bench.score.set_owner_score(peer_of(1), -std::numeric_limits<double>::infinity());
    CHECK(bench.of() == -100);
    bench.score.set_owner_score(peer_of(1), std::nan(""));
    CHECK(bench.of() == 0);
}

TEST_CASE("P6: many peers on one address lose score; loopback and spared addresses do not") {
    ScoreParams params;
    params.p6_spared = {"198.51.100.7"};
    Scored bench(params);
    for (std::size_t i = 100; i < 111; ++i) {
        bench.score.add(peer_of(i), "192.0.2.9", bench.now);
        bench.score.add(peer_of(100 + i), "127.0.0.1", bench.now);
        bench.score.add(peer_of(200 + i), "198.51.100.7", bench.now);
    }
    CHECK(bench.of(100) == -5);  // one above the threshold of ten
    CHECK(bench.of(200) == 0);
    CHECK(bench.of(300) == 0);
    CHECK(bench.of(1) == 0);
    bench.score.remove(peer_of(110), bench.now);
    CHECK(bench.of(100) == 0);
    params.p6_mode = Colocation::count_all;
    Scored strict(params);
    for (std::size_t i = 200; i < 211; ++i) strict.score.add(peer_of(i), "127.0.0.1", strict.now);
    CHECK(strict.of(200) == -5);
}

TEST_CASE("P7: misbehaviour costs its square, is clamped, and fades") {
    Scored bench;
    bench.score.misbehaved(peer_of(1), 3);
    CHECK(bench.of() == -90);
    bench.score.misbehaved(peer_of(1), 1e300);
    CHECK(bench.of() == -score_limit);
    bench.pass(3600);
    CHECK(bench.of() == 0);
}

TEST_CASE("leaving and coming back is no pardon, and good deeds are not kept") {
    Scored bench;
    bench.score.misbehaved(peer_of(1), 3);
    bench.score.remove(peer_of(1), bench.now);
    CHECK(bench.score.retained_count() == 1);
    bench.pass(60);
    bench.score.add(peer_of(1), "192.0.2.1", bench.now);
    CHECK(bench.of() == -90);
    bench.score.remove(peer_of(1), bench.now);
    bench.pass(600);
    CHECK(bench.score.retained_count() == 0);

    bench.score.add(peer_of(2), "192.0.2.1", bench.now);
    bench.score.delivered_first(peer_of(2), "t");
    bench.score.remove(peer_of(2), bench.now);
    CHECK(bench.score.retained_count() == 0);
}

TEST_CASE("scores of peers that are gone are kept up to a limit, the oldest go first") {
    Scored bench;
    for (std::size_t i = 10; i < 10 + retained_max; ++i) {
        bench.score.add(peer_of(i), "192.0.2.1", bench.now);
        bench.score.misbehaved(peer_of(i), 1);
        bench.now += 1ms;
        bench.score.remove(peer_of(i), bench.now);
    }
    CHECK(bench.score.retained_count() == retained_max);
    CHECK(bench.of(10) < 0);
    bench.score.add(peer_of(5), "192.0.2.1", bench.now);
    bench.score.misbehaved(peer_of(5), 1);
    bench.score.remove(peer_of(5), bench.now);
    CHECK(bench.score.retained_count() == retained_max);
    CHECK(bench.of(10) == 0);
    CHECK(bench.of(11) < 0);
}

TEST_CASE("topics are scored up to a limit, and those of the past make room") {
    Scored bench;
    for (std::size_t i = 0; i < topics_max; ++i)
        bench.score.delivered_first(peer_of(1), std::to_string(i));
    CHECK(bench.of() == doctest::Approx(topics_max));
    bench.score.delivered_invalid(peer_of(1), "past");
    CHECK(bench.of() == doctest::Approx(topics_max));
    bench.pass(60);
    CHECK(bench.of() == 0);
    bench.score.delivered_invalid(peer_of(1), "past");
    CHECK(bench.of() < 0);
}
