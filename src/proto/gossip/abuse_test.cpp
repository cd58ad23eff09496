// What hostile peers try with RPCs that are well formed.
#include <doctest/doctest.h>

#include "base/code_of.h"
#include "proto/gossip/gossip_test_bench.h"

using namespace kith::proto::gossip;
using kith::base::as_bytes;
using kith::base::Code;
using kith::base::code_of;
using namespace std::chrono_literals;
using test::Bench;
using test::identity_of;
using test::peer_of;
using test::plain_options;

namespace {

void join(Bench& bench, std::size_t number, std::string const& topic = "t") {
    bench.add(number);
    CHECK(bench.subscribes(number, topic).has_value());
}

Options signed_options(kith::identity::Identity const& self) {
    Options options;
    options.author = &self;
    options.first_seqno = 1000;
    return options;
}

kith::base::Status say_message(Bench& bench, std::size_t number,
                               kith::libp2p::PubsubMessage const& one) {
    kith::libp2p::PubsubRpc rpc;
    *rpc.add_publish() = one;
    return bench.say(number, rpc);
}

}  // namespace

TEST_CASE("a GRAFT during the backoff is refused and costs score; flooding costs more") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    CHECK(bench.grafts(0, "t").has_value());
    CHECK(bench.in_mesh(0, "t"));
    CHECK(bench.prunes(0, "t", 60).has_value());
    CHECK_FALSE(bench.in_mesh(0, "t"));
    bench.beat(30);
    CHECK(bench.grafts(0, "t").has_value());
    CHECK_FALSE(bench.in_mesh(0, "t"));
    CHECK(bench.score(0) == -10);
    CHECK(bench.heard(0).control().prune(0).backoff() == 60);
    CHECK(bench.grafts(0, "t").has_value());  // within ten seconds of that PRUNE
    CHECK(bench.score(0) == -90);
    CHECK(bench.say(0, {}).has_value());
    REQUIRE(bench.misbehaved.size() == 1);
    CHECK(bench.misbehaved[0].what == Misbehaviour::low_score);
    bench.beat(2);
    CHECK(bench.misbehaved.size() == 1);
}

TEST_CASE("we never GRAFT a peer in its backoff, not when subscribing either, and keep the slack") {
    Bench bench;
    join(bench, 0);
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    CHECK(bench.in_mesh(0, "t"));
    CHECK(bench.prunes(0, "t", 100).has_value());
    bench.router.unsubscribe("t", bench.now);
    static_cast<void>(bench.heard(0));
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    for (int second = 1; second <= 101; ++second) {
        CHECK_FALSE(bench.in_mesh(0, "t"));
        bench.beat();
    }
    CHECK(bench.in_mesh(0, "t"));
    CHECK(bench.heard(0).control().graft_size() == 1);
}

TEST_CASE("GHSA-gc42: PRUNE with a backoff of 2^64 - 1 holds an hour and no longer") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    bench.beat();
    CHECK(bench.prunes(0, "t", ~std::uint64_t{0}).has_value());
    bench.beat(3600);
    CHECK_FALSE(bench.in_mesh(0, "t"));
    bench.beat(2);
    CHECK(bench.in_mesh(0, "t"));
}

TEST_CASE("a GRAFT for a topic we do not have is not answered") {
    Bench bench;
    bench.add(0);
    for (int i = 0; i < 100; ++i)
        CHECK(bench.grafts(0, "made up " + std::to_string(i)).has_value());
    CHECK(bench.heard(0).control().prune_size() == 0);
    CHECK(bench.prunes(0, "made up", 60).has_value());
}

TEST_CASE("peers offered in a PRUNE are read past") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    kith::libp2p::PubsubRpc rpc;
    auto* const prune = rpc.mutable_control()->add_prune();
    prune->set_topic("t");
    for (int i = 0; i < 16; ++i) prune->add_peers()->set_peer_id("anybody");
    CHECK(bench.say(0, rpc).has_value());
    CHECK_FALSE(bench.router.poll_output().has_value());
}

