#include "node/node.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/sabotage.h"
#include "node/membership/binding_store.h"
#include "trust/admission.h"
#include "wire/multiaddr.h"

namespace kith::node {

using base::Code;
using base::fail;
namespace membership = proto::membership;

base::Result<std::unique_ptr<Node>> Node::create(Edges edges, base::Instant now) {
    std::unique_ptr<Node> node(new Node(std::move(edges)));
    // A stream may be opened in the same breath as the link comes up, before admit() has judged the
    // peer; what is not allowed is then refused in on_stream_opened().
    HostOptions options;
    options.accepted_protocols = member_protocols(node->edges_.services);
    options.accepted_protocols.emplace_back(protocol_join);
    node->host_ =
        KITH_TRY(Host::create(node->edges_.identity, node->edges_.rng, std::move(options)));
    node->pairing_.emplace(KITH_TRY(Pairing::create(node->edges_.trust, node->edges_.store)));
    node->reputation_.emplace(
        KITH_TRY(Reputation::create(node->edges_.store, node->edges_.clock, now)));
    node->make_services();
    auto swarm = KITH_TRY(load_swarm(node->edges_.store, node->edges_.secrets));
    if (swarm) {
        auto list = KITH_TRY(load_list(node->edges_.store));
        KITH_TRY(node->enter(std::move(*swarm), std::move(list), ListFrom::disk, now));
    }
    KITH_TRY(node->load_nicknames());
    node->gossip_nickname(now);
    return node;
}

Node::~Node() = default;

void Node::attach(Feature& feature) {
    features_.push_back(&feature);
}

void Node::set_listen_addresses(std::vector<std::string> addresses) {
    listen_addresses_ = std::move(addresses);
    addresses_changed(edges_.clock.now());
    if (coordinator_) coordinator_->set_addresses(edges_.identity.node_id(), listen_addresses_);
}

// Becomes a member (or the coordinator) of `swarm`, from disk, after create, or after join.
base::Status Node::enter(Swarm swarm, std::optional<base::Bytes> list, ListFrom from,
                         base::Instant now) {
    auto const unix_now = edges_.clock.unix_now();
    swarm_.emplace(std::move(swarm));
    registry_.emplace(swarm_->anchors());
    registry_->remember(KITH_TRY(load_marks(edges_.store)));
    if (list && from == ListFrom::disk)
        KITH_TRY(registry_->restore(std::move(*list), unix_now));
    else if (list)
        KITH_TRY(accept_list(std::move(*list), now));
    if (swarm_->is_coordinator) {
        coordinator_.emplace(KITH_TRY(Coordinator::create(
            {.identity = edges_.identity, .rng = edges_.rng, .store = edges_.store}, *swarm_,
            unix_now)));
        coordinator_->set_addresses(edges_.identity.node_id(), listen_addresses_);
        registry_->grant_own_lease();
        KITH_TRY(accept_list(coordinator_->list(), now));
    }
    begin_gossip(now);
    begin_discovery(now);
    list_changed(now);
    if (auto* peer = peers_.find(swarm_->coordinator.node_id())) {
        peer->addresses = swarm_->coordinator_addresses;
        peer->dial_at = now;  // members look for their coordinator at once
    }
    return {};
}

// --- commands

base::Status Node::create_swarm(std::string const& name, base::Instant now) {
    KITH_TRY(check_swarm_name(name));
    if (swarm_)
        return fail(Code::conflict,
                    "this machine is in the swarm \"" + swarm_->name + "\" already");
    Swarm swarm;
    KITH_TRY(edges_.rng.fill(swarm.id));
    KITH_TRY(edges_.rng.fill(swarm.secret.mutable_view()));
    swarm.name = name;
    swarm.operator_root = edges_.identity.root_id();
    swarm.coordinator = edges_.identity.peer_id();
    swarm.is_coordinator = true;
    KITH_TRY(save_swarm(swarm, edges_.store, edges_.secrets));
    KITH_TRY(enter(std::move(swarm), std::nullopt, ListFrom::disk, now));
    return save_list(edges_.store, coordinator_->list());
}

base::Result<Coordinator*> Node::coordinator() {
    if (!swarm_)
        return fail(Code::conflict,
                    "this machine is in no swarm yet; begin with: kith create NAME");
    if (!coordinator_)
        return fail(Code::forbidden,
                    "only the operator of this swarm can do that; ask the person who invited you");
    return &*coordinator_;
}

void Node::join(std::string_view token, JoinDone done, base::Instant now) {
    auto parsed = membership::parse_token(token);
    if (!parsed) return done(std::unexpected(parsed.error()));
    if (swarm_) {
        bool const same = swarm_->id == parsed->swarm_id;
        return done(
            fail(Code::conflict, same ? "this machine is a member of that swarm already"
                                      : "this machine is in the swarm \"" + swarm_->name +
                                            "\"; use another --config-dir for a second one"));
    }
    if (joiner_) return done(fail(Code::conflict, "another join is under way; wait for it"));
    auto const expires = parsed->expires;
    if (base::seconds(expires) != 0 &&
        base::seconds(edges_.clock.unix_now()) >= base::seconds(expires))
        return done(fail(Code::timeout, "this invite has expired; ask for a new one"));
    joiner_.emplace(std::move(*parsed), now);
    join_done_ = std::move(done);
    dial_coordinator_to_join(now);
}

void Node::dial_coordinator_to_join(base::Instant now) {
    while (auto const address = joiner_->next_address()) {
        auto dialled = host_->dial(*address, joiner_->coordinator(), now);
        if (dialled) return joiner_->dialling(*dialled);
        joiner_->note_error(dialled.error());
    }
    finish_join(std::unexpected(joiner_->last_error()), now);
}

void Node::finish_join(base::Result<JoinOutcome> outcome, base::Instant now) {
    auto const connection = joiner_->connection();
    joiner_.reset();
    auto done = std::exchange(join_done_, nullptr);
    if (connection) host_->disconnect(*connection, {Code::cancelled, "the join is over"});
    auto const entered = [&]() -> base::Result<JoinedSwarm> {
        if (!outcome) return std::unexpected(outcome.error());
        KITH_TRY(save_list(edges_.store, outcome->list));
        KITH_TRY(save_swarm(outcome->swarm, edges_.store, edges_.secrets));
        KITH_TRY(
            enter(std::move(outcome->swarm), std::move(outcome->list), ListFrom::coordinator, now));
        auto const& members = registry_->list()->members();
        return JoinedSwarm{.id = swarm_->id,
                           .name = swarm_->name,
                           .operator_address = members.front().address(),
                           .members_count = members.size()};
    }();
    done(entered);
}

namespace {

// 0 stands for "not measured", so what was measured is at least 1.
std::uint32_t microseconds(std::optional<base::Duration> const& time) {
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    if (!time) return 0;
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time->count(), 1, most));
}

}  // namespace

