// node/node_gossip.cpp: how Node uses sealed gossip (Tier 3): nicknames and what features announce
// reach members it has no link to.
#include "node/node.h"

namespace kith::node {

using base::Code;

// Without randomness nothing is said by gossip; that must not stop a swarm from being founded, or
// keys from being exchanged, halfway.
void Node::begin_gossip(base::Instant now) {
    gossip_.reset();
    if (edges_.services.gossip == Use::no) return;
    auto begun = SwarmGossip::create(
        {.host = *host_, .identity = edges_.identity, .rng = edges_.rng, .clock = edges_.clock},
        swarm_->id, swarm_->secret, now);
    if (!begun) return edges_.log("no gossip: " + begun.error().message);
    gossip_ = std::move(*begun);
    tell_gossip_members(now);
}

void Node::renew_gossip_secret(base::Instant now) {
    if (!gossip_) return;
    if (auto const renewed = gossip_->set_secret(swarm_->secret, now); !renewed)
        edges_.log("nothing is said by gossip until the next start: " + renewed.error().message);
}

void Node::tell_gossip_members(base::Instant now) {
    if (!gossip_ || registry_->list() == nullptr) return;
    std::vector<identity::NodeId> members;
    for (auto const& member : registry_->list()->members()) members.push_back(member.node_id());
    gossip_->set_members(members, now);
    gossip_nickname(now);
}

void Node::admit_to_gossip(ports::ConnectionId id, LinkState const& link, base::Instant now) {
    if (!gossip_) return;
    gossip_->admit(
        id,
        {.peer = link.peer, .remote = link.remote, .direction = link.direction, .path = link.path},
        now);
}

void Node::broadcast(wire::v1::Control const& control, base::Instant now) {
    if (!gossip_) return;
    gossip_->say(static_cast<std::size_t>(control.body_case()),
                 base::to_bytes(base::as_bytes(control.SerializeAsString())), now);
}

void Node::gossip_nickname(base::Instant now) {
    auto const* own = nicknames_.find(edges_.identity.node_id());
    if (own == nullptr) return;
    wire::v1::Control control;
    auto* gossip = control.mutable_nickname_gossip();
    gossip->set_node_id(base::to_text(edges_.identity.node_id().bytes));
    gossip->set_record(base::to_text(own->encoded()));
    broadcast(control, now);
}

SwarmGossip::Counts Node::gossip_counts() const {
    return gossip_ ? gossip_->counts() : SwarmGossip::Counts{};
}

// What was said is signed by its origin, so it is his, whoever passed it on; from here on it goes
// the way of everything that members say.
void Node::hear_gossip(base::Instant now) {
    while (gossip_) {
        auto event = gossip_->poll_event();
        if (!event) return;
        if (auto const* fault = std::get_if<GossipFault>(&*event)) {
            // The link stays: sessions over it are another matter.
            note_dropped(fault->peer.node_id(), fault->reason.message);
        } else if (auto const* refused = std::get_if<GossipRefused>(&*event)) {
            on_gossip_refused(*refused, now);
        } else {
            auto const& said = std::get<proto::sealed_gossip::VerifiedGossip>(*event);
            auto heard = Dispatcher::admit(said);
            if (heard) {
                on_inbound(std::move(*heard), now);
                continue;
            }
            bool const is_slander = heard.error().code == Code::unauthorized;
            reputation_->charge(
                is_slander ? trust::Fault::wrong_sender : trust::Fault::nonsense_content,
                said.origin(), said.origin(), now);
            note_dropped(said.origin(), heard.error().message);
        }
    }
}

void Node::on_gossip_refused(GossipRefused const& refused, base::Instant now) {
    auto const& judgement = refused.judgement;
    if (judgement.to_blame) {
        reputation_->charge(trust::Fault::nonsense_content, refused.relay, judgement.to_blame, now);
        note_dropped(*judgement.to_blame, refused.error.message);
    } else if (judgement.verdict == proto::gossip::Verdict::reject) {
        reputation_->charge(trust::Fault::bad_signature, refused.relay, {}, now);
        note_dropped(refused.relay, refused.error.message);
    }
}

}  // namespace kith::node