TEST_CASE("IHAVE: ten messages and 5000 ids per heartbeat are listened to, no more") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    static_cast<void>(bench.heard(0));
    std::size_t asked = 0;
    for (std::size_t i = 0; i < ihave_messages_per_heartbeat_max; ++i)
        CHECK(bench.ihave(0, "t", {"id" + std::to_string(i)}).has_value());
    auto heard = bench.heard(0);
    for (auto const& want : heard.control().iwant()) asked += std::size_t(want.ids_size());
    CHECK(asked == ihave_messages_per_heartbeat_max);
    CHECK(bench.ihave(0, "t", {"one more"}).has_value());
    CHECK(bench.heard(0).control().iwant_size() == 0);
    bench.beat();
    std::vector<MessageId> many;
    for (std::size_t i = 0; i < ids_per_rpc_max; ++i) many.push_back("m" + std::to_string(i));
    CHECK(bench.ihave(0, "t", many).has_value());
    many.assign({"n1", "n2"});
    CHECK(bench.ihave(0, "t", many).has_value());
    heard = bench.heard(0);
    asked = 0;
    for (auto const& want : heard.control().iwant()) asked += std::size_t(want.ids_size());
    CHECK(asked == ihave_ids_per_heartbeat_max);
}

TEST_CASE("IHAVE: foreign topics, known and oversized ids are not asked for") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    auto const id = bench.router.publish("t", as_bytes("x"), bench.now).value();
    static_cast<void>(bench.heard(0));
    CHECK(bench.ihave(0, "other", {"a"}).has_value());
    CHECK(bench.ihave(0, "t", {id, "", MessageId(message_id_bytes_max + 1, 'x')}).has_value());
    CHECK(bench.heard(0).control().iwant_size() == 0);
    CHECK(bench.ihave(0, "t", {MessageId(message_id_bytes_max, 'x')}).has_value());
    CHECK(bench.heard(0).control().iwant_size() == 1);
}

TEST_CASE("who advertises what it does not send loses score, and is then not believed") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    CHECK(bench.ihave(0, "t", {"lie"}).has_value());
    bench.beat(2);
    CHECK(bench.score(0) >= 0);
    bench.beat(1);
    CHECK(bench.score(0) < 0);
    CHECK(bench.ihave(0, "t", {"lie 2"}).has_value());
    bench.beat(1);
    CHECK(bench.ihave(0, "t", {"lie 3"}).has_value());
    bench.beat(4);
    CHECK(bench.score(0) < ScoreParams{}.gossip);
    static_cast<void>(bench.heard(0));
    CHECK(bench.ihave(0, "t", {"lie 4"}).has_value());
    CHECK(bench.heard(0).control().iwant_size() == 0);
}

TEST_CASE("IDONTWANT: 512 ids per heartbeat count, and they are forgotten after five") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    join(bench, 1);
    bench.beat();
    kith::libp2p::PubsubRpc rpc;
    auto* const has = rpc.mutable_control()->add_idontwant();
    auto const last = content_id("t", as_bytes("last"));
    auto const past = content_id("t", as_bytes("past"));
    for (std::size_t i = 1; i < idontwant_per_heartbeat_max; ++i) has->add_ids(std::to_string(i));
    has->add_ids(last);
    has->add_ids(past);
    CHECK(bench.say(0, rpc).has_value());
    CHECK(bench.router.counters().idontwant_received == idontwant_per_heartbeat_max);
    static_cast<void>(bench.heard(0));
    CHECK(bench.message(1, "t", "last").has_value());
    bench.accept_all();
    CHECK(bench.heard(0).publish_size() == 0);
    CHECK(bench.message(1, "t", "past").has_value());
    bench.accept_all();
    CHECK(bench.heard(0).publish_size() == 1);
    bench.beat(5);
    CHECK(bench.idontwant(0, "fresh").has_value());
    CHECK(bench.router.counters().idontwant_received == idontwant_per_heartbeat_max + 1);
}

TEST_CASE("a peer subscribes to a bounded number of topics, with names of bounded length") {
    Bench bench;
    bench.add(0);
    for (std::size_t i = 0; i < topics_per_peer_max; ++i)
        CHECK(bench.subscribes(0, std::to_string(i)).has_value());
    CHECK(bench.subscribes(0, "0").has_value());
    CHECK(code_of(bench.subscribes(0, "past")) == Code::too_large);
    CHECK(bench.subscribes(0, "").error().code == Code::invalid);
    CHECK(code_of(bench.subscribes(0, std::string(topic_bytes_max + 1, 't'))) == Code::invalid);
}

