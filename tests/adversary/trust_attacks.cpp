// What a member can say in another's name, who answers for it, and what others call it.
#include <doctest/doctest.h>

#include <algorithm>

#include "crypto/hash.h"
#include "hostile.h"
#include "identity/nickname.h"
#include "node/dispatch/dispatch_rules.h"
#include "wire/frame.h"
#include "wire/writer.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

// A hostile member with a session to an operator, and an honest member to speak in the name of.
struct Slander {
    SwarmBench bench;
    Machine& judge = bench.add_operator();
    Machine& ada = bench.add_member(judge);
    Hostile mallory{bench};

    Slander() {
        mallory.join(judge, bench.invite(judge));
        mallory.open_session(judge);
        REQUIRE(mallory.session_ready());
    }
    [[nodiscard]] std::string ada_id() const { return base::to_text(ada.identity.node_id().bytes); }
    [[nodiscard]] double trust_in_ada() const {
        return judge.node->trust_in(ada.identity.node_id()).to_double();
    }
    [[nodiscard]] double trust_in_mallory() const {
        return judge.node->trust_in(mallory.identity.node_id()).to_double();
    }
    [[nodiscard]] std::size_t log_lines(std::string_view part) const {
        return static_cast<std::size_t>(std::ranges::count_if(
            judge.log, [&](auto const& line) { return line.find(part) != std::string::npos; }));
    }
    // Everything of the judge that a message could change, but for the score it is charged with.
    crypto::Sha256Digest state() {
        wire::Writer writer;
        for (auto const* table : {"swarm", "list", "member", "list_version", "nicknames", "pins"}) {
            auto const rows = judge.store->scan(table, 1000);
            REQUIRE(rows.has_value());
            for (auto const& row : *rows) writer.prefixed_u32(row.key).prefixed_u32(row.value);
        }
        for (auto const& peer : judge.node->peers(bench.clock.now())) {
            writer.bytes(peer.node.bytes)
                .u8(peer.session ? 1 : 0)
                .u8(peer.connected ? 1 : 0)
                .prefixed_u32(base::as_bytes(peer.nickname));
            for (auto const& address : peer.addresses) writer.prefixed_u32(base::as_bytes(address));
            for (auto const& serving : judge.ask->serving(peer.node))
                writer.prefixed_u32(base::as_bytes(serving));
        }
        for (auto const& model : judge.ask->models()) writer.prefixed_u32(base::as_bytes(model.id));
        writer.u64(judge.recorder.controls.size()).u64(judge.recorder.activations.size());
        return crypto::sha256(writer.view());
    }
    void gossip(std::string const& claimed, base::ByteView record) {
        wire::v1::Control control;
        control.mutable_nickname_gossip()->set_node_id(claimed);
        control.mutable_nickname_gossip()->set_record(base::to_text(record));
        mallory.send(control);
    }
    [[nodiscard]] std::string mallory_id() const {
        return base::to_text(mallory.identity.node_id().bytes);
    }
    [[nodiscard]] base::Bytes record_of(std::string const& name, std::int64_t offset_s,
                                        std::uint64_t sequence) const {
        return identity::sign_nickname(
            mallory.identity, name,
            base::UnixTime{base::seconds(bench.clock.unix_now()) + offset_s}, sequence);
    }
};

wire::v1::Control announce_of(std::string const& node, char model) {
    wire::v1::Control control;
    control.mutable_shard_announce()->set_node_id(node);
    auto* holding = control.mutable_shard_announce()->add_models();
    holding->set_model_id(std::string(32, model));
    holding->set_name("trap");
    holding->add_shards(0);
    return control;
}

}  // namespace

TEST_CASE("S16: every kind of message has exactly one rule") {
    auto const rules = node::dispatch_rules();
    for (auto const& rule : rules) {
        CHECK_FALSE(rule.name.empty());
        CHECK(std::ranges::count(rules, rule.kind, &node::DispatchRule::kind) == 1);
    }
    CHECK(rules.size() == static_cast<std::size_t>(node::MessageKind::key_exchange) + 1);
}

