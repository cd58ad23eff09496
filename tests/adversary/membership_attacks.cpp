// Who gets in: attacks on joining, on the member list and on what strangers are told.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/code_of.h"
#include "base/encoding.h"
#include "hostile.h"
#include "identity/contexts.h"
#include "proto/membership/secret_wrap.h"
#include "wire/varint.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
namespace membership = kith::proto::membership;

namespace {

crypto::Secret<32> filled(std::uint8_t value) {
    base::ByteArray<32> bytes;
    bytes.fill(value);
    return crypto::Secret<32>(bytes);
}

// The request that the holder of `token` would send for `who`.
wire::v1::JoinRequest honest_request(std::string const& token, identity::Identity const& who) {
    node::Joiner joiner(membership::parse_token(token).value(), base::Instant{});
    auto const framed = joiner.request(who, {});
    wire::FrameReader reader(node::join_message_bytes_max);
    base::ByteView rest = framed;
    auto const frame = reader.next(rest).value().value();
    wire::v1::JoinRequest request;
    REQUIRE(request.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
    return request;
}

std::size_t members_count(Machine const& machine) {
    return machine.node->registry()->list()->members().size();
}

bool granted(std::optional<wire::v1::JoinReply> const& reply) {
    return reply && reply->has_grant();
}

base::Bytes certificate(identity::Identity const& signer, membership::SwarmId const& swarm,
                        membership::TokenKeys const& keys) {
    auto body = membership::certificate_body({.swarm_id = swarm,
                                              .lookup_id = keys.lookup_id,
                                              .invite_public_key = keys.invite_key.public_key(),
                                              .uses_max = 1,
                                              .created = base::UnixTime{1'800'000'000}});
    base::append(body, signer.sign_root(identity::context::invite, body, filled(9)).value());
    return body;
}

// A member with evil intent and an open session to ada.
struct Infiltrated {
    Infiltrated() {
        member.join(op, bench.invite(op));
        bench.run_for(1s);  // the list that names the member reaches ada
        member.open_session(ada);
        REQUIRE(member.session_ready());
    }
    SwarmBench bench;
    Machine& op = bench.add_operator();
    Machine& ada = bench.add_member(op);
    Hostile member{bench};
};

base::Bytes signed_list(membership::MemberList const& list, identity::Identity const& signer) {
    auto body = membership::encode_list_body(list);
    auto const signature = signer.sign_operational(membership::list_statement(body));
    return membership::append_list_signature(std::move(body), signature);
}

}  // namespace

TEST_CASE("P2: no token, garbage, an expired, a spent and a revoked token admit nobody") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& stranger = bench.add_machine();
    CHECK_FALSE(bench.join(stranger, "").has_value());
    CHECK_FALSE(bench.join(stranger, "kith1garbage").has_value());

    auto const spent = bench.invite(op);
    auto& member = bench.add_machine();
    REQUIRE(bench.join(member, spent).has_value());
    auto const after_spent = bench.join(stranger, spent);
    CHECK(base::code_of(after_spent) == base::Code::conflict);

    auto const revoked = bench.invite(op);
    auto const lookup =
        membership::derive_token_keys(membership::parse_token(revoked).value().seed).lookup_id;
    REQUIRE((*op.node->coordinator())->revoke_invite(base::to_hex(lookup)).has_value());
    CHECK(base::code_of(bench.join(stranger, revoked)) == base::Code::conflict);

    auto const expired = bench.invite(op, {.lifetime_s = 60});
    bench.run_for(61s);
    CHECK(base::code_of(bench.join(stranger, expired)) == base::Code::timeout);
    // The joiner's own clock does not decide: asked for all the same, the coordinator refuses.
    Hostile liar(bench);
    CHECK_FALSE(granted(liar.request_join(op, honest_request(expired, liar.identity))));
    CHECK(members_count(op) == 2);
    CHECK(stranger.node->swarm() == nullptr);
}

TEST_CASE("P2: who knows an invite's public parts, but not the token, is not admitted") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto const token = bench.invite(op);
    Hostile thief(bench);
    // The lookup id is in every member list; the binding is the thief's own. Only the signature of
    // the invite key cannot be made without the token.
    auto request = honest_request(token, thief.identity);
    auto const forged = thief.identity.sign_operational(base::as_bytes("kith/join/v1"));
    request.set_statement_signature(base::to_text(forged));
    auto const reply = thief.request_join(op, request);
    REQUIRE(reply.has_value());
    CHECK_FALSE(granted(reply));
    CHECK(members_count(op) == 1);
}

TEST_CASE("P2: a token of another swarm admits nobody here") {
    SwarmBench bench;
    auto& ours = bench.add_operator();
    auto& theirs = bench.add_operator();
    Hostile visitor(bench);
    auto const reply =
        visitor.request_join(ours, honest_request(bench.invite(theirs), visitor.identity));
    CHECK_FALSE(granted(reply));
    CHECK(members_count(ours) == 1);
}

TEST_CASE("P2: a stranger who completes Noise gets no stream, no list and no model name") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    bench.add_model(op);
    auto& member = bench.add_member(op);
    Hostile stranger(bench);
    for (auto* machine : {&op, &member}) {
        auto const& visit =
            stranger.visit(*machine, std::string(node::protocol_peer), base::Bytes(100, 0x02));
        CHECK(visit.connected);  // Noise itself is open to anybody
        CHECK(visit.reset);
        CHECK_FALSE(contains(visit.received, base::as_bytes("tiny")));
        CHECK_FALSE(contains(visit.received, base::as_bytes(op.ask->models().at(0).id)));
        CHECK_FALSE(contains(visit.received, op.node->swarm()->id));
        CHECK_FALSE(contains(visit.received, member.identity.node_id().bytes));
    }
    auto const& join = stranger.visit(member, std::string(node::protocol_join));
    CHECK_FALSE(join.agreed);  // a member that is no coordinator does not even take requests
    bench.run_for(node::stranger_stays + 1s);
    CHECK(join.down);
}

TEST_CASE("P2: a link asks to join eight times, and refusals are written down ever more rarely") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    Hostile stranger(bench);
    base::Bytes garbage;
    wire::append_frame(garbage, base::as_bytes("no request"));
    auto const& first = stranger.visit(op, std::string(node::protocol_join), garbage);
    for (std::size_t asked = 1; asked < node::join_requests_max; ++asked)
        CHECK_FALSE(
            stranger.again(first, std::string(node::protocol_join), garbage).received.empty());
    auto const& late = stranger.again(first, std::string(node::protocol_join), garbage);
    CHECK(late.received.empty());
    CHECK(late.reset);
    auto const lines = std::ranges::count_if(
        op.log, [](auto const& line) { return line.starts_with("a join was refused"); });
    CHECK(lines == 4);  // the 1st, 2nd, 4th and 8th
    CHECK_FALSE(first.down);
}