std::vector<PeerView> Node::peers(base::Instant now) const {
    std::vector<PeerView> views;
    if (!registry_ || registry_->list() == nullptr) return views;
    for (auto const& member : registry_->list()->members()) {
        PeerView view{.node = member.node_id(),
                      .address = member.address(),
                      .is_operator = member.is_operator()};
        view.trust = reputation_->score(view.node).to_double();
        view.nickname = nickname_of(view.node);
        view.is_self = member.root_id() == edges_.identity.root_id();
        if (view.is_self) view.addresses = announced_addresses(now);
        if (auto const* peer = peers_.find(member.node_id())) {
            view.connected = peer->link.has_value();
            view.path = path_to(*peer);
            if (peer->link) view.round_trip_us = microseconds(host_->round_trip(*peer->link));
            if (peer->link && view.path == Path::direct)
                view.remote_ip = links_.at(*peer->link).remote.ip;
            view.session = peer->announced;
            view.addresses = peer->addresses;
            view.last_error = peer->last_error;
        }
        views.push_back(std::move(view));
    }
    return views;
}

bool Node::is_ready(identity::NodeId const& node) const {
    auto const* peer = peers_.find(node);
    return peer != nullptr && peer->announced;
}

base::Status Node::send(identity::NodeId const& node, wire::v1::Control const& control) {
    auto* peer = peers_.find(node);
    if (peer == nullptr || !peer->channel)
        return fail(Code::unavailable, "this member is not connected");
    return peer->speaks_on()->send(proto::session::Lane::control,
                                   base::to_bytes(base::as_bytes(control.SerializeAsString())));
}

