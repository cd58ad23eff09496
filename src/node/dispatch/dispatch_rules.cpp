#include "node/dispatch/dispatch_rules.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::node {
namespace {

using wire::v1::Control;

constexpr std::array rules{
    DispatchRule{MessageKind::list_request, "ListRequest", Says::for_itself, ""},
    DispatchRule{MessageKind::list_reply, "ListReply", Says::for_itself, ""},
    DispatchRule{MessageKind::shard_announce, "ShardAnnounce", Says::as_sender, "S17",
                 Carried::by_gossip_too},
    DispatchRule{MessageKind::manifest_request, "ManifestRequest", Says::for_itself, ""},
    DispatchRule{MessageKind::manifest_reply, "ManifestReply", Says::for_itself, ""},
    DispatchRule{MessageKind::chunk_request, "ChunkRequest", Says::for_itself, ""},
    DispatchRule{MessageKind::chunk_reply, "ChunkReply", Says::for_itself, ""},
    DispatchRule{MessageKind::stage_close, "StageClose", Says::for_itself, ""},
    DispatchRule{MessageKind::stage_failed, "StageFailed", Says::in_route, "S72"},
    DispatchRule{MessageKind::health_ping, "HealthPing", Says::as_sender, "S20"},
    DispatchRule{MessageKind::health_pong, "HealthPong", Says::as_sender, "S20"},
    DispatchRule{MessageKind::nickname_gossip, "NicknameGossip", Says::as_sender, "S19",
                 Carried::by_gossip_too},
    DispatchRule{MessageKind::binding_update, "BindingUpdate", Says::for_itself, ""},
    DispatchRule{MessageKind::epoch_secret, "EpochSecret", Says::for_itself, ""},
    DispatchRule{MessageKind::identity_twin, "IdentityTwin", Says::for_itself, ""},
    DispatchRule{MessageKind::credit_transaction, "CreditTransaction", Says::as_party, "S18"},
    DispatchRule{MessageKind::credit_gossip, "CreditGossip", Says::as_sender, "S19",
                 Carried::by_gossip_too},
    DispatchRule{MessageKind::stage_forward, "StageForward", Says::in_route, "S72"},
    DispatchRule{MessageKind::stage_result, "StageResult", Says::for_itself, ""},
    DispatchRule{MessageKind::key_exchange, "EphemeralKeyExchange", Says::as_sender, "S21"},
};

// Which kind a message is, and the field that names its sender, if it has one.
struct Claimed {
    MessageKind kind;
    std::string_view node;
    std::string_view other = {};  // of a message between two
};
std::optional<Claimed> claimed_by(Control const& control) {
    switch (control.body_case()) {
        case Control::kListRequest:
            return Claimed{MessageKind::list_request, {}};
        case Control::kListReply:
            return Claimed{MessageKind::list_reply, {}};
        case Control::kShardAnnounce:
            return Claimed{MessageKind::shard_announce, control.shard_announce().node_id()};
        case Control::kManifestRequest:
            return Claimed{MessageKind::manifest_request, {}};
        case Control::kManifestReply:
            return Claimed{MessageKind::manifest_reply, {}};
        case Control::kChunkRequest:
            return Claimed{MessageKind::chunk_request, {}};
        case Control::kChunkReply:
            return Claimed{MessageKind::chunk_reply, {}};
        case Control::kStageClose:
            return Claimed{MessageKind::stage_close, {}};
        case Control::kStageFailed:
            return Claimed{MessageKind::stage_failed, {}};
        case Control::kBindingUpdate:  // the binding in it is proved, not claimed
            return Claimed{MessageKind::binding_update, {}};
        case Control::kEpochSecret:
            return Claimed{MessageKind::epoch_secret, {}};
        case Control::kIdentityTwin:
            return Claimed{MessageKind::identity_twin, {}};
        case Control::kHealthPing:
            return Claimed{MessageKind::health_ping, control.health_ping().node_id()};
        case Control::kHealthPong:
            return Claimed{MessageKind::health_pong, control.health_pong().node_id()};
        case Control::kNicknameGossip:
            return Claimed{MessageKind::nickname_gossip, control.nickname_gossip().node_id()};
        case Control::kCreditTransaction:
            return Claimed{MessageKind::credit_transaction, control.credit_transaction().from(),
                           control.credit_transaction().to()};
        case Control::kCreditGossip:
            return Claimed{MessageKind::credit_gossip, control.credit_gossip().node_id()};
        case Control::BODY_NOT_SET:
            return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace

std::span<DispatchRule const> dispatch_rules() {
    return rules;
}

DispatchRule const& rule_of(MessageKind kind) {
    auto const* const rule = std::ranges::find(rules, kind, &DispatchRule::kind);
    KITH_ASSERT(rule != rules.end());
    return *rule;
}

bool may_say(MessageKind kind, identity::NodeId const& sender, std::string_view claimed,
             std::string_view other) {
    auto const is_sender = [&](std::string_view node) {
        return base::equal(base::as_bytes(node), sender.bytes);
    };
    switch (rule_of(kind).says) {
        case Says::for_itself:
        case Says::in_route:
            return true;
        case Says::as_sender:
            return KITH_GUARD("S16.claimed_sender", is_sender(claimed));
        case Says::as_party:
            return KITH_GUARD("S18.party", is_sender(claimed) || is_sender(other));
    }
    return false;
}

bool may_say(identity::NodeId const& sender, Control const& control) {
    auto const claimed = claimed_by(control);
    return !claimed || may_say(claimed->kind, sender, claimed->node, claimed->other);
}

bool may_be_gossip(Control const& control) {
    auto const claimed = claimed_by(control);
    bool const carried = claimed && rule_of(claimed->kind).carried == Carried::by_gossip_too;
    return KITH_GUARD("S16.gossip_kind", carried);
}

}  // namespace kith::node