TEST_CASE("P4: a member of one swarm gets nothing from a node of another") {
    SwarmBench bench;
    auto& ours = bench.add_operator();
    auto& theirs = bench.add_operator();
    Hostile member(bench);
    member.join(theirs, bench.invite(theirs));
    member.open_session(theirs);
    REQUIRE(member.session_ready());
    auto const& visit =
        member.visit(ours, std::string(node::protocol_peer), base::Bytes(100, 0x02));
    CHECK(visit.reset);
    CHECK(ours.recorder.controls.empty());
}

TEST_CASE(
    "P4: an invite that the same operator made for another swarm proves nothing in this one") {
    SeededRng rng(4);
    base::UnixTime constexpr now{1'800'000'000};
    auto const op = new_identity(rng, now);
    auto const joiner = new_identity(rng, now);
    membership::SwarmId const ours{{1}};
    membership::SwarmId const theirs{{2}};
    auto const keys = membership::derive_token_keys(filled(3));
    membership::Entry entry{.binding = identity::encode(joiner.binding()),
                            .certificate = certificate(op, theirs, keys),
                            .joined = now};
    entry.statement_signature =
        keys.invite_key.sign(membership::join_statement(ours, keys.lookup_id, joiner.root_id()));
    membership::MemberList list{.swarm_id = ours,
                                .version = 1,
                                .issued = now,
                                .operator_binding = identity::encode(op.binding()),
                                .entries = {entry}};
    membership::ListChecker checker(
        {.swarm_id = ours, .operator_root = op.root_id(), .coordinator_key = op.node_id()});
    CHECK_FALSE(checker.check(signed_list(list, op), now).has_value());
    list.entries[0].certificate = certificate(op, ours, keys);
    CHECK(checker.check(signed_list(list, op), now).has_value());
}

TEST_CASE(
    "P5: when the coordinator is unreachable for 29 s, members serve nobody, old friends "
    "included") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto& bo = bench.add_member(op);
    REQUIRE(bench.run_until([&] { return ada.node->is_ready(bo.identity.node_id()); }, 60s));
    bench.network.unplug(op.address);
    bench.run_for(30s);
    CHECK_FALSE(ada.node->is_ready(bo.identity.node_id()));
    CHECK_FALSE(bo.node->is_ready(ada.identity.node_id()));
    bench.run_for(60s);  // and nobody comes back by dialling again
    CHECK_FALSE(ada.node->is_ready(bo.identity.node_id()));
}