TEST_CASE("S17: a member announces shards for itself only") {
    Slander slander;
    auto const before = slander.state();
    slander.mallory.send(announce_of(slander.ada_id(), 'm'));
    CHECK(slander.state() == before);
    CHECK(slander.judge.ask->serving(slander.ada.identity.node_id()).empty());
    slander.mallory.send(announce_of(slander.mallory_id(), 'm'));  // the same of itself is heard
    CHECK_FALSE(slander.state() == before);
}

TEST_CASE("S20: a member pings and pongs for itself only") {
    Slander slander;
    auto const before = slander.state();
    wire::v1::Control ping;
    ping.mutable_health_ping()->set_node_id(slander.ada_id());
    slander.mallory.send(ping);
    wire::v1::Control pong;
    pong.mutable_health_pong()->set_node_id(slander.ada_id());
    slander.mallory.send(pong);
    CHECK(slander.state() == before);
    CHECK(slander.trust_in_ada() == 0.5);
}

TEST_CASE("S20: an id that is empty, short, long or off by one bit is nobody's") {
    Slander slander;
    auto const before = slander.state();
    auto flipped = slander.mallory_id();
    flipped.back() = static_cast<char>(flipped.back() ^ 1);
    for (auto const& claimed :
         {std::string(), slander.mallory_id().substr(0, 31), slander.mallory_id() + "x",
          slander.mallory_id().substr(0, 8), flipped})
        slander.mallory.send(announce_of(claimed, 'm'));
    CHECK(slander.state() == before);
}

TEST_CASE("S21: the rule of key exchanges stands in the same table") {
    auto const& rule = node::rule_of(node::MessageKind::key_exchange);
    CHECK(rule.says == node::Says::as_sender);
    CHECK(rule.claim == "S21");
    identity::NodeId const sender{{1}};
    identity::NodeId const other{{2}};
    auto const claims = [](identity::NodeId const& node) { return base::as_text(node.bytes); };
    CHECK(node::may_say(node::MessageKind::key_exchange, sender, claims(sender)));
    CHECK_FALSE(node::may_say(node::MessageKind::key_exchange, sender, claims(other)));
}

TEST_CASE("S21: a key exchange in another's name costs the sender trust and changes nothing else") {
    Slander slander;
    wire::v1::EphemeralKeyExchange exchange;
    exchange.set_node_id(slander.ada_id());
    exchange.set_key_id(9);
    exchange.set_noise_message(std::string(100, 'x'));
    base::Bytes frame{0x02};  // the tag of key exchanges (docs/protocol/session.md)
    base::append(frame, base::as_bytes(exchange.SerializeAsString()));
    base::Bytes bytes;
    wire::append_frame(bytes, frame);
    auto const before = slander.state();
    slander.mallory.send_raw(bytes);
    CHECK(slander.state() == before);
    CHECK(slander.mallory.session_ready());
    CHECK(slander.trust_in_mallory() == doctest::Approx(0.3));
    CHECK(slander.trust_in_ada() == 0.5);
    CHECK(slander.log_lines("dropped message 1: a key exchange names another sender") == 1);
    slander.mallory.send(announce_of(slander.mallory_id(), 'm'));  // the session goes on
    CHECK_FALSE(slander.state() == before);
}

TEST_CASE(
    "S22: a hundred false messages are counted and scored, written down seven times, and change "
    "nothing") {
    Slander slander;
    auto const before = slander.state();
    for (int i = 0; i < 100; ++i) slander.mallory.send(announce_of(slander.ada_id(), 'm'));
    CHECK(slander.state() == before);
    CHECK(slander.mallory.session_ready());
    // The 1st, 2nd, 4th, ... 64th.
    CHECK(slander.log_lines("dropped message") == 7);
    CHECK(slander.log_lines("dropped message 64") == 1);
    CHECK(slander.trust_in_mallory() == 0.0);
}