base::Status Node::send(identity::NodeId const& node, wire::v1::StageMessage const& message,
                        base::ByteView tensor) {
    auto* peer = peers_.find(node);
    if (peer == nullptr || !peer->channel)
        return fail(Code::unavailable, "this member is not connected");
    if (tensor.size() > tensor_bytes_max)
        return fail(Code::too_large, "a tensor is larger than a frame may be");
    return peer->speaks_on()->send(proto::session::Lane::tensor,
                                   encode_activation(message, tensor));
}

// --- the driver's side

void Node::on_accepted(ports::ConnectionId id, ports::SocketAddress remote, base::Instant now) {
    host_->on_accepted(id, std::move(remote), now);
    pump(now);
}
void Node::on_connected(ports::ConnectionId id, base::Instant now) {
    host_->on_connected(id, now);
    pump(now);
}
void Node::on_bytes(ports::ConnectionId id, base::ByteView bytes, base::Instant now) {
    host_->on_bytes(id, bytes, now);
    pump(now);
}
void Node::on_closed(ports::ConnectionId id, base::Error reason, base::Instant now) {
    host_->on_closed(id, std::move(reason), now);
    pump(now);
}
bool Node::poll_transmit(ports::ConnectionId id, base::Bytes& out, base::Instant now) {
    return host_->poll_transmit(id, out, now);
}
std::optional<ports::NetworkOutput> Node::poll_output() {
    return host_->poll_output();
}

std::optional<base::Instant> Node::deadline() const {
    auto earliest = host_->deadline();
    auto const consider = [&](base::Instant when) {
        if (!earliest || when < *earliest) earliest = when;
    };
    if (swarm_ || !links_.empty()) consider(housekeeping_at_);
    if (auto const when = relay_->deadline()) consider(*when);
    if (auto const when = identify_->deadline()) consider(*when);
    if (auto const when = dcutr_->deadline()) consider(*when);
    if (gossip_) consider(gossip_->deadline());
    if (auto const when = discovery_ ? discovery_->deadline() : std::nullopt) consider(*when);
    if (joiner_) consider(joiner_->deadline());
    for (auto const* feature : features_)
        if (auto const when = feature->deadline()) consider(*when);
    return earliest;
}

void Node::on_deadline(base::Instant now) {
    host_->on_deadline(now);
    relay_->on_deadline(now);
    identify_->on_deadline(now);
    dcutr_->on_deadline(now);
    if (gossip_) gossip_->on_deadline(now);
    if (discovery_) discovery_->on_deadline(now);
    if (joiner_ && now >= joiner_->deadline())
        finish_join(
            fail(Code::timeout,
                 "the coordinator did not answer; is the operator's node running and reachable?"),
            now);
    if (now >= housekeeping_at_) {
        housekeeping_at_ = now + housekeeping_interval;
        housekeeping(now);
    }
    for (auto* feature : features_)
        if (auto const when = feature->deadline(); when && now >= *when) feature->on_deadline(now);
    pump(now);
}

void Node::housekeeping(base::Instant now) {
    for (auto& [node, peer] : peers_) {
        if (!peer.channel) continue;
        if (auto const alive = peer.channel->on_deadline(now); !alive) {
            drop_channel(node, alive.error(), now);
        } else if (!peer.handover && peer.channel->rekey_due(now)) {
            if (auto const offered = peer.channel->offer(now); !offered)
                drop_channel(node, offered.error(), now);
        }
    }
    keep_handovers(now);
    send_strangers_away(now);
    if (auto const saved = reputation_->save(now); !saved)
        edges_.log("trust scores not saved: " + saved.error().message);
    if (!swarm_) return;
    keep_membership(now);
    enforce_lease(now);
    poll_coordinator(now);
    dial_members(now);
}

