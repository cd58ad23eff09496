// The parts of the router that stand alone: backoffs, mesh choice, caches, outbox, promises.
#include <doctest/doctest.h>

#include <set>

#include "proto/gossip/gossip_test_bench.h"

using namespace kith::proto::gossip;
using kith::base::Bytes;
using kith::base::Instant;
using namespace std::chrono_literals;
using test::peer_of;

namespace {

SharedMessage message_of(MessageId id, std::size_t size = 10, std::string topic = "t") {
    kith::libp2p::PubsubMessage message;
    message.set_data(std::string(size, 'x'));
    return std::make_shared<Encoded const>(Encoded{
        .id = std::move(id), .topic = std::move(topic), .publish = encode_publish(message)});
}

std::vector<Candidate> mesh_of(std::size_t count, std::size_t outbound = 0) {
    std::vector<Candidate> mesh;
    for (std::size_t i = 0; i < count; ++i)
        mesh.push_back({.peer = peer_of(i),
                        .score = static_cast<double>(i),
                        .direction = i < outbound ? Direction::outbound : Direction::inbound});
    return mesh;
}

}  // namespace

TEST_CASE("GHSA-gc42: a backoff of 2^64 - 1 seconds is clamped and nothing overflows") {
    CHECK(clamped_backoff(~std::uint64_t{0}) == 3600s);
    CHECK(clamped_backoff(3600) == 3600s);
    CHECK(clamped_backoff(3601) == 3600s);
    CHECK(clamped_backoff(1) == 1s);
    CHECK(clamped_backoff(0) == 60s);
    CHECK(clamped_backoff(std::nullopt) == 60s);
    Backoffs backoffs;
    Instant const late{std::chrono::hours(24 * 365 * 200)};
    backoffs.add("t", peer_of(1), clamped_backoff(~std::uint64_t{0}), late);
    CHECK(*backoffs.until("t", peer_of(1)) > late);
}

TEST_CASE("a backoff is never shortened, and ends with a heartbeat of slack for our own GRAFT") {
    Backoffs backoffs;
    Instant const start{};
    backoffs.add("t", peer_of(1), 60s, start);
    backoffs.add("t", peer_of(1), 10s, start);
    CHECK(backoffs.until("t", peer_of(1)) == start + 60s);
    CHECK_FALSE(backoffs.may_graft("t", peer_of(1), start + 60s));
    CHECK(backoffs.may_graft("t", peer_of(1), start + 61s));
    CHECK(backoffs.may_graft("other", peer_of(1), start));
    backoffs.expire(start + 60s);
    CHECK(backoffs.count() == 1);
    backoffs.expire(start + 61s);
    CHECK(backoffs.count() == 0);
}

TEST_CASE("backoffs are kept up to a limit") {
    Backoffs backoffs;
    for (std::size_t i = 0; i < Backoffs::backoffs_max; ++i)
        backoffs.add("t", peer_of(i), i == 7 ? 5s : 60s, Instant{});
    CHECK(backoffs.count() == Backoffs::backoffs_max);
    backoffs.add("u", peer_of(1), 60s, Instant{});
    CHECK(backoffs.count() == Backoffs::backoffs_max);
    CHECK_FALSE(backoffs.until("t", peer_of(7)).has_value());
}

TEST_CASE("a mesh is pruned to D, keeping the best by score and enough outbound peers") {
    Generator random(1);
    MeshDegrees const degrees;
    CHECK(to_prune(mesh_of(12), degrees, random).empty());
    for (int round = 0; round < 50; ++round) {
        // The outbound ones have the lowest scores: only the quota can save them.
        auto const pruned = to_prune(mesh_of(13, 3), degrees, random);
        CHECK(pruned.size() == 7);
        std::set<kith::identity::PeerId> const gone(pruned.begin(), pruned.end());
        for (std::size_t best = 9; best < 13; ++best) CHECK_FALSE(gone.contains(peer_of(best)));
        CHECK(gone.contains(peer_of(0)) + gone.contains(peer_of(1)) + gone.contains(peer_of(2)) <=
              1);
    }
}

