// node/dispatch/dispatch_rules.h: who may say what for whom: the one table of it (S16-S22).
//
// Every kind of message between members has one row. A message that claims to be of a node must
// come from that node; one that names nobody is the sender's own. A row is all that a new message
// needs: what breaks it is dropped, counted, logged now and then, and charged to the proved sender
// (node_events.cpp), and no handler hears of it.
#pragma once

#include <span>
#include <string_view>

#include "identity/node_id.h"
#include "schema/wire.pb.h"

namespace kith::node {

enum class Says {
    for_itself,  // names no node
    as_sender,   // names a node, which must be the proved sender
    as_party,    // names two nodes; the proved sender must be one of them
    in_route,    // names other nodes too: its handler compares them with the route (S72)
};

enum class Carried {
    by_session,     // a Tier 1 session with its sender
    by_gossip_too,  // also sealed gossip (Tier 3), signed by its sender
};

enum class MessageKind {
    // control lane
    list_request,
    list_reply,
    shard_announce,
    manifest_request,
    manifest_reply,
    chunk_request,
    chunk_reply,
    stage_close,
    stage_failed,
    health_ping,
    health_pong,
    nickname_gossip,
    binding_update,
    epoch_secret,
    identity_twin,
    credit_transaction,
    credit_gossip,
    // tensor lane
    stage_forward,
    stage_result,
    // before there is a lane
    key_exchange,
};

struct DispatchRule {
    MessageKind kind;
    std::string_view name;
    Says says;
    std::string_view claim;  // of the requirement that the row keeps; empty: none of its own
    Carried carried = Carried::by_session;
};
std::span<DispatchRule const> dispatch_rules();
DispatchRule const& rule_of(MessageKind kind);

// True: `sender`, which the link has proved, may say a message of this kind that claims to be of
// `claimed`, or to be between it and `other` (the bytes of their fields; ignored for kinds that
// name nobody).
bool may_say(MessageKind kind, identity::NodeId const& sender, std::string_view claimed,
             std::string_view other = {});
bool may_say(identity::NodeId const& sender, wire::v1::Control const& control);
// False also for a message of no known kind.
bool may_be_gossip(wire::v1::Control const& control);

}  // namespace kith::node