// P5: without a fresh list nobody is served, so every session ends; the link to the coordinator
// stays for polling.
void Node::enforce_lease(base::Instant now) {
    if (registry_->has_lease(now)) return;
    base::Error const reason{Code::forbidden,
                             "the member list is older than 29 s; no member is served"};
    for (auto& [node, peer] : peers_) {
        if (node == swarm_->coordinator.node_id()) continue;
        drop_channel(node, reason, now);
    }
    // A link without a session serves as well: circuits run over it.
    for (auto const& [id, link] : links_)
        if (link.admitted && link.peer.peer().node_id() != swarm_->coordinator.node_id())
            host_->disconnect(id, reason);
}

void Node::poll_coordinator(base::Instant now) {
    auto const coordinator = swarm_->coordinator.node_id();
    auto* peer = peers_.find(coordinator);
    if (peer == nullptr || !peer->channel || !peer->channel->ready() || !registry_->poll_due(now))
        return;
    membership::Nonce nonce;
    if (!edges_.rng.fill(nonce)) return;  // asked again soon; app/reported_rng.h tells the user
    wire::v1::Control control;
    auto* request = control.mutable_list_request();
    request->set_nonce(base::to_text(nonce));
    request->set_have_version(registry_->list() != nullptr ? registry_->list()->version() : 0);
    for (auto const& address : announced_addresses(now)) request->add_addresses(address);
    if (send(coordinator, control)) registry_->poll_sent(nonce, now);
}

void Node::dial_members(base::Instant now) {
    for (auto& [node, peer] : peers_) {
        if (peer.link || peer.dialling || now < peer.dial_at) continue;
        // Without a lease this node would refuse what it dialled; only the coordinator can give
        // one.
        bool const may_meet_others = registry_->has_lease(now) && is_listed();
        if (!may_meet_others && node != swarm_->coordinator.node_id()) continue;
        if (coordinator_ && peer.addresses.empty())
            peer.addresses = coordinator_->addresses_of(node);
        look_for(node, peer, now);
        auto const address = peer.pick_address();
        if (!address) {
            peer.failed("no address known yet", now);
            continue;
        }
        auto dialled = dial(*address, node, now);
        if (dialled)
            peer.dialling = *dialled;
        else
            peer.failed(dialled.error().message, now);
    }
}

void Node::pump(base::Instant now) {
    bool again = true;
    while (again) {
        again = false;
        while (auto event = host_->poll_event()) {
            again = true;
            if (dcutr_->on_event(*event, now)) continue;
            if (relay_->on_event(*event, now) || identify_->on_event(*event, now)) continue;
            if (gossip_ && gossip_->on_event(*event, now) == Handled::yes) continue;
            if (discovery_ && discovery_->on_event(*event, now) == Handled::yes) continue;
            on_event(std::move(*event), now);
        }
        hear_identities(now);
        hear_gossip(now);
        hear_discovery(now);
        flush(now);
        again = advance_handovers(now) || again;
    }
    if (relay_->take_changed()) addresses_changed(now);
}

// Moves sealed bytes of every channel into its stream as far as the link takes them.
void Node::flush(base::Instant) {
    auto const move = [this](PeerChannel& channel, ports::ConnectionId id, StreamId stream) {
        while (!channel.outgoing().empty()) {
            auto const taken = host_->write(id, stream, channel.outgoing());
            if (taken == 0) break;
            channel.taken(taken);
        }
    };
    for (auto& [node, peer] : peers_) {
        if (!peer.channel || !peer.link || !peer.stream) continue;
        move(*peer.channel, *peer.link, *peer.stream);
        if (auto& next = peer.handover) move(*next->channel, next->link, next->stream);
    }
    join_desk_.flush(
        [this](Carrier const& at, base::ByteView bytes) {
            return host_->write(at.connection, at.stream, bytes);
        },
        [this](Carrier const& at) { host_->close_write(at.connection, at.stream); });
}

}  // namespace kith::node
