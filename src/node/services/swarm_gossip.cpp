#include "node/services/swarm_gossip.h"

#include <algorithm>

#include "base/check.h"
#include "base/sabotage.h"

namespace kith::node {

using base::Instant;
using identity::NodeId;
namespace gossip = proto::gossip;
namespace sealed_gossip = proto::sealed_gossip;

namespace {

// Who may gossip is known by name, so what GossipSub does against crowds of strangers on one
// address would only hurt members behind one router or one relay.
gossip::Options options_of(std::uint64_t seed) {
    gossip::Options options;
    options.policy = gossip::SignaturePolicy::strict_no_sign;  // the envelope has the signature
    options.seed = seed;
    options.score.p6_weight = 0;
    return options;
}

}  // namespace

SwarmGossip::SwarmGossip(Edges edges, sealed_gossip::SwarmId const& swarm,
                         crypto::Secret<32> const& secret, gossip::Options options, Instant now)
    : edges_(edges),
      swarm_(swarm),
      service_(edges.host, std::move(options), now),
      opener_(std::in_place, swarm, secret) {}

base::Result<std::unique_ptr<SwarmGossip>> SwarmGossip::create(Edges edges,
                                                               sealed_gossip::SwarmId const& swarm,
                                                               crypto::Secret<32> const& secret,
                                                               Instant now) {
    base::ByteArray<8> seed;
    KITH_TRY(edges.rng.fill(seed));
    std::unique_ptr<SwarmGossip> made(
        new SwarmGossip(edges, swarm, secret, options_of(base::load_be<std::uint64_t>(seed)), now));
    KITH_TRY(made->set_secret(secret, now));
    KITH_TRY(made->service_.subscribe(std::string(swarm_topic), now));
    return made;
}

base::Status SwarmGossip::set_secret(crypto::Secret<32> const& secret, Instant now) {
    sealer_.reset();
    opener_.emplace(swarm_, secret);
    KITH_TRY(opener_->set_members(members_));  // as many as before
    sealed_gossip::BootNonce boot;
    KITH_TRY(edges_.rng.fill(boot));
    sealer_.emplace(swarm_, secret, edges_.identity, boot);
    say_all_again(now + gossip_settle);
    return {};
}

void SwarmGossip::set_members(std::span<NodeId const> members, Instant now) {
    members_.assign(members.begin(), members.end());
    if (members_.size() > sealed_gossip::members_max) members_.resize(sealed_gossip::members_max);
    KITH_ASSERT(opener_->set_members(members_).has_value());
    std::erase_if(heard_, [this](auto const& entry) {
        return std::ranges::find(members_, entry.first) == members_.end();
    });
    say_all_again(now + gossip_settle);
}

// ---- saying ----

void SwarmGossip::say(std::size_t kind, base::Bytes content, Instant now) {
    auto const [saying, is_new] = sayings_.try_emplace(kind, Saying{.content = {}, .due = now});
    KITH_ASSERT(sayings_.size() <= gossip_kinds_max);
    if (saying->second.content == content) return;
    saying->second = {.content = std::move(content), .due = now};
    say_due(now);
}

void SwarmGossip::say_all_again(Instant when) {
    for (auto& [kind, saying] : sayings_) saying.due = std::min(saying.due, when);
}

void SwarmGossip::say_due(Instant now) {
    for (auto& [kind, saying] : sayings_) {
        if (now < saying.due) continue;
        saying.due = now + gossip_repeat;
        if (!sealer_) continue;
        auto const envelope =
            sealer_->seal_signed(swarm_topic, saying.content, edges_.clock.unix_now());
        // Too large: only members with a session hear of it, over that.
        if (envelope && service_.publish(std::string(swarm_topic), *envelope, now)) ++counts_.said;
    }
    drain(now);
}

// ---- hearing ----

void SwarmGossip::admit(ports::ConnectionId connection, PeerConnected const& peer, Instant now) {
    service_.admit(connection, peer, now);
    drain(now);
}

Handled SwarmGossip::on_event(HostEvent const& event, Instant now) {
    auto const handled = service_.on_event(event, now);
    drain(now);
    return handled;
}

void SwarmGossip::on_deadline(Instant now) {
    if (now >= service_.deadline()) service_.on_deadline(now);
    say_due(now);
}

Instant SwarmGossip::deadline() const {
    auto earliest = service_.deadline();
    for (auto const& [kind, saying] : sayings_) earliest = std::min(earliest, saying.due);
    return earliest;
}

void SwarmGossip::drain(Instant now) {
    while (auto event = service_.poll_event()) {
        if (auto const* message = std::get_if<gossip::Deliver>(&*event))
            hear(*message, now);
        else
            events_.emplace_back(std::move(std::get<GossipFault>(*event)));
    }
}

void SwarmGossip::hear(gossip::Deliver const& message, Instant now) {
    auto opened = opener_->open(message.topic, message.data, edges_.clock.unix_now());
    if (!opened) {
        ++counts_.refused;
        auto const judgement = judge(opened.error());
        service_.validated(message.handle, judgement.verdict, now);
        events_.emplace_back(GossipRefused{.judgement = judgement,
                                           .relay = message.relay.node_id(),
                                           .error = opened.error().error});
        return;
    }
    if (opened->origin() == edges_.identity.node_id() || !has_room(opened->origin(), now))
        return service_.validated(message.handle, gossip::Verdict::ignore, now);
    ++counts_.heard;
    service_.validated(message.handle, gossip::Verdict::accept, now);
    events_.emplace_back(std::move(*opened));
}

bool SwarmGossip::has_room(NodeId const& origin, Instant now) {
    auto& heard = heard_[origin];
    if (now >= heard.since + std::chrono::minutes(1)) heard = {.since = now, .count = 0};
    return ++heard.count <= gossip_per_origin_max;
}

std::optional<SwarmGossipEvent> SwarmGossip::poll_event() {
    if (events_.empty()) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
}

SwarmGossip::Counts SwarmGossip::counts() const {
    auto counts = counts_;
    counts.neighbours = service_.router().subscribers_count(std::string(swarm_topic));
    return counts;
}

}  // namespace kith::node