TEST_CASE("P5: a member on the list gets no stream from a node whose list is too old") {
    Infiltrated swarm;
    auto& [bench, op, ada, member] = swarm;
    bench.network.unplug(op.address);
    bench.run_for(30s);
    CHECK_FALSE(member.session_ready());
    // In the same breath as the link comes up, before ada has looked at who it is.
    auto const& visit = member.visit(ada, std::string(node::protocol_peer), base::Bytes(100, 0x02));
    CHECK(visit.connected);
    CHECK(visit.reset);
}

namespace {

// Kinds of control message have the field numbers 1, 2, 3, ...; an empty one of each parses.
int control_kinds_count() {
    for (int field = 1;; ++field) {
        base::Bytes empty;
        wire::append_varint(empty, static_cast<std::uint64_t>(field) << 3U | 2U);
        empty.push_back(0);
        wire::v1::Control control;
        REQUIRE(control.ParseFromString(base::to_text(empty)));
        if (control.body_case() == wire::v1::Control::BODY_NOT_SET) return field - 1;
    }
}

}  // namespace

TEST_CASE("P5: a session does not outlive the lease, not even for one message of any type") {
    Infiltrated swarm;
    auto& [bench, op, ada, member] = swarm;
    auto const controls_before = ada.recorder.controls.size();
    bench.skip(30s);  // the lease is over and no timer has run yet, so the session still stands
    REQUIRE(member.session_ready());
    auto const self = base::to_text(member.identity.node_id().bytes);
    std::vector<wire::v1::Control> messages(17);
    messages[0].mutable_shard_announce()->set_node_id(self);
    messages[1].mutable_manifest_request()->set_model("tiny");
    messages[2].mutable_manifest_reply()->set_model("tiny");
    messages[3].mutable_chunk_request()->set_size(1);
    messages[4].mutable_chunk_reply()->set_data("x");
    messages[5].mutable_stage_close()->set_request_id(std::string(16, 'r'));
    messages[6].mutable_stage_failed()->set_request_id(std::string(16, 'r'));
    messages[7].mutable_health_ping()->set_node_id(self);
    messages[8].mutable_health_pong()->set_node_id(self);
    messages[9].mutable_list_request()->set_nonce(std::string(16, 'n'));
    messages[10].mutable_list_reply()->set_push(true);
    messages[11].mutable_nickname_gossip()->set_node_id(self);
    messages[12].mutable_binding_update()->set_binding("x");
    messages[13].mutable_epoch_secret();
    messages[14].mutable_identity_twin();
    messages[15].mutable_credit_transaction()->set_from(self);
    messages[16].mutable_credit_gossip()->set_node_id(self);
    std::set<int> kinds;
    for (auto const& message : messages) kinds.insert(message.body_case());
    REQUIRE(std::cmp_equal(kinds.size(), control_kinds_count()));
    auto const heard_before = member.controls.size();
    for (auto const& message : messages) {
        member.send(message);
        CHECK(member.session_ready());  // or what follows would prove nothing
    }
    CHECK(ada.recorder.controls.size() == controls_before);
    CHECK(member.controls.size() == heard_before);
    member.send(
        forward_to(member.identity.node_id(), ada.identity.node_id(), std::string(64, 'a'), 0, 1),
        base::Bytes(64 * 4));
    CHECK(ada.recorder.activations.empty());
}