TEST_CASE("a mesh below Dlo grows to D; one without outbound peers gets some") {
    Generator random(1);
    MeshDegrees const degrees;
    auto others = mesh_of(40, 10);
    others.erase(others.begin(), others.begin() + 8);
    CHECK(to_graft(mesh_of(3), others, degrees, random).size() == 3);
    CHECK(to_graft(mesh_of(4, 2), others, degrees, random).empty());
    auto const grafted = to_graft(mesh_of(5, 0), others, degrees, random);
    CHECK(std::set(grafted.begin(), grafted.end()) == std::set{peer_of(8), peer_of(9)});
    CHECK(to_graft({}, {}, degrees, random).empty());
}

TEST_CASE("the median of a mesh") {
    CHECK(median_score({}) == 0);
    CHECK(median_score(mesh_of(5)) == 2);
}

TEST_CASE("messages are advertised for three heartbeats and can be asked for during five") {
    MessageCache cache;
    cache.put(message_of("a"));
    cache.put(message_of("a"));
    CHECK(cache.messages_count() == 1);
    for (int beat = 1; beat <= 5; ++beat) {
        CHECK(cache.gossip_ids("t").size() == (beat <= 3 ? 1 : 0));
        CHECK(cache.take_for("a", peer_of(static_cast<std::size_t>(beat))) != nullptr);
        cache.shift();
    }
    CHECK(cache.take_for("a", peer_of(9)) == nullptr);
    CHECK(cache.bytes() == 0);
}

TEST_CASE("one peer gets a message three times at most, others still get it") {
    MessageCache cache;
    cache.put(message_of("a"));
    for (std::uint32_t i = 0; i < retransmissions_max; ++i)
        CHECK(cache.take_for("a", peer_of(1)) != nullptr);
    CHECK(cache.take_for("a", peer_of(1)) == nullptr);
    CHECK(cache.take_for("a", peer_of(2)) != nullptr);
}

TEST_CASE("the cache is bounded in messages and in bytes, the oldest go first") {
    MessageCache cache;
    for (std::size_t i = 0; i <= cache_messages_max; ++i) cache.put(message_of(std::to_string(i)));
    CHECK(cache.messages_count() == cache_messages_max);
    CHECK(cache.take_for("0", peer_of(1)) == nullptr);
    CHECK(cache.take_for("1", peer_of(1)) != nullptr);
    MessageCache heavy;
    for (int i = 0; i < 40; ++i) heavy.put(message_of(std::to_string(i), 1'000'000));
    CHECK(heavy.bytes() <= cache_bytes_max);
    CHECK(heavy.messages_count() == cache_bytes_max / message_of("", 1'000'000)->publish.size());
}

TEST_CASE("seen ids expire, and what expired stays a replay for its author") {
    Seen seen;
    Origin const origin{peer_of(1), 50};
    Instant const start{};
    seen.add("a", origin, start);
    CHECK(seen.contains("a"));
    CHECK_FALSE(seen.is_replay(origin));  // the id says it already
    seen.expire(start + 119s);
    CHECK(seen.contains("a"));
    seen.expire(start + 120s);
    CHECK_FALSE(seen.contains("a"));
    CHECK(seen.is_replay(origin));
    CHECK(seen.is_replay({peer_of(1), 49}));
    CHECK_FALSE(seen.is_replay({peer_of(1), 51}));
    CHECK_FALSE(seen.is_replay({peer_of(2), 50}));
}

TEST_CASE("seen ids and authors are kept up to a limit") {
    Seen seen;
    for (std::size_t i = 0; i < seen_max; ++i)
        seen.add(std::to_string(i), Origin{peer_of(i), 1}, Instant{});
    CHECK(seen.ids_count() == seen_max);
    CHECK(seen.authors_count() == 0);
    for (std::size_t i = 0; i <= authors_max; ++i)
        seen.add("more" + std::to_string(i), std::nullopt, Instant{});
    CHECK(seen.ids_count() == seen_max);
    CHECK(seen.authors_count() == authors_max);
    CHECK_FALSE(seen.is_replay({peer_of(0), 1}));
    CHECK(seen.is_replay({peer_of(1), 1}));
}

