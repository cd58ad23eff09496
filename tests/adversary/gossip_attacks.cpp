// What members tell the whole swarm (Tier 3): who is heard, who hears, and in whose name.
#include <doctest/doctest.h>

#include <algorithm>

#include "hostile.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

wire::v1::Control announce_of(identity::NodeId const& node) {
    wire::v1::Control control;
    control.mutable_shard_announce()->set_node_id(base::to_text(node.bytes));
    auto* holding = control.mutable_shard_announce()->add_models();
    holding->set_model_id(std::string(32, 'm'));
    holding->set_name("rumour");
    holding->add_shards(0);
    return control;
}

wire::v1::Control nickname_of(identity::Identity const& who, identity::NodeId const& claimed,
                              std::string const& name, std::int64_t time) {
    wire::v1::Control control;
    control.mutable_nickname_gossip()->set_node_id(base::to_text(claimed.bytes));
    control.mutable_nickname_gossip()->set_record(
        base::to_text(identity::sign_nickname(who, name, base::UnixTime{time}, 1)));
    return control;
}

// ada and bo have links to everybody but mallory, a member that is linked to the operator only.
struct Hall {
    Hall() {
        mallory.speak_gossip();
        mallory.join(op, bench.invite(op));
        bench.run_for(1s);
        mallory.open_session(op);
        REQUIRE(mallory.session_ready());
        bench.run_for(5s);  // meshes are made
        REQUIRE_FALSE(bo.node->is_ready(mallory.identity.node_id()));
    }
    void say(wire::v1::Control const& control) {
        mallory.publish(mallory.sealed_gossip(base::as_bytes(control.SerializeAsString())));
        bench.run_for(1s);
    }
    // Announcements that reached a machine's handlers, of what `sender` holds.
    static std::size_t rumours(Machine const& at, identity::NodeId const& sender) {
        return static_cast<std::size_t>(
            std::ranges::count_if(at.recorder.controls, [&](auto const& heard) {
                return heard.sender == sender && heard.message.has_shard_announce() &&
                       heard.message.shard_announce().models_size() == 1 &&
                       heard.message.shard_announce().models(0).name() == "rumour";
            }));
    }
    [[nodiscard]] double trust_in_mallory() const {
        return op.node->trust_in(mallory.identity.node_id()).to_double();
    }
    SwarmBench bench;
    Machine& op = bench.add_operator();
    Machine& ada = bench.add_member(op);
    Machine& bo = bench.add_member(op);
    Hostile mallory{bench};
};

}  // namespace

TEST_CASE("S12: a name and an announcement reach a member that has no link to who says them") {
    Hall hall;
    auto const self = hall.mallory.identity.node_id();
    auto const now = base::seconds(hall.bench.clock.unix_now());
    hall.say(announce_of(self));
    hall.say(nickname_of(hall.mallory.identity, self, "Mallory", now));
    REQUIRE(hall.ada.node->set_nickname("Ada").has_value());
    hall.bench.run_for(1s);
    CHECK_FALSE(hall.bo.node->is_ready(self));
    CHECK(Hall::rumours(hall.bo, self) == 1);
    CHECK(hall.bo.node->nickname_of(self) == "Mallory");
    CHECK_FALSE(hall.bo.ask->serving(self).empty());
    CHECK(hall.bo.node->nickname_of(hall.ada.identity.node_id()) == "Ada");
    CHECK(hall.bo.node->gossip_counts().neighbours == 2);
    CHECK(hall.bo.node->gossip_counts().heard >= 2);
}

TEST_CASE("S12: a stranger cannot gossip with anybody, nor listen") {
    Hall hall;
    Hostile stranger(hall.bench, 55);
    stranger.speak_gossip();
    stranger.take_part(hall.mallory.swarm(), hall.mallory.list().encoded());  // stolen facts
    for (auto const& protocol : node::GossipService::protocols())
        CHECK(stranger.visit(hall.op, protocol).reset);
    auto const announce = announce_of(stranger.identity.node_id());
    stranger.publish(stranger.sealed_gossip(base::as_bytes(announce.SerializeAsString())));
    hall.bench.run_for(65s);
    CHECK(stranger.overheard.empty());
    CHECK(Hall::rumours(hall.op, stranger.identity.node_id()) == 0);
}

