// node/node_events.cpp: what Node does when the network says something: links, streams, sessions,
// membership messages.
#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/sabotage.h"
#include "node/node.h"
#include "trust/admission.h"

namespace kith::node {

using base::Code;

void Node::on_event(HostEvent event, base::Instant now) {
    auto const id = event.connection;
    if (auto const* connected = std::get_if<PeerConnected>(&event.what))
        return on_peer_connected(id, *connected, now);
    if (auto const* opened = std::get_if<StreamOpened>(&event.what))
        return on_stream_opened(id, *opened, now);
    if (auto const* data = std::get_if<StreamData>(&event.what)) {
        return on_stream_data(id, *data, now);
    }
    if (auto const* ended = std::get_if<StreamEnded>(&event.what))
        return on_stream_gone(id, ended->id, {}, now);
    if (auto const* reset = std::get_if<StreamReset>(&event.what))
        return on_stream_gone(id, reset->id, reset->reason, now);
    if (auto const* down = std::get_if<LinkDown>(&event.what)) return on_link_down(id, *down, now);
    // StreamWritable: flush() runs after every event anyway.
}

void Node::on_peer_connected(ports::ConnectionId id, PeerConnected const& connected,
                             base::Instant now) {
    links_.insert_or_assign(id, LinkState{.peer = connected.peer,
                                          .direction = connected.direction,
                                          .remote = connected.remote,
                                          .path = connected.path,
                                          .since = now});
    if (joiner_ && joiner_->connection() == id) {
        auto stream = host_->open_stream(id, std::string(protocol_join), now);
        if (!stream) return finish_join(std::unexpected(stream.error()), now);
        joiner_->opened(*stream);
        host_->write(id, *stream, joiner_->request(edges_.identity, listen_addresses_));
        return;
    }
    admit(id, now);
}

// The one place where a proved peer becomes a served one. A stranger keeps nothing but the join
// protocol, and that only at the coordinator.
void Node::admit(ports::ConnectionId id, base::Instant now) {
    auto& link = links_.at(id);
    auto const& node = link.peer.peer().node_id();
    trust::PeerFacts facts{.in_swarm = swarm_.has_value()};
    if (swarm_) {
        // The coordinator is spoken to without a lease: it is where the lease comes from.
        bool const is_coordinator = node == swarm_->coordinator.node_id();
        facts.has_lease = registry_->has_lease(now) || is_coordinator;
        facts.on_list = registry_->list() != nullptr && registry_->list()->find(node) != nullptr;
    }
    if (swarm_ && node == swarm_->coordinator.node_id() && needs_refresh() && !has_moved(link))
        return ask_for_refresh(id, now);
    auto const decision = trust::admit(trust::Policy::members, facts);
    auto* peer = peers_.find(node);
    if (!decision.allow && !facts.on_list) return judge_stranger(id, now);
    if (!decision.allow || peer == nullptr) {
        welcome(id, Audience::stranger, now);
        if (link.direction == Direction::outbound)
            host_->disconnect(id, {Code::forbidden, std::string(decision.reason)});
        return;
    }
    finish_pairing(id, node);
    if (peer->link && *peer->link != id && may_take_over(*peer, link))
        return seat_beside(id, *peer, now);
    if (peer->link && *peer->link != id && !replaces(*peer, link, now)) {
        // A member that has to ask for the list gives up our connection, but its own may be here
        // before the end of ours is.
        if (coordinator_ && link.direction == Direction::inbound)
            return welcome(id, Audience::stranger, now);
        return host_->disconnect(id,
                                 {Code::conflict, "there is a connection to this member already"});
    }
    if (peer->link && *peer->link != id) {
        auto const old = *peer->link;
        drop_channel(node, {Code::unavailable, "the member connected anew"}, now);
        host_->disconnect(old, {Code::conflict, "replaced by a newer connection"});
    }
    note_process(*peer, link.peer, link.since);
    link.admitted = true;
    host_->vouch(id);
    peer->link = id;
    peer->link_since = now;
    peer->dialling.reset();
    welcome(id, Audience::member, now);
    admit_to_gossip(id, link, now);
    if (link.direction == Direction::outbound) open_peer_stream(node, *peer, now);
}

// Two machines may dial each other at once: both keep the connection that the lower node id
// dialled. A connection that comes later replaces the old one, whose other end has evidently
// forgotten it.
bool Node::replaces(Peer const& peer, LinkState const& link, base::Instant now) const {
    if (now >= peer.link_since + wait_to_be_dialled) return true;
    bool const self_is_lower = edges_.identity.node_id() < link.peer.peer().node_id();
    bool const dialled_by_lower = (link.direction == Direction::outbound) == self_is_lower;
    return dialled_by_lower;
}

void Node::open_peer_stream(identity::NodeId const& node, Peer& peer, base::Instant now) {
    auto stream = host_->open_stream(*peer.link, std::string(protocol_peer), now);
    if (!stream) return host_->disconnect(*peer.link, stream.error());
    peer.stream = *stream;
    peer.channel = make_channel(node, now);
    if (auto const offered = peer.channel->offer(now); !offered)
        drop_channel(node, offered.error(), now);
}

std::unique_ptr<PeerChannel> Node::make_channel(identity::NodeId const& node, base::Instant now) {
    auto const* member = registry_->list()->find(node);
    KITH_ASSERT(member != nullptr);
    return std::make_unique<PeerChannel>(
        PeerChannel::Parties{
            .self = edges_.identity,
            .rng = edges_.rng,
            .swarm_id = swarm_->id,
            .swarm_secret = swarm_->secret,
            .peer = {.node = node, .static_key = member->static_key(), .root = member->root_key()}},
        now);
}

void Node::on_stream_opened(ports::ConnectionId id, StreamOpened const& opened, base::Instant now) {
    if (opened.direction == Direction::outbound) return;
    auto const link = links_.find(id);
    if (link == links_.end()) return;
    if (opened.protocol == protocol_join) {
        if (!coordinator_ || !join_desk_.open({id, opened.id})) host_->reset(id, opened.id);
        return;
    }
    auto const node = link->second.peer.peer().node_id();
    auto* peer = peers_.find(node);
    bool const takes_over = link->second.admitted && peer != nullptr && peer->link &&
                            peer->link != id && !peer->handover &&
                            may_take_over(*peer, link->second);
    if (takes_over) return begin_handover(id, opened.id, *peer, now);
    bool const served = link->second.admitted && peer != nullptr && peer->link == id;
    if (!KITH_GUARD("P5.stream", served) || peer == nullptr) return host_->reset(id, opened.id);
    if (peer->stream) {  // one session per link; a second stream is a confused or hostile peer
        return host_->reset(id, opened.id);
    }
    peer->stream = opened.id;
    peer->channel = make_channel(node, now);
}

void Node::on_stream_data(ports::ConnectionId id, StreamData const& data, base::Instant now) {
    auto const of = links_.find(id);
    if (of != links_.end() && on_handover_data(of->second.peer.peer().node_id(), id, data, now))
        return;
    host_->consumed(id, data.id, data.bytes.size());
    if (joiner_ && joiner_->connection() == id && joiner_->stream() == data.id) {
        auto outcome = joiner_->feed(data.bytes, edges_.identity, edges_.clock.unix_now());
        if (!outcome) return finish_join(std::unexpected(outcome.error()), now);
        if (*outcome) return finish_join(std::move(**outcome), now);
        return;
    }
    if (upkeep_.refresh && upkeep_.refresh->connection == id && upkeep_.refresh->stream == data.id)
        return on_refresh_bytes(data.bytes, now);
    auto const link = links_.find(id);
    if (link == links_.end()) return;
    if (join_desk_.expects({id, data.id})) {
        auto const asked = join_desk_.feed({id, data.id}, data.bytes);
        if (std::holds_alternative<JoinDesk::Refused>(asked)) host_->reset(id, data.id);
        if (auto const* request = std::get_if<base::Bytes>(&asked))
            on_join_request(id, data.id, *request, now);
        return;
    }
    auto const node = link->second.peer.peer().node_id();
    auto* peer = peers_.find(node);
    if (peer == nullptr || peer->link != id || peer->stream != data.id || !peer->channel) return;
    if (auto const fed = peer->channel->feed(data.bytes, now); !fed)
        return drop_channel(node, fed.error(), now);
    deliver(node, now);
}

void Node::deliver(identity::NodeId const& node, base::Instant now) {
    auto* peer = peers_.find(node);
    if (peer == nullptr || !peer->channel) return;
    for (auto left = peer->channel->take_false_claims(); left > 0; --left)
        charge_false_claim(node, "a key exchange names another sender than the one it came from",
                           now);
    if (!peer->announced && peer->channel->ready()) {
        peer->announced = true;
        peer->backoff = redial_first;
        peer->failures = 0;
        peer->last_error.clear();
        bool const relayed = path_to(*peer) == Path::relayed;
        edges_.log("member " + node.to_short() + ": session ready" +
                   (relayed ? " (through a relay)" : ""));
        reputation_->set_connected(node, now);
        send_nickname(node);
        if (swarm_->coordinator.node_id() == node) {
            upkeep_.secret_may_be_old = false;  // no session stands under another one
            poll_coordinator(now);
            (void)relay_->reserve_at(*peer->link, now);  // a relayed link leads to no relay
        }
        if (relayed && edges_.services.hole_punching == Use::yes) dcutr_->upgrade(*peer->link, now);
        if (peer->has_twin) tell_of_twin(node);
        for (auto* feature : features_) feature->on_peer_up(node, now);
    }
    for (;;) {
        peer = peers_.find(node);  // a handler may have dropped it
        if (peer == nullptr || !peer->channel) return;
        auto opened = peer->channel->poll_message();
        if (!opened) return;
        auto const rank = node == swarm_->coordinator.node_id() ? Rank::coordinator : Rank::member;
        auto inbound = Dispatcher::admit(node, rank, *opened);
        if (!inbound) {
            if (inbound.error().code == Code::unauthorized)
                charge_false_claim(node, inbound.error().message, now);
            else
                note_dropped(node, inbound.error().message);
            continue;
        }
        on_inbound(std::move(*inbound), now);
    }
}

void Node::on_inbound(Inbound inbound, base::Instant now) {
    if (auto* activation = std::get_if<AuthenticatedActivation>(&inbound)) {
        // P5: a session does not outlive membership or lease, not even for one message.
        bool const served = registry_->serveable(activation->sender(), now) != nullptr;
        if (!KITH_GUARD("P5.message", served)) return;
        for (auto* feature : features_) feature->on_activation(*activation, now);
        return;
    }
    auto const& control = std::get<AuthenticatedControl>(inbound);
    if (control->has_list_request()) {
        if (!coordinator_ || registry_->serveable(control.sender(), now) == nullptr) return;
        wire::v1::Control answer;
        *answer.mutable_list_reply() =
            coordinator_->answer_poll(control->list_request(), control.sender());
        (void)send(control.sender(), answer);
        return;
    }
    if (control->has_list_reply())
        return on_list_reply(control.sender(), control->list_reply(), now);
    if (control->has_binding_update()) return on_binding_update(control, now);
    if (control->has_epoch_secret()) {
        if (control.sender() != swarm_->coordinator.node_id()) return;
        if (auto const taken = take_epoch(control->epoch_secret()); !taken)
            edges_.log("new secret refused: " + taken.error().message);
        return;
    }
    bool const served = registry_->serveable(control.sender(), now) != nullptr;
    if (!KITH_GUARD("P5.message", served)) return;
    if (control->has_nickname_gossip()) return on_nickname(control, now);
    if (control->has_identity_twin()) return on_identity_twin(control);
    for (auto* feature : features_) feature->on_control(control, now);
}

void Node::on_list_reply(identity::NodeId const& from, wire::v1::ListReply const& reply,
                         base::Instant now) {
    if (from != swarm_->coordinator.node_id()) return;
    if (!reply.member_list().empty()) {
        auto const taken = accept_list(base::to_bytes(base::as_bytes(reply.member_list())), now);
        if (!taken) return edges_.log("member list refused: " + taken.error().message);
    }
    if (!reply.push())
        if (auto const answered = registry_->poll_answered(base::as_bytes(reply.fresh()));
            !answered)
            edges_.log("poll answer refused: " + answered.error().message);
    for (auto const& member : reply.addresses()) {
        if (member.node_id().size() != 32) continue;
        identity::NodeId node;
        std::ranges::copy(base::as_bytes(member.node_id()), node.bytes.begin());
        auto* peer = peers_.find(node);
        if (peer == nullptr || std::ranges::equal(peer->addresses, member.addresses())) continue;
        auto addresses = acceptable_addresses(member.addresses());
        if (addresses.empty() || peer->addresses == addresses) continue;
        if (peer->addresses.empty()) peer->dial_at = std::min(peer->dial_at, now + redial_first);
        peer->addresses = std::move(addresses);
    }
}

// Cuts off who is no member any more, welcomes who has become one.
void Node::list_changed(base::Instant now) {
    std::vector<identity::NodeId> wanted;
    if (registry_->list() != nullptr)
        for (auto const& member : registry_->list()->members())
            if (member.root_id() != edges_.identity.root_id()) wanted.push_back(member.node_id());
    if (KITH_GUARD("P19.cut", false))  // never, but in a twin of the test
        for (auto const& [node, peer] : peers_) wanted.push_back(node);
    for (auto& [node, peer] : peers_) {
        if (std::ranges::find(wanted, node) != wanted.end()) continue;
        drop_channel(node, {Code::forbidden, "no longer a member"}, now);
        forget_nickname(node);
    }
    for (auto const id : peers_.keep(wanted, edges_.identity.node_id(), now))
        host_->disconnect(id, {Code::forbidden, "no longer a member"});
    for (auto const& [id, link] : links_)
        if (link.admitted && peers_.find(link.peer.peer().node_id()) == nullptr)
            host_->disconnect(id, {Code::forbidden, "no longer a member"});
    tell_gossip_members(now);
    tell_discovery_members();
    nicknames_.keep([this](identity::NodeId const& node) { return is_member(node); });
    std::vector<ports::ConnectionId> waiting;
    for (auto const& [id, link] : links_)
        if (!link.admitted && !join_desk_.is_asking(id)) waiting.push_back(id);
    for (auto const id : waiting)
        if (links_.contains(id) && peers_.find(links_.at(id).peer.peer().node_id()) != nullptr)
            admit(id, now);
}

void Node::push_list() {
    wire::v1::Control control;
    *control.mutable_list_reply() = coordinator_->push();
    for (auto const& [node, peer] : peers_)
        if (peer.announced) (void)send(node, control);
}

// Anybody can ask, so this is said the 1st, 2nd, 4th, 8th ... time, like dropped messages (S22).
void Node::note_join_refused(std::string const& sentence) {
    auto const times = ++joins_refused_count_;
    if (std::has_single_bit(times))
        edges_.log("a join was refused (" + std::to_string(times) + " in all): " + sentence);
}

void Node::on_join_request(ports::ConnectionId id, StreamId stream, base::ByteView frame,
                           base::Instant now) {
    wire::v1::JoinReply reply;
    auto const answer = answer_join(frame, links_.at(id).peer);
    if (answer) {
        *reply.mutable_grant() = answer->grant;
    } else {
        reply.mutable_refusal()->set_code(static_cast<std::uint32_t>(answer.error().code));
        reply.mutable_refusal()->set_sentence(answer.error().message);
        note_join_refused(answer.error().message);
    }
    base::Bytes framed;
    wire::append_frame(framed, base::as_bytes(reply.SerializeAsString()));
    // The first window (256 KiB) takes a list of 25 members at once; longer answers wait for
    // credit.
    auto const taken = host_->write(id, stream, framed);
    if (taken < framed.size())
        join_desk_.answer({id, stream}, base::to_bytes(base::ByteView(framed).subspan(taken)));
    else
        host_->close_write(id, stream);
    // Also after a refusal: the list may have changed before something failed.
    if (coordinator_ && coordinator_->list_version() != registry_->list()->version())
        (void)publish_list(now);
    if (!answer) return;
    if (answer->kind == JoinAnswer::Kind::refresh) seat(id, now);
}

void Node::on_stream_gone(ports::ConnectionId id, StreamId stream,
                          std::optional<base::Error> const& reason, base::Instant now) {
    if (joiner_ && joiner_->connection() == id && joiner_->stream() == stream) {
        auto error = reason.value_or(base::Error{Code::unavailable, "the coordinator hung up"});
        if (error.code == Code::unsupported)
            error = {Code::forbidden,
                     "that machine is no coordinator (any more); ask for a new invite"};
        return finish_join(std::unexpected(std::move(error)), now);
    }
    if (upkeep_.refresh && upkeep_.refresh->connection == id && upkeep_.refresh->stream == stream) {
        upkeep_.refresh.reset();
        return host_->disconnect(
            id, reason.value_or(base::Error{Code::unavailable, "the coordinator hung up"}));
    }
    auto const link = links_.find(id);
    if (link == links_.end()) return;
    join_desk_.on_stream_gone({id, stream});
    auto const node = link->second.peer.peer().node_id();
    if (on_handover_stream_gone(node, {id, stream}, reason, now)) return;
    auto* peer = peers_.find(node);
    if (peer == nullptr || peer->link != id || peer->stream != stream) return;
    auto const why =
        reason.value_or(base::Error{Code::unavailable, "the member closed the session"});
    drop_channel(node, why, now);
    host_->disconnect(id, why);
}

void Node::drop_channel(identity::NodeId const& node, base::Error const& reason,
                        base::Instant now) {
    auto* peer = peers_.find(node);
    if (peer == nullptr || !peer->channel) return;
    if (peer->handover) host_->disconnect(peer->handover->link, reason);
    peer->handover.reset();
    peer->channel.reset();  // keys are wiped here (S3)
    if (peer->link && peer->stream) host_->reset(*peer->link, *peer->stream);
    peer->stream.reset();
    bool const announced = std::exchange(peer->announced, false);
    reputation_->set_disconnected(node);
    peer->last_error = reason.message;
    if (peer->link) host_->disconnect(*peer->link, reason);
    // Perhaps the swarm has another secret by now (node_membership.cpp).
    if (!announced && swarm_ && node == swarm_->coordinator.node_id())
        upkeep_.secret_may_be_old = true;
    if (!announced) return;
    edges_.log("member " + node.to_short() + ": session ended: " + reason.message);
    for (auto* feature : features_) feature->on_peer_down(node, reason, now);
}

void Node::on_link_down(ports::ConnectionId id, LinkDown const& down, base::Instant now) {
    auto const& reason = down.reason;
    join_desk_.on_link_down(id);
    note_link_failure(id, down);
    if (joiner_ && joiner_->connection() == id) {
        links_.erase(id);
        joiner_->note_error(reason);
        if (joiner_->stream()) return finish_join(std::unexpected(reason), now);
        return dial_coordinator_to_join(now);
    }
    if (upkeep_.refresh && upkeep_.refresh->connection == id) upkeep_.refresh.reset();
    if (auto const node = peers_.by_connection(id)) {
        drop_channel(*node, reason, now);
        auto* peer = peers_.find(*node);
        if (peer->link == id) peer->link.reset();
        if (!peer->link) peer->failed(reason.message, now);
        peer->dialling.reset();
    }
    auto const link = links_.extract(id);
    if (link.empty()) return;
    auto const node = link.mapped().peer.peer().node_id();
    auto const* peer = peers_.find(node);
    if (peer != nullptr && peer->handover && peer->handover->link == id)
        fail_handover(node, reason, now);
}

}  // namespace kith::node
