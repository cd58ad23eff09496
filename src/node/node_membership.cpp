// node/node_membership.cpp: how a node stays a member: lists, renewed and exchanged keys, removals
// and the secrets that follow them.
#include <algorithm>
#include <utility>

#include "base/sabotage.h"
#include "crypto/mldsa65.h"
#include "identity/contexts.h"
#include "node/membership/binding_store.h"
#include "node/node.h"
#include "proto/membership/epoch.h"

namespace kith::node {

using base::Code;
using base::fail;
namespace membership = proto::membership;

namespace {

constexpr std::size_t short_chars_min = 8;

// The binding of `root` in a list; empty when it is on none.
base::Bytes binding_of(membership::MemberList const& list, identity::RootId const& root) {
    for (auto const& entry : list.entries) {
        auto const binding = identity::decode_binding(entry.binding);
        if (binding && identity::RootId::of(binding->body.root) == root) return entry.binding;
    }
    return {};
}

base::Result<membership::VerifiedMember> find_member(membership::VerifiedList const& list,
                                                     std::string_view who) {
    std::optional<membership::VerifiedMember> found;
    for (auto const& member : list.members()) {
        bool const fits =
            member.address().to_text() == who ||
            identity::PeerId(member.node_id()).to_text() == who ||
            (who.size() >= short_chars_min && member.node_id().to_hex().starts_with(who));
        if (!fits) continue;
        if (found) return fail(Code::conflict, "this fits several members; give more of the id");
        found = member;
    }
    if (!found)
        return fail(Code::not_found,
                    "no member is called that; give an address, or at least 8 characters of a "
                    "node id (see: kith peers)");
    return *found;
}

}  // namespace

void Node::alarm(std::string sentence) {
    auto& alarms = upkeep_.alarms;
    if (std::ranges::find(alarms, sentence) != alarms.end()) return;
    if (alarms.size() == alarms_max) return;  // somebody makes them up; the first ones stay
    edges_.log("ALARM: " + sentence);
    alarms.push_back(std::move(sentence));
}

// Takes a list from wherever it came; true: it is a new one. It is stored before it is acted on.
base::Result<bool> Node::accept_list(base::Bytes encoded, base::Instant now) {
    auto const marks = registry_->marks();
    membership::MemberList previous;
    std::map<identity::RootId, identity::NodeId> keys_before;
    if (registry_->list() != nullptr) {
        previous = registry_->list()->document();
        for (auto const& member : registry_->list()->listed())
            keys_before.emplace(member.root_id(), member.node_id());
    }
    auto const offered = registry_->offer(std::move(encoded), edges_.clock.unix_now());
    if (!offered && offered.error().code == Code::corrupt) alarm(offered.error().message);
    if (!KITH_TRY(offered)) return false;
    auto const saved = [&]() -> base::Status {
        KITH_TRY(save_list(edges_.store, registry_->list()->encoded()));
        return save_marks(edges_.store, marks, registry_->marks());
    }();
    // A full disk must not keep a removed member in.
    if (!saved) alarm("the member list cannot be stored: " + saved.error().message);
    for (auto const& conflict : registry_->list()->conflicts())
        note_conflict(conflict, binding_of(previous, conflict.root_id));
    for (auto const& member : registry_->list()->listed()) {
        auto const before = keys_before.find(member.root_id());
        if (before == keys_before.end() || before->second == member.node_id()) continue;
        reputation_->carry_over(before->second, member.node_id());
        pairing_->settle(before->second);
    }
    list_changed(now);
    return true;
}

void Node::note_conflict(membership::BindingConflict const& conflict, base::ByteView before) {
    auto const binding = identity::decode_binding(conflict.binding);
    if (!binding) return;
    auto const address = identity::Address::of(binding->body.root).to_text();
    if (conflict.conflict == membership::Conflict::replaced)
        return alarm("the member list has keys of " + address +
                     " that were replaced; they are refused");
    alarm("two bindings with one number exist of " + address +
          ": its identity is used on two machines, or somebody lies. The second one is not "
          "served; the owner puts an end to it with: kith identity rotate");
    for (auto const evidence : {base::ByteView(conflict.binding), before})
        if (!evidence.empty()) (void)keep_evidence(edges_.store, conflict.root_id, evidence);
}

// Somebody showed the coordinator another binding with the number of the one it has.
void Node::note_second_binding(base::ByteView encoded) {
    auto const binding = identity::decode_binding(encoded);
    if (!binding) return;
    auto const root = identity::RootId::of(binding->body.root);
    note_conflict({membership::Conflict::equivocation, root, base::to_bytes(encoded)},
                  binding_of(registry_->list()->document(), root));
}

// The coordinator's: everybody gets the list it has just signed.
base::Status Node::publish_list(base::Instant now) {
    auto const taken = accept_list(coordinator_->list(), now);
    if (taken) {
        push_list();
        return {};
    }
    alarm("this machine refuses its own member list: " + taken.error().message);
    return std::unexpected(taken.error());
}

// --- this machine's own binding

bool Node::is_listed() const {
    return registry_->list() != nullptr &&
           registry_->list()->find(edges_.identity.node_id()) != nullptr;
}

// The highest counter of this node's own bindings that a list has shown.
std::uint64_t Node::known_counter() const {
    if (!registry_) return 0;
    auto const mark = registry_->marks().find(edges_.identity.root_id());
    return mark == registry_->marks().end() ? 0 : mark->second.counter;
}

void Node::keep_membership(base::Instant now) {
    bool const forgets = KITH_GUARD("P19.tell_again", false);  // never, but in a twin of the test
    if (coordinator_ && !forgets) tell_untold();
    auto const unix_now = edges_.clock.unix_now();
    // An identity out of a backup has bindings behind it that others have seen: it goes above them.
    bool const is_due = edges_.identity.needs_renewal(unix_now) ||
                        (is_listed() && known_counter() > edges_.identity.binding().body.counter);
    if (edges_.change_identity && is_due && now >= upkeep_.renew_at) {
        upkeep_.renew_at = now + renewal_retry;
        auto const renewed = edges_.change_identity(
            {.kind = identity::KeyChange::Kind::renew, .known_counter = known_counter()});
        if (!renewed)
            alarm("this machine cannot renew its identity: " + renewed.error().message);
        else
            edges_.log("identity renewed");
    }
    if (registry_->reconsider(unix_now)) list_changed(now);
    auto const* self =
        registry_->list() == nullptr ? nullptr : registry_->list()->find(edges_.identity.root_id());
    bool const is_known =
        self != nullptr && self->mark().counter >= edges_.identity.binding().body.counter;
    if (is_known || now < upkeep_.announce_at) return;
    upkeep_.announce_at = now + announce_retry;
    if (coordinator_) {
        if (auto const renewed = coordinator_->renew_list(unix_now); !renewed)
            return edges_.log("no new member list: " + renewed.error().message);
        (void)publish_list(now);  // alarms by itself
        return;
    }
    if (self == nullptr || !is_ready(swarm_->coordinator.node_id())) return;  // see refresh
    wire::v1::Control control;
    control.mutable_binding_update()->set_binding(
        base::to_text(identity::encode(edges_.identity.binding())));
    (void)send(swarm_->coordinator.node_id(), control);  // asked for again in announce_retry
}

void Node::on_binding_update(AuthenticatedControl const& control, base::Instant now) {
    auto const* member = registry_->serveable(control.sender(), now);
    if (!coordinator_ || member == nullptr) return;
    auto const encoded = base::as_bytes(control->binding_update().binding());
    auto const binding = identity::decode_binding(encoded);
    bool const is_its_own = binding && binding->body.root == member->root_key();
    auto const updated = is_its_own ? coordinator_->update_binding(encoded, edges_.clock.unix_now())
                                    : fail(Code::unauthorized, "the binding is of somebody else");
    if (updated) {
        if (*updated) (void)publish_list(now);
        return;
    }
    if (updated.error().code == Code::corrupt) note_second_binding(encoded);
    edges_.log("member " + control.sender().to_short() +
               ": new binding refused: " + updated.error().message);
}

base::Status Node::rotate_identity(base::Instant now) {
    if (!edges_.change_identity) return fail(Code::unsupported, "this node's identity is fixed");
    if (coordinator_)
        return fail(Code::forbidden,
                    "this machine coordinates its swarm: its key is in every invite and is what "
                    "members trust lists by, so it cannot be exchanged. If it was stolen, found a "
                    "new swarm on another machine");
    KITH_TRY(edges_.change_identity(
        {.kind = identity::KeyChange::Kind::rotate, .known_counter = known_counter()}));
    KITH_TRY(host_->prove(edges_.identity));
    edges_.log("identity rotated; this node is " + edges_.identity.node_id().to_short() + " now");
    base::Error const reason{Code::cancelled, "this machine exchanged its keys"};
    for (auto& [node, peer] : peers_) drop_channel(node, reason, now);
    std::vector<ports::ConnectionId> open;
    open.reserve(links_.size());
    for (auto const& [id, link] : links_) open.push_back(id);
    for (auto const& [node, peer] : peers_)
        if (peer.dialling) open.push_back(*peer.dialling);
    for (auto const id : open) host_->disconnect(id, reason);
    if (!swarm_) return {};
    begin_discovery(now);
    begin_gossip(now);  // what was said under the old keys is not said again
    list_changed(now);
    if (auto* peer = peers_.find(swarm_->coordinator.node_id())) peer->dial_at = now;
    return {};
}

// --- one identity on two machines (P23)

// A process that starts again goes from one Noise key to the next and never back; going back and
// forth takes two that run at once.
void Node::note_process(Peer& peer, AuthenticatedPeer const& proved, base::Instant since) {
    auto const& key = proved.process_key();
    if (peer.process == key) return;
    // A connection that waited here since before the present process appeared is no proof.
    if (since < peer.process_since) return;
    peer.process_since = since;
    bool const came_back = peer.process_before == key;
    peer.process_before = std::exchange(peer.process, key);
    if (KITH_GUARD("P23.twin", !came_back)) return;
    peer.has_twin = true;  // each of them is told when its session is ready
    auto const* member = registry_->list()->find(proved.peer().node_id());
    alarm("two machines use the identity of " +
          (member != nullptr ? member->address().to_text() : proved.peer().to_text()) +
          " at once: identity.key was copied. Its owner keeps one and runs there: kith identity "
          "rotate");
}

void Node::tell_of_twin(identity::NodeId const& node) {
    wire::v1::Control control;
    control.mutable_identity_twin();
    (void)send(node, control);
}

void Node::on_identity_twin(AuthenticatedControl const& control) {
    auto const* member = registry_->list()->find(control.sender());
    if (member == nullptr) return;
    alarm("another machine uses this machine's identity.key at the same time, says " +
          member->address().to_text() +
          ". Was it copied? Keep it on one machine and run there: kith identity rotate");
}

// --- asking the coordinator over a bare link

// Without a place on the list, or with an old secret, no session with the coordinator can stand.
bool Node::needs_refresh() const {
    return !coordinator_ && (upkeep_.secret_may_be_old || !is_listed());
}

// A coordinator that we find nowhere, but that finds us, is taken as it comes: a member that only
// asks on links it dialled itself would never see it again.
bool Node::has_moved(LinkState const& from_coordinator) const {
    constexpr std::size_t dials_in_vain = 2;
    auto const* peer = peers_.find(swarm_->coordinator.node_id());
    return from_coordinator.direction == Direction::inbound && is_listed() && peer != nullptr &&
           peer->failures >= dials_in_vain;
}

void Node::ask_for_refresh(ports::ConnectionId id, base::Instant now) {
    if (upkeep_.refresh && upkeep_.refresh->connection == id) return;
    auto& link = links_.at(id);
    auto const coordinator = swarm_->coordinator.node_id();
    auto* peer = peers_.find(coordinator);
    if (link.direction == Direction::inbound || upkeep_.refresh) {
        // The coordinator begins a session on links it dials; ours are for asking.
        if (peer != nullptr && !upkeep_.refresh) peer->dial_at = now;
        return host_->disconnect(id, {Code::conflict, "this machine asks for the list first"});
    }
    auto stream = host_->open_stream(id, std::string(protocol_join), now);
    if (!stream) return host_->disconnect(id, stream.error());
    upkeep_.refresh.emplace(Refresh{id, *stream, wire::FrameReader(join_reply_bytes_max)});
    wire::v1::JoinRequest request;
    request.set_binding(base::to_text(identity::encode(edges_.identity.binding())));
    for (auto const& address : announced_addresses(now)) request.add_addresses(address);
    if (registry_->list() != nullptr) request.set_have_version(registry_->list()->version());
    base::Bytes framed;
    wire::append_frame(framed, base::as_bytes(request.SerializeAsString()));
    host_->write(id, *stream, framed);  // 6 KB: the first window takes it
}

void Node::on_refresh_bytes(base::ByteView bytes, base::Instant now) {
    auto const connection = upkeep_.refresh->connection;
    auto const stream = upkeep_.refresh->stream;
    auto const answered = [&]() -> base::Result<bool> {
        auto const frame = KITH_TRY(upkeep_.refresh->reader.next(bytes));
        if (!frame) return false;
        wire::v1::JoinReply reply;
        if (!reply.ParseFromArray(frame->data(), static_cast<int>(frame->size())))
            return fail(Code::invalid, "the coordinator's answer is malformed");
        if (!reply.has_grant()) {
            auto const code = static_cast<Code>(reply.refusal().code());
            if (code == Code::conflict || code == Code::corrupt)
                alarm(
                    "newer keys of this machine's identity are on the member list: it came out "
                    "of a backup, or is used on two machines. Keep one and run there: kith "
                    "identity rotate");
            if (code == Code::forbidden)
                alarm(
                    "the operator's machine does not know this one as a member any more: it was "
                    "removed, or the operator went back to an old backup. Ask the operator");
            return fail(Code::forbidden,
                        "the coordinator does not take this machine in (any more)");
        }
        auto const& grant = reply.grant();
        // The secret first: the new list may let a session begin at once.
        if (grant.has_epoch_secret()) KITH_TRY(take_epoch(grant.epoch_secret()));
        upkeep_.secret_may_be_old = false;
        if (!grant.member_list().empty())
            KITH_TRY(accept_list(base::to_bytes(base::as_bytes(grant.member_list())), now));
        return true;
    }();
    if (answered && !*answered) return;
    upkeep_.refresh.reset();
    host_->close_write(connection, stream);
    if (!answered || !is_listed()) {
        auto const error = answered
                               ? base::Error{Code::forbidden, "this machine is not on the list"}
                               : answered.error();
        edges_.log("the coordinator was asked for the list: " + error.message);
        return host_->disconnect(connection, error);
    }
    auto const link = links_.find(connection);
    if (link != links_.end() && !link->second.admitted) admit(connection, now);
}

// The coordinator's side of the join stream: a stranger with an invite, or a member that asks for
// the list.
base::Result<Node::JoinAnswer> Node::answer_join(base::ByteView frame,
                                                 AuthenticatedPeer const& peer) {
    wire::v1::JoinRequest request;
    if (!coordinator_) return fail(Code::forbidden, "no coordinator here");
    if (!request.ParseFromArray(frame.data(), static_cast<int>(frame.size())))
        return fail(Code::invalid, "the join request is malformed");
    auto const unix_now = edges_.clock.unix_now();
    bool const is_member = request.lookup_id().empty();
    auto grant = is_member ? coordinator_->refresh(request, peer, *swarm_, unix_now)
                           : coordinator_->redeem(request, peer, *swarm_, unix_now);
    if (!grant && grant.error().code == Code::corrupt)
        note_second_binding(base::as_bytes(request.binding()));
    JoinAnswer answer{.kind = is_member ? JoinAnswer::Kind::refresh : JoinAnswer::Kind::joined,
                      .grant = KITH_TRY(std::move(grant))};
    edges_.log("member " + peer.peer().node_id().to_short() +
               (is_member ? ": asked for the list" : ": joined"));
    if (swarm_->epoch == 0) return answer;
    auto const binding = KITH_TRY(identity::decode_binding(base::as_bytes(request.binding())));
    *answer.grant.mutable_epoch_secret() =
        KITH_TRY(epoch_for(identity::RootId::of(binding.body.root), binding.body.static_key));
    return answer;
}

// Whoever had to ask for the list has no session: the connection it asked on is the one that
// counts.
void Node::seat(ports::ConnectionId id, base::Instant now) {
    auto const link = links_.find(id);
    if (link == links_.end() || link->second.admitted) return;
    auto const node = link->second.peer.peer().node_id();
    auto* const peer = peers_.find(node);
    if (peer == nullptr) return;
    base::Error const reason{Code::conflict, "the member asked for the list on another connection"};
    drop_channel(node, reason, now);
    if (peer->link) host_->disconnect(*peer->link, reason);
    peer->link.reset();
    admit(id, now);
}

// --- removals, and the secrets that follow them

base::Result<wire::v1::EpochSecret> Node::epoch_for(identity::RootId const& root,
                                                    crypto::X25519PublicKey const& static_key) {
    if (upkeep_.epoch_signature.empty()) {
        crypto::Secret<32> random;
        KITH_TRY(edges_.rng.fill(random.mutable_view()));
        upkeep_.epoch_signature = base::to_bytes(KITH_TRY(edges_.identity.sign_root(
            identity::context::epoch,
            membership::epoch_body(swarm_->id, swarm_->epoch, swarm_->secret), random)));
    }
    crypto::X25519PrivateKey ephemeral;
    KITH_TRY(edges_.rng.fill(ephemeral.mutable_view()));
    auto const sealed = KITH_TRY(membership::seal_epoch(
        {.swarm_id = swarm_->id, .epoch = swarm_->epoch, .root_id = root, .static_key = static_key},
        swarm_->secret, ephemeral));
    wire::v1::EpochSecret message;
    message.set_epoch(swarm_->epoch);
    message.set_signature(base::to_text(upkeep_.epoch_signature));
    message.set_sealed(base::to_text(sealed));
    return message;
}

base::Status Node::tell_epoch(membership::VerifiedMember const& member) {
    if (!is_ready(member.node_id())) return fail(Code::unavailable, "not connected");
    wire::v1::Control control;
    *control.mutable_epoch_secret() = KITH_TRY(epoch_for(member.root_id(), member.static_key()));
    return send(member.node_id(), control);
}

// Whom a lack of randomness or a full queue kept from being told. Who has no session any more asks
// when its next one does not come about.
void Node::tell_untold() {
    std::erase_if(upkeep_.untold, [this](identity::RootId const& root) {
        auto const* const member = registry_->list()->find(root);
        return member == nullptr || !is_ready(member->node_id()) || tell_epoch(*member);
    });
}

base::Status Node::take_epoch(wire::v1::EpochSecret const& offered) {
    if (coordinator_ || offered.epoch() == swarm_->epoch) return {};
    if (!KITH_GUARD("P19.epoch_rollback", offered.epoch() > swarm_->epoch))
        return fail(Code::conflict, "an older secret of the swarm was offered; it was not taken");
    if (registry_->list() == nullptr) return fail(Code::conflict, "there is no member list yet");
    auto secret = KITH_TRY(open_epoch_secret(offered, edges_.identity, swarm_->id,
                                             registry_->list()->members().front().root_key()));
    KITH_TRY(replace_secret(std::move(secret), offered.epoch()));
    edges_.log("the swarm has a new secret (epoch " + std::to_string(swarm_->epoch) + ")");
    return {};
}

// On disk first. Sessions that stand keep their keys; every key exchange from here on takes the
// new secret.
base::Status Node::replace_secret(crypto::Secret<32> secret, std::uint64_t epoch) {
    if (KITH_GUARD("P19.new_secret", false)) return {};  // never, but in a twin of the test
    std::swap(swarm_->secret, secret);
    std::swap(swarm_->epoch, epoch);
    auto saved = save_swarm(*swarm_, edges_.store, edges_.secrets);
    if (saved) {
        renew_gossip_secret(edges_.clock.now());
        return {};
    }
    std::swap(swarm_->secret, secret);
    std::swap(swarm_->epoch, epoch);
    return saved;
}

void Node::cut_off(identity::NodeId const& node, base::Instant now) {
    if (KITH_GUARD("P19.cut", false)) return;  // never, but in a twin of the test
    base::Error const reason{Code::forbidden, "no longer a member"};
    drop_channel(node, reason, now);
    for (auto const& [id, link] : links_)
        if (link.peer.peer().node_id() == node) host_->disconnect(id, reason);
}

// The secret first: if this is cut short, the member is still there and the command is repeated;
// the other way round it would be out and still know the secret.
base::Result<Kicked> Node::kick(std::string_view who, base::Instant now) {
    KITH_TRY(coordinator());
    auto const member = KITH_TRY(find_member(*registry_->list(), who));
    if (member.is_operator())
        return fail(Code::invalid, "the operator cannot be removed from the swarm");
    KITH_TRY(coordinator_->check_can_remove(member.root_id()));
    crypto::Secret<32> secret;
    KITH_TRY(edges_.rng.fill(secret.mutable_view()));
    KITH_TRY(replace_secret(std::move(secret), swarm_->epoch + 1));
    upkeep_.epoch_signature.clear();
    upkeep_.untold.clear();
    KITH_TRY(coordinator_->remove(member.root_id(), edges_.clock.unix_now()));
    auto const published = publish_list(now);
    cut_off(member.node_id(), now);  // even when its list is refused here
    KITH_TRY(published);
    Kicked kicked{.address = member.address(),
                  .node = member.node_id(),
                  .list_version = coordinator_->list_version(),
                  .epoch = swarm_->epoch};
    for (auto const& other : registry_->list()->members()) {
        if (other.is_operator() || other.root_id() == member.root_id()) continue;
        bool const told = tell_epoch(other).has_value();
        ++(told ? kicked.told_count : kicked.left_count);
        if (!told && is_ready(other.node_id())) upkeep_.untold.push_back(other.root_id());
    }
    edges_.log("member " + kicked.node.to_short() + ": removed from the swarm");
    return kicked;
}

}  // namespace kith::node