TEST_CASE("a peer that reads nothing costs a bounded queue, then it is given up; others go on") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    join(bench, 1);
    bench.beat();
    static_cast<void>(bench.heard(1));
    bench.deaf.insert(peer_of(0));
    for (int i = 0; i < 8; ++i) {
        auto const data = std::to_string(i) + std::string(1'000'000, 'x');
        CHECK(bench.router.publish("t", as_bytes(data), bench.now).has_value());
        bench.drain();
    }
    CHECK(bench.heard(1).publish_size() == 8);
    CHECK(bench.router.counters().messages_dropped == 4);
    bench.beat(29);
    CHECK(bench.misbehaved.empty());
    bench.beat(1);
    REQUIRE(bench.misbehaved.size() == 1);
    CHECK(bench.misbehaved[0].peer == peer_of(0));
    CHECK(bench.misbehaved[0].what == Misbehaviour::too_slow);
    CHECK_FALSE(bench.router.poll_transmit(peer_of(0)).has_value());
    bench.beat(1);
    CHECK_FALSE(bench.in_mesh(0, "t"));
    bench.router.on_peer_removed(peer_of(0), bench.now);
    bench.router.on_peer_removed(peer_of(0), bench.now);
}

TEST_CASE("forged and replayed messages: bad signatures cost the relay, replays nothing") {
    auto const self = identity_of(1);
    auto const author = identity_of(2);
    Bench bench(signed_options(self));
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    auto const good = sign_message("t", as_bytes("x"), 5, author);
    auto forged = good;
    forged.set_data("y");
    CHECK(say_message(bench, 0, forged).has_value());
    CHECK(bench.delivered.empty());
    CHECK(bench.score(0) < 0);
    // The forgery did not shadow the true message of the same number.
    CHECK(say_message(bench, 0, good).has_value());
    REQUIRE(bench.delivered.size() == 1);
    CHECK(bench.delivered[0].author == author.peer_id());
    bench.accept_all();
    auto const before = bench.score(0);
    bench.now += 121s;
    bench.beat(2);
    CHECK(say_message(bench, 0, good).has_value());
    CHECK(say_message(bench, 0, sign_message("t", as_bytes("older"), 4, author)).has_value());
    CHECK(bench.delivered.size() == 1);
    CHECK(bench.score(0) >= before);
    CHECK(say_message(bench, 0, sign_message("t", as_bytes("newer"), 6, author)).has_value());
    CHECK(bench.delivered.size() == 2);
}

TEST_CASE("our own message coming back after a restart is nobody's fault and not delivered") {
    auto const self = identity_of(1);
    Bench bench(signed_options(self));
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    CHECK(say_message(bench, 0, sign_message("t", as_bytes("x"), 5, self)).has_value());
    CHECK(bench.delivered.empty());
    CHECK(bench.score(0) == 0);
    CHECK(bench.router.publish("t", as_bytes("1"), bench.now).has_value());
    CHECK(bench.router.publish("t", as_bytes("1"), bench.now).has_value());
    auto const said = bench.heard(0);
    REQUIRE(said.publish_size() == 2);
    CHECK(said.publish(0).seqno() < said.publish(1).seqno());
}

TEST_CASE("StrictNoSign: a message with an empty signature field costs its relay") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    kith::libp2p::PubsubMessage message;
    message.set_topic("t");
    message.set_data("x");
    message.set_signature("");
    CHECK(say_message(bench, 0, message).has_value());
    CHECK(bench.delivered.empty());
    CHECK(bench.score(0) < 0);
}

TEST_CASE("a peer with a bad score is not let into a mesh, and one that gets it there is let go") {
    Bench bench;
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    join(bench, 1);
    bench.router.set_owner_score(peer_of(0), -1);
    CHECK(bench.grafts(0, "t").has_value());
    CHECK_FALSE(bench.in_mesh(0, "t"));
    CHECK(bench.heard(0).control().prune_size() == 1);
    bench.beat();
    CHECK(bench.in_mesh(1, "t"));
    bench.router.set_owner_score(peer_of(1), -1);
    bench.beat();
    CHECK_FALSE(bench.in_mesh(1, "t"));
    CHECK(bench.heard(1).control().prune_size() == 1);
}

TEST_CASE("a message is not sent back to its author when another peer relays it first") {
    auto const self = identity_of(1);
    auto const author = identity_of(2);
    Bench bench(signed_options(self));
    CHECK(bench.router.subscribe("t", bench.now).has_value());
    join(bench, 0);
    CHECK(bench.router
              .on_peer_added(author.peer_id(), Version::v1_2, Direction::inbound, "127.0.0.1",
                             bench.now)
              .has_value());
    kith::libp2p::PubsubRpc graft;
    graft.mutable_control()->add_graft()->set_topic("t");
    CHECK(bench.router.on_rpc(author.peer_id(), test::bytes_of(graft), bench.now).has_value());
    CHECK(bench.router.mesh("t").contains(author.peer_id()));
    CHECK(say_message(bench, 0, sign_message("t", as_bytes("x"), 5, author)).has_value());
    bench.accept_all();
    CHECK(bench.sent[author.peer_id()].publish_size() == 0);
}
