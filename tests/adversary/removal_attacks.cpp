// Who stays in, and who is out for good: removals, renewed and exchanged keys.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/code_of.h"
#include "identity/contexts.h"
#include "infiltrated.h"
#include "proto/membership/epoch.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

constexpr base::Duration day = 24h;

identity::Identity copy_of(identity::Identity const& original) {
    return identity::Identity::from_file_bytes(original.to_file_bytes().view(), {}).value();
}

// What a machine asks the coordinator that holds these keys and says this is its binding.
wire::v1::JoinRequest refresh_request(identity::Identity const& who) {
    wire::v1::JoinRequest request;
    request.set_binding(base::to_text(identity::encode(who.binding())));
    return request;
}

bool granted(std::optional<wire::v1::JoinReply> const& reply) {
    return reply && reply->has_grant();
}

}  // namespace

TEST_CASE("P19: a kicked member's open sessions end at once, everywhere, and it never comes back") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    auto const old_secret = op.node->swarm()->secret.clone();
    auto const kicked = swarm.kick();
    CHECK(kicked.told_count == 2);
    CHECK(kicked.left_count == 0);
    bench.settle();  // not one timer has run
    CHECK_FALSE(member.session_ready());
    CHECK(std::ranges::find(ada.recorder.lost, member.identity.node_id()) !=
          ada.recorder.lost.end());
    CHECK(swarm.all_meet());
    for (auto* machine : {&op, &ada, &bo}) {
        CHECK(members_count(*machine) == 3);
        CHECK_FALSE(base::equal(machine->node->swarm()->secret.view(), old_secret.view()));
        CHECK(Infiltrated::same_secret(*machine, op));
        member.open_session(*machine);
        CHECK_FALSE(member.session_ready());
    }
}

TEST_CASE("P19: a kicked machine joins with no invite, old or new, and asks for no list") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    auto const old_token = bench.invite(op, {.uses_max = 5});
    swarm.kick();
    for (auto const& token : {old_token, bench.invite(op)}) {
        node::Joiner joiner(proto::membership::parse_token(token).value(), bench.clock.now());
        auto const framed = joiner.request(member.identity, {});
        wire::FrameReader reader(node::join_message_bytes_max);
        base::ByteView rest = framed;
        auto const frame = reader.next(rest).value().value();
        wire::v1::JoinRequest request;
        REQUIRE(request.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
        CHECK_FALSE(granted(member.request_join(op, request)));
    }
    CHECK_FALSE(granted(member.request_join(op, refresh_request(member.identity))));
    CHECK(members_count(op) == 3);
}

TEST_CASE("P19: a member that cannot hear of the kick stops serving the kicked one within 30 s") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    bench.network.unplug(op.address);
    swarm.kick();
    bench.settle();
    CHECK(member.session_ready());  // ada knows of nothing
    bench.run_for(30s);
    CHECK_FALSE(member.session_ready());
    bench.run_for(30s);
    member.open_session(ada);
    CHECK_FALSE(member.session_ready());
}

TEST_CASE(
    "P19: the secret that a kicked member knows opens no session, not even with stolen keys") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    Hostile thief(bench, copy_of(bo.identity), 77);
    thief.take_part(member.swarm(), member.list().encoded());
    swarm.kick();
    bench.network.unplug(bo.address);
    bench.run_for(5s);  // so that the thief's link replaces bo's
    thief.open_session(ada);
    CHECK_FALSE(thief.session_ready());
    thief.take_part(*ada.node->swarm(), ada.node->registry()->list()->encoded());
    bench.run_for(5s);
    thief.open_session(ada);
    CHECK(thief.session_ready());  // it is the secret that stopped him
}

TEST_CASE("P19: a secret that is older, or not signed by the operator, is not taken") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    swarm.kick();
    bench.settle();
    REQUIRE(ada.node->swarm()->epoch == 1);
    auto const now = ada.node->swarm()->secret.clone();
    auto const offer = [&](std::uint64_t epoch, identity::Identity const& signer) {
        base::ByteArray<32> bytes;
        bytes.fill(0x66);
        crypto::Secret<32> const secret(bytes);
        auto const swarm_id = ada.node->swarm()->id;
        wire::v1::Control control;
        auto* message = control.mutable_epoch_secret();
        message->set_epoch(epoch);
        message->set_sealed(base::to_text(
            proto::membership::seal_epoch({.swarm_id = swarm_id,
                                           .epoch = epoch,
                                           .root_id = ada.identity.root_id(),
                                           .static_key = ada.identity.static_public_key()},
                                          secret, secret)
                .value()));
        message->set_signature(base::to_text(
            signer
                .sign_root(identity::context::epoch,
                           proto::membership::epoch_body(swarm_id, epoch, secret), secret)
                .value()));
        REQUIRE(op.node->send(ada.identity.node_id(), control).has_value());
        bench.settle();
        return !base::equal(ada.node->swarm()->secret.view(), now.view());
    };
    CHECK_FALSE(offer(0, op.identity));
    CHECK_FALSE(offer(1, op.identity));
    CHECK_FALSE(offer(2, member.identity));
    CHECK(offer(2, op.identity));
}