TEST_CASE("P5: a removed member with an open session is cut off when the revocation arrives") {
    Infiltrated swarm;
    auto& [bench, op, ada, member] = swarm;

    auto const& known = ada.node->registry()->list()->document();
    auto list = known;
    list.version = known.version + 1;
    auto const now = bench.clock.unix_now();
    auto const body = membership::revocation_body(list.swarm_id, member.identity.root_id(), now);
    list.revocations.push_back(
        {.root_id = member.identity.root_id(),
         .time = now,
         .signature = base::to_bytes(
             op.identity.sign_root(identity::context::revocation, body, filled(1)).value())});
    wire::v1::Control push;
    push.mutable_list_reply()->set_push(true);
    push.mutable_list_reply()->set_member_list(base::to_text(signed_list(list, op.identity)));
    REQUIRE(op.node->send(ada.identity.node_id(), push).has_value());
    bench.settle();
    CHECK_FALSE(member.session_ready());
    CHECK(std::ranges::find(ada.recorder.lost, member.identity.node_id()) !=
          ada.recorder.lost.end());
    member.open_session(ada);
    CHECK_FALSE(member.session_ready());
}

TEST_CASE("P16: an impossible number of uses or lifetime is refused") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto* coordinator = op.node->coordinator().value();
    for (std::uint32_t const uses : {0U, 10'001U, 0xffff'ffffU}) {
        auto const issued = coordinator->create_invite({.uses_max = uses}, *op.node->swarm(),
                                                       {op.multiaddr()}, bench.clock.unix_now());
        CHECK(base::code_of(issued) == base::Code::invalid);
    }
    for (std::int64_t const lifetime_s : {-1L, node::invite_lifetime_max_s + 1}) {
        auto const issued =
            coordinator->create_invite({.lifetime_s = lifetime_s}, *op.node->swarm(),
                                       {op.multiaddr()}, bench.clock.unix_now());
        CHECK(base::code_of(issued) == base::Code::invalid);
    }
}

TEST_CASE(
    "P16: of a hundred machines that redeem one invite for one, exactly one becomes a member") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto const token = bench.invite(op);
    std::size_t grants = 0;
    for (std::uint64_t i = 0; i < 100; ++i) {
        Hostile joiner(bench, 500 + i);
        if (granted(joiner.request_join(op, honest_request(token, joiner.identity)))) ++grants;
        bench.run_for(1s);
    }
    CHECK(grants == 1);
    CHECK(members_count(op) == 2);
}

