// node/node_peers.cpp: Node and its peers as people see them: who is a stranger and may stay, who
// was refused and why, what others call themselves.
#include <algorithm>
#include <bit>
#include <utility>

#include "base/sabotage.h"
#include "node/node.h"
#include "wire/multiaddr.h"

namespace kith::node {

using base::Code;
using base::fail;
using identity::NodeId;

namespace {

constexpr std::string_view nicknames_table = "nicknames";

struct PairTarget {
    ports::SocketAddress address;
    std::optional<identity::PeerId> expected;
};

base::Result<PairTarget> parse_pair_target(std::string_view text) {
    auto const address = KITH_TRY(wire::Multiaddr::from_text(text));
    auto const endpoint = address.tcp_endpoint();
    if (!endpoint)
        return fail(Code::invalid,
                    "give an address like /ip4/192.0.2.7/tcp/8810, as kith status "
                    "shows it on that machine");
    PairTarget target{.address = {endpoint->ip, endpoint->port}, .expected = {}};
    if (auto const multihash = address.peer_multihash())
        target.expected = KITH_TRY(identity::PeerId::from_multihash(*multihash));
    return target;
}

}  // namespace

bool Node::is_member(NodeId const& node) const {
    if (node == edges_.identity.node_id()) return true;
    return registry_ && registry_->list() != nullptr && registry_->list()->find(node) != nullptr;
}

// --- strangers

void Node::pair(std::string_view address, PairDone done, base::Instant now) {
    auto const target = parse_pair_target(address);
    if (!target) return done(std::unexpected(target.error()));
    if (pairing_->policy() == trust::Policy::members)
        return done(fail(Code::forbidden,
                         "this node speaks to members of its swarm only; [trust] policy in "
                         "config.toml would allow others"));
    if (pairings_.size() >= pairings_max)
        return done(fail(Code::too_large, "too many pairings at once; wait for one of them"));
    auto const dialled = host_->dial(target->address, target->expected, now);
    if (!dialled) return done(std::unexpected(dialled.error()));
    pairings_.emplace(*dialled, std::move(done));
}

void Node::finish_pairing(ports::ConnectionId id, base::Result<NodeId> outcome) {
    auto pairing = pairings_.extract(id);
    if (!pairing.empty()) pairing.mapped()(std::move(outcome));
}

// A proved peer that is on no member list here. It keeps no protocol but the join, and that only at
// the coordinator; [trust] policy decides whether the link may stay.
void Node::judge_stranger(ports::ConnectionId id, base::Instant now) {
    auto& link = links_.at(id);
    welcome(id, Audience::stranger, now);
    bool const was_dialled = link.direction == Direction::outbound;
    auto const verdict = pairing_->judge(link.peer, was_dialled ? &link.remote : nullptr);
    if (verdict.allow) {
        auto const tolerated =
            std::ranges::count_if(links_, [](auto const& entry) { return entry.second.tolerated; });
        if (std::cmp_greater_equal(tolerated, tolerated_max))
            return host_->disconnect(id, {Code::too_large, "too many links to strangers"});
        if (was_dialled && pairing_->policy() == trust::Policy::tofu)
            if (auto const pinned = pairing_->remember(link.peer, link.remote); !pinned)
                return host_->disconnect(id, pinned.error());
        link.tolerated = true;
        host_->vouch(id);
        return finish_pairing(id, link.peer.peer().node_id());
    }
    // Who came here may want to join, or be on a member list that has not arrived here yet:
    // send_strangers_away() ends it after stranger_stays.
    bool const may_wait = coordinator_ || pairing_->policy() == trust::Policy::members;
    if (!was_dialled && may_wait) return;
    refuse_stranger(id, verdict.sentence);
}

void Node::refuse_stranger(ports::ConnectionId id, std::string const& sentence) {
    auto const& link = links_.at(id);
    note_failure(trust::PairFailure::untrusted_peer, link.peer.peer().node_id(), link.remote,
                 link.direction, sentence);
    finish_pairing(
        id, fail(Code::forbidden, std::string(trust::untrusted_peer_words) + ": " + sentence));
    host_->disconnect(id, {Code::forbidden, std::string(trust::untrusted_peer_words)});
}

void Node::send_strangers_away(base::Instant now) {
    std::vector<ports::ConnectionId> overdue;
    for (auto const& [id, link] : links_) {
        if (link.admitted || link.tolerated) continue;
        // Over a slow line a long list takes a while, on either end of it.
        bool const reads_list = join_desk_.has_unread_answer(id) ||
                                (upkeep_.refresh && upkeep_.refresh->connection == id);
        auto const stays = reads_list ? join_timeout : stranger_stays;
        if (now >= link.since + stays && (!joiner_ || joiner_->connection() != id))
            overdue.push_back(id);
    }
    for (auto const id : overdue) {
        // A member that came while this node had no lease dials again; it was no stranger.
        if (is_member(links_.at(id).peer.peer().node_id()))
            host_->disconnect(id, {Code::forbidden, "the member list is not fresh"});
        else
            refuse_stranger(id, "this peer is no member of the swarm");
    }
}

void Node::note_link_failure(ports::ConnectionId id, LinkDown const& down) {
    auto const failure = trust::classify(down.stage, down.reason.code);
    auto error = down.reason;
    if (failure) {
        std::optional<NodeId> expected;
        if (down.expected) expected = down.expected->node_id();
        bool const is_impostor = expected && down.reason.code == Code::unauthorized;
        auto const sentence = is_impostor ? trust::impersonation_warning(address_text(down.remote),
                                                                         expected->to_hex())
                                          : down.reason.message;
        note_failure(*failure, expected, down.remote, down.direction, sentence);
        error.message = std::string(trust::words_of(*failure)) + ": " + sentence;
    }
    finish_pairing(id, std::unexpected(std::move(error)));
}

void Node::note_failure(trust::PairFailure reason, std::optional<NodeId> peer,
                        ports::SocketAddress address, Direction direction, std::string sentence) {
    if (direction == Direction::inbound) address.port = 0;  // chosen by chance over there
    auto const& event = pairing_->note_failure({.reason = reason,
                                                .peer = peer,
                                                .address = std::move(address),
                                                .last = edges_.clock.unix_now(),
                                                .sentence = std::move(sentence)});
    // The 1st, 2nd, 4th, 8th ... time, like dropped messages. Who dials in can take a new address
    // each time, so those are counted together.
    auto const times =
        direction == Direction::inbound ? pairing_->inbound_failures_count() : event.times;
    if (!std::has_single_bit(times)) return;
    edges_.log("pair failed: " + std::string(trust::words_of(reason)) + ": " + event.address.ip +
               (event.peer ? " (" + event.peer->to_short() + ")" : "") + ": " + event.sentence);
}

base::Result<Node::Forgotten> Node::forget_peer(std::string_view short_id, base::Instant now) {
    std::set<NodeId> candidates;
    for (auto const& node : pairing_->pinned()) candidates.insert(node);
    for (auto const& [id, link] : links_) candidates.insert(link.peer.peer().node_id());
    Forgotten forgotten{.node = KITH_TRY(resolve_short_id(short_id, candidates))};
    forgotten.pins_count = KITH_TRY(pairing_->forget(forgotten.node));
    std::vector<ports::ConnectionId> open;
    for (auto const& [id, link] : links_) {
        bool const is_other = link.peer.peer().node_id() != forgotten.node;
        if (!KITH_GUARD("M19.cut", is_other)) open.push_back(id);
    }
    forgotten.links_count = open.size();
    base::Error const reason{Code::cancelled, "this peer was forgotten"};
    if (!open.empty()) drop_channel(forgotten.node, reason, now);
    for (auto const id : open) host_->disconnect(id, reason);
    edges_.log("peer " + forgotten.node.to_short() + ": forgotten");
    return forgotten;
}

// Said the 1st, 2nd, 4th, 8th ... time: a hostile member must not fill the disk (S22).
void Node::note_dropped(NodeId const& sender, std::string const& sentence) {
    auto* const peer = peers_.find(sender);
    if (peer == nullptr) return;
    auto const times = ++peer->dropped_messages;
    if (KITH_GUARD("S22.rate", std::has_single_bit(times)))
        edges_.log("member " + sender.to_short() + ": dropped message " + std::to_string(times) +
                   ": " + sentence);
}

// Only the proved sender can be charged; the name that it used belongs to a victim.
void Node::charge_false_claim(NodeId const& sender, std::string const& sentence,
                              base::Instant now) {
    reputation_->charge(trust::Fault::wrong_sender, sender, {}, now);
    note_dropped(sender, sentence);
}

void Node::note_inference_success(NodeId const& peer, base::ByteView request, base::Instant now) {
    if (peer == edges_.identity.node_id()) return;
    reputation_->note(peer, trust::TrustEvent::inference_success, request, now);
}

void Node::note_spot_check_failed(NodeId const& peer, base::ByteView request, base::Instant now) {
    reputation_->note(peer, trust::TrustEvent::spot_check_fail, request, now);
}

void Node::note_transaction(NodeId const& peer, base::ByteView id, base::Instant now) {
    if (peer == edges_.identity.node_id()) return;
    reputation_->note_transaction(peer, edges_.identity.node_id(), id, now);
}

void Node::note_fault(trust::Fault fault, NodeId const& sender, std::string const& sentence,
                      base::Instant now) {
    reputation_->charge(fault, sender, sender, now);
    note_dropped(sender, sentence);
}

// --- nicknames

base::Status Node::load_nicknames() {
    auto const rows = KITH_TRY(edges_.store.scan(nicknames_table, identity::nicknames_max));
    for (auto const& row : rows) {
        auto const record = identity::NicknameChecker::check(row.value);
        auto const kept = record
                              ? nicknames_.offer(
                                    *record, [this](NodeId const& node) { return is_member(node); },
                                    edges_.clock.unix_now())
                              : base::Result<bool>(std::unexpected(record.error()));
        // A decoration that is damaged, or of somebody who left, is not worth a refusal to start.
        // One that is only ahead of this clock is left for a start with a better clock.
        if (!kept && (!record || kept.error().code == Code::forbidden))
            KITH_TRY(edges_.store.erase(nicknames_table, row.key));
    }
    return {};
}

base::Result<bool> Node::keep_nickname(identity::VerifiedNickname record) {
    auto const node = record.content().node;
    auto const is_new = KITH_TRY(nicknames_.offer(
        std::move(record), [this](NodeId const& one) { return is_member(one); },
        edges_.clock.unix_now()));
    if (is_new)
        KITH_TRY(edges_.store.put(nicknames_table, node.bytes, nicknames_.find(node)->encoded()));
    return is_new;
}

// The row of whoever left must not wait for the next start: keys come and go.
void Node::forget_nickname(NodeId const& node) {
    if (auto const erased = edges_.store.erase(nicknames_table, node.bytes); !erased)
        edges_.log("a nickname was not erased: " + erased.error().message);
}

base::Status Node::set_nickname(std::string const& name) {
    KITH_TRY(identity::check_nickname(name));
    auto const now = base::seconds(edges_.clock.unix_now());
    auto const self = edges_.identity.node_id();
    auto time = now;
    auto sequence = static_cast<std::uint64_t>(std::max<std::int64_t>(now, 0));
    if (auto const* own = nicknames_.find(self)) {
        time = std::max(time, base::seconds(own->content().time) + 1);
        sequence = std::max(sequence, own->content().sequence + 1);
    }
    if (time > now + identity::nickname_future_max)
        return fail(Code::conflict,
                    "the nickname now in use is dated in the future: it was changed too often just "
                    "now, or the clock was set back; try again in " +
                        std::to_string(time - now - identity::nickname_future_max) + " s");
    KITH_TRY(keep_nickname(KITH_TRY(identity::NicknameChecker::check(
        identity::sign_nickname(edges_.identity, name, base::UnixTime{time}, sequence)))));
    for (auto const& [node, peer] : peers_)
        if (peer.announced) send_nickname(node);
    gossip_nickname(edges_.clock.now());
    return {};
}

std::string Node::nickname_of(NodeId const& node) const {
    auto const* known = nicknames_.find(node);
    return known == nullptr ? "" : known->content().name;
}

void Node::send_nickname(NodeId const& to) {
    auto const* own = nicknames_.find(edges_.identity.node_id());
    if (own == nullptr) return;
    wire::v1::Control control;
    auto* gossip = control.mutable_nickname_gossip();
    gossip->set_node_id(base::to_text(edges_.identity.node_id().bytes));
    gossip->set_record(base::to_text(own->encoded()));
    (void)send(to, control);
}

// The dispatcher has seen to it that the message claims to be of its sender; now the record inside.
void Node::on_nickname(AuthenticatedControl const& message, base::Instant now) {
    auto const& sender = message.sender();
    auto record =
        identity::NicknameChecker::check(base::as_bytes(message->nickname_gossip().record()));
    if (!record) {
        reputation_->charge(trust::Fault::bad_signature, sender, {}, now);
        return note_dropped(sender, record.error().message);
    }
    auto const origin = record->content().node;
    if (!KITH_GUARD("S19.record", origin == sender)) {
        reputation_->charge(trust::Fault::wrong_sender, sender, origin, now);
        return note_dropped(sender, "a nickname record is of another node than its message");
    }
    auto const kept = keep_nickname(std::move(*record));
    if (kept) return;
    if (kept.error().code == Code::invalid)
        reputation_->charge(trust::Fault::nonsense_content, sender, origin, now);
    note_dropped(sender, kept.error().message);
}

}  // namespace kith::node