TEST_CASE("P19: who is away during a kick gets the new secret when it comes back") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    bench.network.unplug(bo.address);
    bench.run_for(16min);  // every session of bo is over
    REQUIRE_FALSE(op.node->is_ready(bo.identity.node_id()));
    auto const kicked = swarm.kick();
    CHECK(kicked.told_count == 1);
    CHECK(kicked.left_count == 1);
    bench.network.plug(bo.address);
    CHECK(bench.run_until([&] { return swarm.all_meet(); }, 3min));
    CHECK(Infiltrated::same_secret(bo, op));
    CHECK(bo.node->swarm()->epoch == 1);
}

TEST_CASE("P19: a kicked member is cut off even when the operator's machine refuses its own list") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    member.open_session(op);
    REQUIRE(member.session_ready());
    bench.skip(31 * day);  // the operator's binding has run out, and no timer has renewed it yet
    auto const kicked = op.node->kick(member.identity.address().to_text(), bench.clock.now());
    CHECK_FALSE(kicked.has_value());
    CHECK(op.node->alarms().at(0).find("refuses its own member list") != std::string::npos);
    bench.settle();
    CHECK_FALSE(member.session_ready());
}

TEST_CASE("P19: a kicked machine is told by its own status that it is out") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    REQUIRE(op.node->kick(ada.identity.address().to_text(), bench.clock.now()).has_value());
    CHECK(bench.run_until([&] { return !ada.node->alarms().empty(); }, 60s));
    REQUIRE(ada.node->alarms().size() == 1);
    CHECK(ada.node->alarms()[0].find("Ask the operator") != std::string::npos);
}

TEST_CASE("P19: an invite from before a kick still works, and brings the secret of after it") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    auto const token = bench.invite(op);
    swarm.kick();
    auto& cy = bench.add_machine();
    REQUIRE(bench.join(cy, token).has_value());
    CHECK(Infiltrated::same_secret(cy, op));
    CHECK(cy.node->swarm()->epoch == 1);
    CHECK(bench.run_until([&] { return swarm.meet(cy, ada) && swarm.meet(cy, op); }, 60s));
}

TEST_CASE(
    "P19: only the operator kicks, nobody kicks the operator, and a name must be long enough") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    auto const kick = [&](Machine& by, std::string const& who) {
        return base::code_of(by.node->kick(who, bench.clock.now()));
    };
    auto const name = member.identity.node_id().to_hex();
    CHECK(kick(ada, name) == base::Code::forbidden);
    CHECK(kick(op, op.identity.address().to_text()) == base::Code::invalid);
    CHECK(kick(op, name.substr(0, 7)) == base::Code::not_found);
    CHECK(kick(op, "") == base::Code::not_found);
    CHECK(kick(op, std::string(64, 'f')) == base::Code::not_found);
    CHECK(members_count(op) == 4);
    CHECK(op.node->swarm()->epoch == 0);
    CHECK(op.node->kick(name.substr(0, 8), bench.clock.now()).has_value());
}

TEST_CASE("E5: nobody falls off the list after 30 days: bindings are renewed while machines run") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    for (int i = 0; i < 5; ++i) {
        bench.skip(10 * day);
        bench.run_for(2min);
    }
    CHECK(ada.identity.binding().body.counter >= 2);
    CHECK(ada.node->is_ready(op.identity.node_id()));
    auto const& list = *op.node->registry()->list();
    CHECK(list.find(ada.identity.node_id())->mark().counter == ada.identity.binding().body.counter);
    CHECK(list.members().front().mark().counter == op.identity.binding().body.counter);
    CHECK(op.node->alarms().empty());
    CHECK(ada.node->alarms().empty());
}

TEST_CASE("E5: a machine that was away while its binding ran out comes back without an invite") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    bench.network.unplug(ada.address);
    for (int i = 0; i < 4; ++i) {
        bench.skip(10 * day);
        bench.run_for(2min);
    }
    REQUIRE(members_count(op) == 1);
    bench.network.plug(ada.address);
    CHECK(bench.run_until([&] { return ada.node->is_ready(op.identity.node_id()); }, 5min));
    CHECK(members_count(op) == 2);
}