namespace {

// A swarm of `op`, the token of an invite, and the grant that an honest coordinator would give.
struct JoinScene {
    SeededRng rng{25};
    base::UnixTime now{1'800'000'000};
    identity::Identity op = new_identity(rng, now);
    identity::Identity other = new_identity(rng, now);
    membership::SwarmId swarm{{5}};
    membership::TokenKeys keys = membership::derive_token_keys(filled(3));

    membership::Token token(identity::PeerId const& coordinator) {
        return {.swarm_id = swarm,
                .operator_root = op.root_id(),
                .coordinator = coordinator,
                .addresses = {"/ip4/10.0.0.1/tcp/8810"},
                .expires = {},
                .seed = filled(3)};
    }
    base::Bytes list(identity::Identity const& head, identity::Identity const& coordinator) {
        return signed_list({.swarm_id = swarm,
                            .version = 1,
                            .issued = now,
                            .operator_binding = identity::encode(head.binding()),
                            .entries = {},
                            .revocations = {}},
                           coordinator);
    }
    base::Bytes reply(base::Bytes const& invite, base::Bytes const& list) {
        wire::v1::JoinReply message;
        auto* grant = message.mutable_grant();
        grant->set_swarm_name("kin");
        grant->set_certificate(base::to_text(invite));
        grant->set_member_list(base::to_text(list));
        grant->set_wrapped_secret(
            base::to_text(membership::wrap_secret(keys.wrap_key, swarm, filled(7), {}).value()));
        base::Bytes framed;
        wire::append_frame(framed, base::as_bytes(message.SerializeAsString()));
        return framed;
    }
    bool joins(identity::PeerId const& coordinator, base::Bytes const& framed) {
        node::Joiner joiner(token(coordinator), base::Instant{});
        auto const outcome = joiner.feed(framed, other, now);
        return outcome.has_value() && outcome->has_value();
    }
};

}  // namespace

TEST_CASE("P25: a coordinator that puts its own operator in place of the token's is refused") {
    JoinScene scene;
    auto const certified_by_other = certificate(scene.other, scene.swarm, scene.keys);
    auto const coordinator = scene.other.peer_id();
    CHECK_FALSE(scene.joins(coordinator,
                            scene.reply(certified_by_other, scene.list(scene.other, scene.other))));
    auto const honest = certificate(scene.op, scene.swarm, scene.keys);
    CHECK(scene.joins(coordinator, scene.reply(honest, scene.list(scene.op, scene.other))));
}

TEST_CASE("P25: a coordinator that answers with another invite's certificate is refused") {
    JoinScene scene;
    auto const another = membership::derive_token_keys(filled(4));
    auto const list = scene.list(scene.op, scene.op);
    CHECK_FALSE(scene.joins(scene.op.peer_id(),
                            scene.reply(certificate(scene.op, scene.swarm, another), list)));
    CHECK(scene.joins(scene.op.peer_id(),
                      scene.reply(certificate(scene.op, scene.swarm, scene.keys), list)));
}

TEST_CASE("P25: a machine that took over the coordinator's address is not spoken to") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& impostor = bench.add_operator();
    auto const token = bench.invite(op);
    bench.network.detach(op.address, bench.clock.now());
    bench.network.attach(op.address, *impostor.node,
                         [&] { impostor.node->pump(bench.clock.now()); });
    auto& joiner = bench.add_machine();
    auto const joined = bench.join(joiner, token);
    CHECK_FALSE(joined.has_value());
    CHECK(joiner.node->swarm() == nullptr);
    for (auto const& line : impostor.log)  // it was not even asked
        CHECK(line.find("join") == std::string::npos);
}

TEST_CASE("E4: a binding of another machine does not join through this one's link") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    Hostile sender(bench, 7);
    SeededRng rng(8);
    auto const victim = new_identity(rng, bench.clock.unix_now());
    auto const reply = sender.request_join(op, honest_request(bench.invite(op), victim));
    REQUIRE(reply.has_value());
    CHECK_FALSE(granted(reply));
    CHECK(members_count(op) == 1);
}

TEST_CASE("E5: a binding that was altered, or that has expired, does not join") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    Hostile altered(bench, 7);
    auto const token = bench.invite(op);
    auto request = honest_request(token, altered.identity);
    auto binding = request.binding();
    binding[40] = static_cast<char>(binding[40] ^ 1);  // in the counter
    request.set_binding(binding);
    auto const keys = membership::derive_token_keys(membership::parse_token(token).value().seed);
    request.set_statement_signature(base::to_text(keys.invite_key.sign(membership::join_statement(
        op.node->swarm()->id, keys.lookup_id, altered.identity.root_id()))));
    CHECK_FALSE(granted(altered.request_join(op, request)));

    SeededRng rng(9);
    auto const long_ago = base::UnixTime{base::seconds(bench.clock.unix_now()) - 40 * 86'400};
    Hostile expired(bench, new_identity(rng, long_ago), 9);
    CHECK_FALSE(
        granted(expired.request_join(op, honest_request(bench.invite(op), expired.identity))));
    CHECK(members_count(op) == 1);
}