TEST_CASE("S37: who speaks in another's name loses 0.20, and the name it used loses nothing") {
    Slander slander;
    CHECK(slander.trust_in_mallory() == 0.5);
    slander.mallory.send(announce_of(slander.ada_id(), 'm'));
    CHECK(slander.trust_in_mallory() == doctest::Approx(0.3));
    CHECK(slander.trust_in_ada() == 0.5);
    wire::v1::Control ping;
    ping.mutable_health_ping()->set_node_id(slander.ada_id());
    slander.mallory.send(ping);
    CHECK(slander.trust_in_mallory() == doctest::Approx(0.1));
    CHECK(slander.trust_in_ada() == 0.5);
}

TEST_CASE("S37: a score outlives the session and the process, so neither washes it clean") {
    Slander slander;
    slander.mallory.send(announce_of(slander.ada_id(), 'm'));
    slander.bench.run_for(4s);
    auto const before = slander.trust_in_mallory();
    CHECK(before < 0.31);
    slander.mallory.open_session(slander.judge);
    REQUIRE(slander.mallory.session_ready());
    CHECK(slander.trust_in_mallory() <= 0.31);
    auto const after = node::Node::create({.identity = slander.judge.identity,
                                           .rng = slander.judge.rng,
                                           .clock = slander.bench.clock,
                                           .store = *slander.judge.store,
                                           .secrets = slander.judge.secrets,
                                           .log = [](std::string const&) {}},
                                          slander.bench.clock.now());
    REQUIRE(after.has_value());
    CHECK((*after)->trust_in(slander.mallory.identity.node_id()).to_double() ==
          doctest::Approx(slander.trust_in_mallory()));
}

TEST_CASE("S37: a member that exchanges its keys takes its score along") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto& mallory = bench.add_member(op);
    auto const before = mallory.identity.node_id();
    REQUIRE(mallory.node
                ->send(op.identity.node_id(),
                       announce_of(base::to_text(ada.identity.node_id().bytes), 'm'))
                .has_value());
    bench.settle();
    REQUIRE(op.node->trust_in(before).to_double() == doctest::Approx(0.3));
    REQUIRE(mallory.node->rotate_identity(bench.clock.now()).has_value());
    auto const after = mallory.identity.node_id();
    REQUIRE(bench.run_until([&] { return op.node->is_ready(after); }, 60s));
    CHECK(op.node->trust_in(after).to_double() < 0.35);
    CHECK(op.node->trust_in(before).to_double() == 0.5);  // nobody speaks with it any more
}

TEST_CASE("S36: nonsense that was properly signed costs its signer 0.05 and changes no name") {
    Slander slander;
    auto const before = slander.state();
    slander.gossip(slander.mallory_id(), slander.record_of("for ever", 31, 1));
    CHECK(slander.trust_in_mallory() == doctest::Approx(0.45));
    CHECK(slander.state() == before);
    CHECK(slander.trust_in_ada() == 0.5);
}

TEST_CASE(
    "S36: an honest record that somebody else sends is charged to who sent it, not to its origin") {
    Slander slander;
    REQUIRE(slander.ada.node->set_nickname("ada").has_value());
    slander.bench.settle();
    auto const record = slander.judge.store->get("nicknames", slander.ada.identity.node_id().bytes);
    REQUIRE(record.has_value());
    REQUIRE(record->has_value());
    auto const before = slander.state();
    slander.gossip(slander.mallory_id(), **record);  // ada's record in mallory's message
    CHECK(slander.trust_in_mallory() == doctest::Approx(0.3));
    slander.gossip(slander.ada_id(), **record);  // and in ada's name
    CHECK(slander.trust_in_mallory() == doctest::Approx(0.1));
    CHECK(slander.trust_in_ada() == 0.5);
    CHECK(slander.state() == before);
}

