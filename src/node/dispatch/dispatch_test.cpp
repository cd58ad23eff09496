#include "node/dispatch/dispatch.h"

#include <doctest/doctest.h>

#include "base/code_of.h"
#include "crypto/secret.h"
#include "node/dispatch/dispatch_rules.h"

using namespace kith;
using namespace kith::node;
using base::Bytes;
using base::Code;
using proto::session::Lane;

namespace {

crypto::Secret<32> secret(std::uint8_t value) {
    base::ByteArray<32> bytes;
    bytes.fill(value);
    return crypto::Secret<32>(bytes);
}

// Sealed and opened by a real session: nothing else makes an Opened.
struct Session {
    Session() {
        REQUIRE(us.install(1, {.send = secret(1), .receive = secret(2), .handshake_hash = {}},
                           proto::session::Side::responder, {}));
        REQUIRE(them.install(1, {.send = secret(2), .receive = secret(1), .handshake_hash = {}},
                             proto::session::Side::initiator, {}));
    }
    base::Result<Inbound> admit(Lane lane, base::ByteView plaintext, Rank rank = Rank::member) {
        Bytes frame;
        REQUIRE(them.seal(lane, plaintext, frame));
        auto const opened = us.open(frame, {});
        REQUIRE(opened.has_value());
        return Dispatcher::admit({}, rank, *opened);
    }
    base::Result<Inbound> say(wire::v1::Control const& control, Rank rank = Rank::member) {
        return admit(Lane::control, base::as_bytes(control.SerializeAsString()), rank);
    }
    base::Result<Inbound> say(wire::v1::StageMessage const& message) {
        return admit(Lane::tensor, encode_activation(message, {}));
    }
    proto::session::Keyring us, them;
};

wire::v1::Control manifest_of(std::size_t size) {
    wire::v1::Control control;
    control.mutable_manifest_reply()->set_manifest(std::string(size, 'm'));
    auto const rest = control.ByteSizeLong() - size;
    control.mutable_manifest_reply()->set_manifest(std::string(size - rest, 'm'));
    return control;
}

}  // namespace

TEST_CASE("a member's control message fits the largest manifest, the coordinator's a whole list") {
    Session session;
    CHECK(session.say(manifest_of(control_bytes_of_member_max)).has_value());
    CHECK(base::code_of(session.say(manifest_of(control_bytes_of_member_max + 1))) ==
          Code::too_large);
    CHECK(session.say(manifest_of(control_bytes_max), Rank::coordinator).has_value());
    CHECK(base::code_of(session.say(manifest_of(control_bytes_max + 1), Rank::coordinator)) ==
          Code::too_large);
}

TEST_CASE("addresses and holdings are counted before they are built: at the limit, and one past") {
    Session session;
    wire::v1::Control request, reply, announce, deep;
    for (std::size_t i = 0; i < own_addresses_max; ++i)
        request.mutable_list_request()->add_addresses();
    for (std::size_t i = 0; i < proto::membership::members_max; ++i)
        reply.mutable_list_reply()->add_addresses();
    announce.mutable_shard_announce()->set_node_id(std::string(32, '\0'));
    for (std::size_t i = 0; i < announced_holdings_max; ++i)
        announce.mutable_shard_announce()->add_models();
    auto* member = deep.mutable_list_reply()->add_addresses();
    for (std::size_t i = 0; i < list_addresses_max; ++i) member->add_addresses();
    for (auto const* message : {&request, &reply, &announce, &deep})
        CHECK(session.say(*message).has_value());

    request.mutable_list_request()->add_addresses();
    reply.mutable_list_reply()->add_addresses();
    announce.mutable_shard_announce()->add_models();
    deep.mutable_list_reply()->add_addresses()->add_addresses();  // added up over all members
    for (auto const* message : {&request, &reply, &announce, &deep})
        for (auto const rank : {Rank::member, Rank::coordinator})
            CHECK(base::code_of(session.say(*message, rank)) == Code::too_large);
}

TEST_CASE("entries are added up over the parts of one message that protobuf would put together") {
    Session session;
    wire::v1::Control part;
    for (std::size_t i = 0; i < proto::membership::members_max; ++i)
        part.mutable_list_reply()->add_addresses();
    auto const once = part.SerializeAsString();
    CHECK(session.admit(Lane::control, base::as_bytes(once)).has_value());
    CHECK(base::code_of(session.admit(Lane::control, base::as_bytes(once + once))) ==
          Code::too_large);
}

TEST_CASE("nine megabytes of empty entries are refused, whoever sent them") {
    Session session;
    std::string const entries = [] {
        std::string text;
        for (std::size_t i = 0; i < 4'500'000; ++i) text += std::string("\x1a\x00", 2);
        return text;
    }();
    // list_reply = 2, its length as a varint of four bytes
    auto const size = entries.size();
    std::string message{'\x12'};
    for (int shift = 0; shift < 28; shift += 7)
        message += static_cast<char>(((size >> shift) & 0x7f) | (shift < 21 ? 0x80 : 0));
    message += entries;
    REQUIRE(message.size() < control_bytes_max);
    CHECK(base::code_of(session.admit(Lane::control, base::as_bytes(message), Rank::coordinator)) ==
          Code::too_large);
}

TEST_CASE("a route has 64 hops and not one more, and its header 64 KiB") {
    Session session;
    wire::v1::StageMessage message;
    for (std::size_t i = 0; i < route_hops_max; ++i) message.mutable_forward()->add_hops();
    CHECK(session.say(message).has_value());
    message.mutable_forward()->add_hops();
    CHECK(base::code_of(session.say(message)) == Code::too_large);

    wire::v1::StageMessage padded;
    padded.mutable_forward()->set_model_id(std::string(stage_header_bytes_max, 'm'));
    auto const rest = padded.ByteSizeLong() - stage_header_bytes_max;
    padded.mutable_forward()->set_model_id(std::string(stage_header_bytes_max - rest, 'm'));
    CHECK(session.say(padded).has_value());
    padded.mutable_forward()->mutable_model_id()->push_back('m');
    CHECK(base::code_of(session.say(padded)) == Code::too_large);
}

TEST_CASE("S18: a transaction is said by one of its parties") {
    identity::NodeId const payer{{1}};
    identity::NodeId const payee{{2}};
    identity::NodeId const other{{3}};
    wire::v1::Control control;
    control.mutable_credit_transaction()->set_from(base::to_text(payer.bytes));
    control.mutable_credit_transaction()->set_to(base::to_text(payee.bytes));
    CHECK(may_say(payer, control));
    CHECK(may_say(payee, control));
    CHECK_FALSE(may_say(other, control));
    CHECK_FALSE(may_say(identity::NodeId{}, control));
    control.mutable_credit_transaction()->clear_from();
    control.mutable_credit_transaction()->set_to(std::string(31, '\2'));
    CHECK_FALSE(may_say(payer, control));
    CHECK_FALSE(may_be_gossip(control));
}

TEST_CASE("S19: a report of a balance is said by its node, also to the whole swarm") {
    identity::NodeId const payer{{1}};
    identity::NodeId const other{{3}};
    wire::v1::Control control;
    control.mutable_credit_gossip()->set_node_id(base::to_text(payer.bytes));
    CHECK(may_say(payer, control));
    CHECK_FALSE(may_say(other, control));
    CHECK(may_be_gossip(control));
}