TEST_CASE("E5: keys that were exchanged are refused from then on, the new ones are a member's") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    Hostile thief(bench, copy_of(ada.identity), 77);
    thief.take_part(*ada.node->swarm(), ada.node->registry()->list()->encoded());
    auto const old_node = ada.identity.node_id();
    REQUIRE(ada.node->rotate_identity(bench.clock.now()).has_value());
    CHECK(ada.identity.node_id() != old_node);
    CHECK(bench.run_until([&] { return swarm.all_meet(); }, 3min));
    // Nobody is warned of a man in the middle because a member exchanged its keys.
    for (auto* machine : {&op, &bo})
        CHECK(std::ranges::none_of(machine->node->pairing().failures(),
                                   [&](auto const& failure) { return failure.peer == old_node; }));
    CHECK(members_count(bo) == 4);
    for (auto* machine : {&op, &bo}) {
        CHECK(machine->node->registry()->list()->find(old_node) == nullptr);
        thief.open_session(*machine);
        CHECK_FALSE(thief.session_ready());
    }
    bench.run_for(1s * node::binding_update_interval_s);  // so that not the limit refuses
    // Nor do they come back by showing their binding again.
    CHECK_FALSE(granted(thief.request_join(op, refresh_request(thief.identity))));
    CHECK(op.node->registry()->list()->find(old_node) == nullptr);
    CHECK(base::code_of(op.node->rotate_identity(bench.clock.now())) == base::Code::forbidden);
}

TEST_CASE("E4: nobody asks for the list with another machine's binding") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    swarm.kick();
    CHECK_FALSE(granted(member.request_join(op, refresh_request(ada.identity))));
    Hostile stranger(bench, 5);
    CHECK_FALSE(granted(stranger.request_join(op, refresh_request(stranger.identity))));
    CHECK_FALSE(granted(stranger.request_join(op, refresh_request(bo.identity))));
}

TEST_CASE("E4: one key is not two members: it would make every list invalid for everybody") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto const with_root = [&](std::uint8_t root) {
        crypto::Secret<identity::identity_random_bytes> random;
        std::ranges::fill(random.mutable_view(), std::uint8_t{9});
        std::ranges::fill(random.mutable_view().first(32), root);
        return identity::Identity::create(random, bench.clock.unix_now()).value();
    };
    Hostile first(bench, with_root(1), 31);
    Hostile second(bench, with_root(2), 32);
    REQUIRE(first.identity.node_id() == second.identity.node_id());
    first.join(op, bench.invite(op));
    node::Joiner joiner(proto::membership::parse_token(bench.invite(op)).value(),
                        bench.clock.now());
    auto const& asked =
        second.visit(op, std::string(node::protocol_join), joiner.request(second.identity, {}));
    CHECK_FALSE(joiner.feed(asked.received, second.identity, bench.clock.unix_now()).has_value());
    bench.run_for(10s);
    CHECK(members_count(ada) == 3);
    // The newest list is one that everybody takes.
    CHECK(ada.node->registry()->list()->version() ==
          op.node->coordinator().value()->list_version());
}

TEST_CASE("E5: two bindings with one number are an alarm, and the second changes nothing") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    Hostile twin(bench, copy_of(ada.identity), 77);
    base::ByteArray<32> bytes{};
    REQUIRE(ada.identity.renew(bench.clock.unix_now(), crypto::Secret<32>(bytes)).has_value());
    bench.run_for(30s);
    auto const known = op.node->registry()->list()->find(ada.identity.node_id())->mark();
    REQUIRE(known.counter == 2);
    REQUIRE(twin.identity.renew(bench.clock.unix_now(), crypto::Secret<32>(bytes)).has_value());
    CHECK_FALSE(granted(twin.request_join(op, refresh_request(twin.identity))));
    CHECK(op.node->registry()->list()->find(ada.identity.node_id())->mark() == known);
    REQUIRE(op.node->alarms().size() == 1);
    CHECK(op.node->alarms()[0].find(ada.identity.address().to_text()) != std::string::npos);
    CHECK(op.store->scan("binding_evidence", 10).value().size() == 2);
}