TEST_CASE("S19: nobody gives another member a name") {
    Slander slander;
    auto const before = slander.state();
    auto forged = slander.record_of("thief", 0, 9);
    std::ranges::copy(slander.ada.identity.node_id().bytes, forged.begin() + 1);
    slander.gossip(slander.ada_id(), forged);
    slander.gossip(slander.mallory_id(), forged);
    slander.gossip(slander.ada_id(), slander.record_of("thief", 0, 9));
    CHECK(slander.state() == before);
    CHECK(slander.judge.node->nickname_of(slander.ada.identity.node_id()).empty());
    CHECK(slander.trust_in_ada() == 0.5);
}

TEST_CASE("S30: a name reaches members that are there and that come later, and the newest wins") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto const seen_by = [&](Machine& machine) {
        return machine.node->nickname_of(ada.identity.node_id());
    };
    REQUIRE(ada.node->set_nickname("ada").has_value());
    bench.settle();
    CHECK(seen_by(op) == "ada");
    REQUIRE(ada.node->set_nickname("ada of the attic").has_value());  // in the same second
    bench.settle();
    CHECK(seen_by(op) == "ada of the attic");
    auto& bo = bench.add_member(op);
    bench.run_until([&] { return bo.node->is_ready(ada.identity.node_id()); }, 60s);
    bench.settle();
    CHECK(seen_by(bo) == "ada of the attic");
    for (auto const& peer : bo.node->peers(bench.clock.now()))
        CHECK(peer.nickname == (peer.node == ada.identity.node_id() ? "ada of the attic" : ""));
}

TEST_CASE("S30: an old name, a far future and a forbidden character do not get in") {
    Slander slander;
    slander.gossip(slander.mallory_id(), slander.record_of("newer", 0, 2));
    auto const name = [&] {
        return slander.judge.node->nickname_of(slander.mallory.identity.node_id());
    };
    CHECK(name() == "newer");
    slander.gossip(slander.mallory_id(), slander.record_of("older", -100, 1));
    CHECK(name() == "newer");
    slander.gossip(slander.mallory_id(), slander.record_of("much later", 3600, 3));
    CHECK(name() == "newer");
    CHECK(slander.mallory.session_ready());
}

TEST_CASE("S31: somebody outside the swarm cannot even offer a name") {
    Slander slander;
    Hostile stranger(slander.bench, 123);
    auto const before = slander.state();
    for (auto* machine : {&slander.judge, &slander.ada}) {
        auto const& visit = stranger.visit(*machine, std::string(node::protocol_peer),
                                           slander.record_of("stranger", 0, 1));
        CHECK_FALSE(visit.agreed);
        CHECK(machine->node->nickname_of(stranger.identity.node_id()).empty());
    }
    CHECK(slander.state() == before);
}

TEST_CASE("S33: each machine that did its part of an answer gains 0.01 for it, once") {
    Boomerang route({.local_embedding_privacy = true, .encrypted_pipeline = true});
    auto const trust_in = [&](Machine& machine) {
        return route.asker.node->trust_in(machine.identity.node_id()).to_double();
    };
    auto const answer = route.bench.ask(route.asker, "who can see this?", 3);
    REQUIRE(answer.finished.has_value());  // three tokens, six steps; one answer
    CHECK(trust_in(route.first) == doctest::Approx(0.51));
    CHECK(trust_in(route.second) == doctest::Approx(0.51));
    CHECK(trust_in(route.asker) == 0.5);
    // Whoever computes does not gain by it at other machines than the one that asked.
    CHECK(route.first.node->trust_in(route.second.identity.node_id()).to_double() == 0.5);
    REQUIRE(route.bench.ask(route.asker, "who can see this?", 3).finished.has_value());
    CHECK(trust_in(route.first) == doctest::Approx(0.52));
}

TEST_CASE("S33: a machine that lets a question fail gains nothing") {
    Boomerang route({.local_embedding_privacy = true, .encrypted_pipeline = true});
    route.bench.network.unplug(route.second.address);
    CHECK_FALSE(route.bench.ask(route.asker, "who can see this?", 3).finished.has_value());
    CHECK(route.asker.node->trust_in(route.first.identity.node_id()).to_double() == 0.5);
    CHECK(route.asker.node->trust_in(route.second.identity.node_id()).to_double() == 0.5);
}