TEST_CASE("an outbox merges control: the last word about a topic counts") {
    Outbox outbox;
    CHECK(outbox.empty());
    outbox.interest("t", Interest::subscribed);
    outbox.interest("t", Interest::unsubscribed);
    outbox.graft("t");
    outbox.prune("t", 10);
    auto const rpc = decode_rpc(*outbox.next()).value();
    REQUIRE(rpc.subscriptions_size() == 1);
    CHECK_FALSE(rpc.subscriptions(0).subscribe());
    CHECK(rpc.control().graft_size() == 0);
    REQUIRE(rpc.control().prune_size() == 1);
    CHECK(rpc.control().prune(0).backoff() == 10);
    CHECK_FALSE(outbox.next().has_value());
}

TEST_CASE("small messages share an RPC, large ones do not, and none is above what go accepts") {
    Outbox outbox;
    outbox.graft("t");
    for (int i = 0; i < 10; ++i) outbox.message(message_of(std::to_string(i), 1000));
    outbox.message(message_of("large", message_bytes_max - 8));
    auto const first = decode_rpc(*outbox.next()).value();
    CHECK(first.publish_size() == 10);
    CHECK(first.control().graft_size() == 1);
    auto const second = *outbox.next();
    CHECK(second.size() <= rpc_bytes_sent_max);
    CHECK(decode_rpc(second).value().publish_size() == 1);
    CHECK(outbox.empty());
}

TEST_CASE("an outbox is bounded: messages by number and bytes, ids by bytes, topics by number") {
    Outbox many;
    for (std::size_t i = 0; i < outbox_messages_max; ++i)
        CHECK(many.message(message_of(std::to_string(i))) == Queued::yes);
    CHECK(many.message(message_of("past")) == Queued::dropped);
    many.forget("5");
    CHECK(many.message(message_of("again")) == Queued::yes);

    Outbox heavy;
    auto const big = message_of("big", 1 << 20);
    for (std::size_t i = 0; i < 3; ++i) CHECK(heavy.message(big) == Queued::yes);
    CHECK(heavy.message(big) == Queued::dropped);
    CHECK(heavy.message_bytes() <= outbox_bytes_max);

    Outbox chatty;
    std::vector<MessageId> const ids(ids_per_rpc_max, MessageId(40, 'i'));
    chatty.ihave("t", ids);
    chatty.iwant(ids);
    for (auto const& id : ids) chatty.idontwant(id);
    for (std::size_t i = 0; i < topics_max; ++i) {
        std::string const topic = std::to_string(i) + std::string(topic_bytes_max - 4, 't');
        CHECK(chatty.interest(topic, Interest::subscribed) == Queued::yes);
        CHECK(chatty.prune(topic, 3600) == Queued::yes);
    }
    CHECK(chatty.interest("past", Interest::subscribed) == Queued::dropped);
    CHECK(chatty.graft("past") == Queued::dropped);
    CHECK(decode_rpc(*chatty.next()).has_value());
}

TEST_CASE("a promise is kept by anybody's copy, or broken after three seconds") {
    Promises promises;
    Generator random(1);
    std::vector<MessageId> const asked{"a"};
    promises.watch(peer_of(1), asked, Instant{}, random);
    promises.watch(peer_of(2), asked, Instant{}, random);
    CHECK(promises.count() == 2);
    CHECK(promises.take_broken(Instant{} + 2s).empty());
    promises.kept("a");
    CHECK(promises.take_broken(Instant{} + 3s).empty());
    promises.watch(peer_of(1), asked, Instant{}, random);
    promises.watch(peer_of(2), asked, Instant{}, random);
    promises.peer_gone(peer_of(2));
    auto const broken = promises.take_broken(Instant{} + 3s);
    CHECK(broken.size() == 1);
    CHECK(broken.at(peer_of(1)) == 1);
    CHECK(promises.count() == 0);
}

TEST_CASE("promises are watched up to a limit") {
    Promises promises;
    Generator random(1);
    for (std::size_t i = 0; i <= promises_max; ++i)
        promises.watch(peer_of(1), std::vector<MessageId>{std::to_string(i)}, Instant{}, random);
    CHECK(promises.count() == promises_max);
}