TEST_CASE("S11: an envelope that its sender did not sign so is not heard, nor passed on") {
    Hall hall;
    auto const self = hall.mallory.identity.node_id();
    auto const announce = announce_of(self);
    auto envelope = hall.mallory.sealed_gossip(base::as_bytes(announce.SerializeAsString()));
    envelope.back() ^= 1;
    hall.mallory.publish(envelope);
    hall.bench.run_for(1s);
    CHECK(Hall::rumours(hall.op, self) == 0);
    CHECK(Hall::rumours(hall.bo, self) == 0);
    CHECK(hall.trust_in_mallory() < 0.31);  // who passed it on had not checked it
    hall.say(announce);
    CHECK(Hall::rumours(hall.op, self) == 1);
    CHECK(Hall::rumours(hall.bo, self) == 1);  // he has no link to mallory
}

TEST_CASE("S17: nobody announces shards for another member by gossip either") {
    Hall hall;
    auto const ada = hall.ada.identity.node_id();
    hall.say(announce_of(ada));
    CHECK(Hall::rumours(hall.op, ada) == 0);
    CHECK(Hall::rumours(hall.bo, ada) == 0);
    CHECK(Hall::rumours(hall.op, hall.mallory.identity.node_id()) == 0);
    CHECK(hall.trust_in_mallory() < 0.31);
    CHECK(hall.op.node->trust_in(ada).to_double() == 0.5);
}

TEST_CASE("S16: gossip carries names and announcements, and no other message") {
    Hall hall;
    wire::v1::Control close, ping, list;
    close.mutable_stage_close()->set_request_id(std::string(16, 'r'));
    ping.mutable_health_ping()->set_node_id(base::to_text(hall.mallory.identity.node_id().bytes));
    list.mutable_list_request()->set_nonce(std::string(16, 'n'));
    for (auto const* control : {&close, &ping, &list}) hall.say(*control);
    CHECK(std::ranges::none_of(hall.op.recorder.controls, [](auto const& heard) {
        return heard.message.has_stage_close() || heard.message.has_health_ping();
    }));
    CHECK(hall.trust_in_mallory() < 0.5);
}

TEST_CASE("S30: a name dated more than 30 s ahead is not taken from gossip") {
    Hall hall;
    auto const self = hall.mallory.identity.node_id();
    auto const now = base::seconds(hall.bench.clock.unix_now());
    hall.say(nickname_of(hall.mallory.identity, self, "for ever", now + 40));
    CHECK(hall.op.node->nickname_of(self).empty());
    CHECK(hall.bo.node->nickname_of(self).empty());
    // Nor a name of somebody else, in his own well-signed record.
    hall.say(nickname_of(hall.ada.identity, self, "Ada", now));
    CHECK(hall.op.node->nickname_of(hall.ada.identity.node_id()).empty());
    hall.say(nickname_of(hall.mallory.identity, self, "Mallory", now));
    CHECK(hall.op.node->nickname_of(self) == "Mallory");
    CHECK(hall.bo.node->nickname_of(self) == "Mallory");
}

TEST_CASE("P19: what members tell everybody after a kick is closed to who was kicked") {
    Hall hall;
    auto& [bench, op, ada, bo, mallory] = hall;
    auto const old_secret = op.node->swarm()->secret.clone();
    Hostile eve(bench, 66);  // stays a member, and keeps what it overhears
    eve.speak_gossip();
    eve.join(op, bench.invite(op));
    bench.run_for(1s);
    eve.open_session(op);
    REQUIRE(eve.session_ready());
    bench.run_for(5s);
    REQUIRE(op.node->kick(mallory.identity.address().to_text(), bench.clock.now()).has_value());
    bench.settle();
    eve.overheard.clear();
    auto const heard_before = mallory.overheard.size();
    bench.run_for(10s);
    REQUIRE_FALSE(eve.overheard.empty());
    CHECK(mallory.overheard.size() == heard_before);
    auto const opens = [&](crypto::Secret<32> const& secret) {
        proto::sealed_gossip::Opener opener(op.node->swarm()->id, secret);
        std::vector<identity::NodeId> members;
        for (auto const& member : op.node->registry()->list()->members())
            members.push_back(member.node_id());
        REQUIRE(opener.set_members(members).has_value());
        return std::ranges::count_if(eve.overheard, [&](auto const& envelope) {
            return opener.open(node::swarm_topic, envelope, bench.clock.unix_now()).has_value();
        });
    };
    CHECK(opens(old_secret) == 0);
    CHECK(opens(op.node->swarm()->secret) > 0);
}