TEST_CASE("P23: two machines with one identity are noticed, and both are told") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    Hostile twin(bench, copy_of(ada.identity), 77);
    twin.take_part(*ada.node->swarm(), ada.node->registry()->list()->encoded());
    auto const back = [&] {
        return bench.run_until([&] { return ada.node->is_ready(op.identity.node_id()); }, 60s);
    };
    bench.run_for(4s);
    twin.open_session(op);
    CHECK(twin.session_ready());
    CHECK(op.node->alarms().empty());  // this may have been a restart
    bench.run_for(1s);
    REQUIRE(back());
    REQUIRE(op.node->alarms().size() == 1);
    CHECK(op.node->alarms()[0].find(ada.identity.address().to_text()) != std::string::npos);
    CHECK(ada.node->alarms().size() == 1);
    bench.run_for(4s);
    twin.open_session(op);
    bench.run_for(1s);
    CHECK(std::ranges::any_of(twin.controls,
                              [](auto const& control) { return control.has_identity_twin(); }));
}

TEST_CASE("E5: a member that shows a new binding every second makes one list a minute") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    Hostile member(bench);
    member.join(op, bench.invite(op));
    member.open_session(op);
    REQUIRE(member.session_ready());
    auto const before = op.node->registry()->list()->version();
    base::ByteArray<32> bytes{};
    for (int i = 0; i < 61; ++i) {
        REQUIRE(
            member.identity.renew(bench.clock.unix_now(), crypto::Secret<32>(bytes)).has_value());
        wire::v1::Control control;
        control.mutable_binding_update()->set_binding(
            base::to_text(identity::encode(member.identity.binding())));
        member.send(control);
        bench.run_for(1s);
    }
    CHECK(op.node->registry()->list()->version() == before + 2);
}

TEST_CASE("P5: a member that replays its own join makes no new list") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    Hostile member(bench);
    auto const token = bench.invite(op);
    member.join(op, token);
    bench.run_for(1s);
    auto const before = op.node->coordinator().value()->list_version();
    node::Joiner again(proto::membership::parse_token(token).value(), bench.clock.now());
    for (int i = 0; i < 5; ++i)
        member.visit(op, std::string(node::protocol_join), again.request(member.identity, {}));
    CHECK(op.node->coordinator().value()->list_version() == before);
    // It may have lost its disk, so it is answered.
    auto const& asked =
        member.visit(op, std::string(node::protocol_join), again.request(member.identity, {}));
    auto const outcome = again.feed(asked.received, member.identity, bench.clock.unix_now());
    REQUIRE(outcome.has_value());
    CHECK(outcome->has_value());
    CHECK(ada.node->registry()->list()->version() == before);
}

TEST_CASE("E5: nobody is accused of a second binding that its root did not sign") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    Hostile stranger(bench, 5);
    auto forged = stranger.identity.binding();
    forged.body.root = ada.identity.binding().body.root;
    forged.body.counter = ada.identity.binding().body.counter;
    forged.operational_signature =
        stranger.identity.sign_operational(identity::binding_to_sign(forged.body));
    wire::v1::JoinRequest request;
    request.set_binding(base::to_text(identity::encode(forged)));
    CHECK_FALSE(granted(stranger.request_join(op, request)));
    CHECK(op.node->alarms().empty());
    CHECK(op.store->scan("binding_evidence", 10).value().empty());
}

TEST_CASE("E5: keys that have run out get neither the list nor the secret") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    Hostile thief(bench, copy_of(ada.identity), 77);
    bench.network.unplug(ada.address);
    for (int i = 0; i < 4; ++i) {
        bench.skip(10 * day);
        bench.run_for(2min);
    }
    CHECK_FALSE(granted(thief.request_join(op, refresh_request(thief.identity))));
}

TEST_CASE("E5: a machine that came out of a backup goes above the keys that others have seen") {
    Infiltrated swarm;
    auto& [bench, op, ada, bo, member] = swarm;
    auto backup = copy_of(ada.identity);
    REQUIRE(ada.node->rotate_identity(bench.clock.now()).has_value());
    REQUIRE(bench.run_until([&] { return swarm.all_meet(); }, 3min));
    ada.identity = std::move(backup);
    REQUIRE(ada.node->rotate_identity(bench.clock.now()).has_value());
    CHECK(ada.identity.binding().body.counter == 3);
    bench.run_for(1s * node::binding_update_interval_s);
    CHECK(bench.run_until([&] { return swarm.all_meet(); }, 3min));
}

TEST_CASE("P5: a link without a session ends with the lease, and what is relayed over it") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    Hostile member(bench);
    member.join(op, bench.invite(op));
    bench.run_for(1s);
    auto const& idle = member.visit(ada, "/ipfs/ping/1.0.0");
    bench.run_for(15s);  // longer than a stranger may stay
    REQUIRE_FALSE(idle.down);
    bench.network.unplug(op.address);
    bench.run_for(31s);
    CHECK(idle.down);
}
