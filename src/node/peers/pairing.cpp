#include "node/peers/pairing.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/sabotage.h"
#include "wire/multiaddr.h"

namespace kith::node {

using base::Code;
using base::fail;
using identity::NodeId;

namespace {

constexpr std::string_view pins_table = "pins";
constexpr std::size_t shown_when_ambiguous = 8;

base::Result<NodeId> parse_whole_id(std::string_view text) {
    if (auto const node = NodeId::parse(text)) return *node;
    if (auto const peer = identity::PeerId::parse(text)) return peer->node_id();
    return fail(Code::invalid,
                "is no whole id: give the 64 hex characters of the node id, or the peer id "
                "(12D3KooW...), that kith status shows on that machine");
}

}  // namespace

base::Result<std::set<NodeId>> parse_allow_list(std::vector<std::string> const& entries) {
    if (entries.size() > allow_list_max)
        return fail(Code::too_large,
                    "has more than " + std::to_string(allow_list_max) + " entries");
    std::set<NodeId> allowed;
    for (auto const& entry : entries) allowed.insert(KITH_TRY(parse_whole_id(entry)));
    return allowed;
}

std::string address_text(ports::SocketAddress const& address) {
    auto const multiaddr = wire::Multiaddr::tcp(address.ip, address.port);
    return multiaddr ? multiaddr->to_text() : address.ip;
}

base::Result<Pairing> Pairing::create(TrustOptions const& options, ports::Store& store) {
    auto allowed = parse_allow_list(options.allow_list);
    if (!allowed)
        return fail(allowed.error().code,
                    "an entry of [trust] allow_list " + allowed.error().message);
    Pairing pairing(options.policy, std::move(*allowed), store);
    auto const rows = KITH_TRY(store.scan(pins_table, pins_max));
    for (auto const& row : rows) {
        NodeId node;
        if (row.value.size() != node.bytes.size())
            return fail(Code::corrupt, "state.db holds an unreadable pinned key");
        std::ranges::copy(row.value, node.bytes.begin());
        pairing.pins_.emplace(base::to_text(row.key), node);
    }
    return pairing;
}

Pairing::Verdict Pairing::judge(AuthenticatedPeer const& peer,
                                ports::SocketAddress const* dialled) const {
    auto const& node = peer.peer().node_id();
    trust::PeerFacts facts{.listed = allowed_.contains(node)};
    auto const pin = dialled != nullptr ? pins_.find(address_text(*dialled)) : pins_.end();
    if (pin != pins_.end()) facts.pin = pin->second == node ? trust::Pin::same : trust::Pin::other;
    auto const decision = trust::admit(policy_, facts);
    if (decision.allow) return {.allow = true, .sentence = {}};
    if (policy_ == trust::Policy::tofu && pin != pins_.end())
        return {.allow = false,
                .sentence = trust::mismatch_warning({.address = pin->first,
                                                     .pinned_id = pin->second.to_hex(),
                                                     .proved_id = node.to_hex(),
                                                     .pinned_short = pin->second.to_short()})};
    return {.allow = false,
            .sentence = policy_ == trust::Policy::allow_list
                            ? "this peer is not in [trust] allow_list"
                            : "this peer is no member of the swarm"};
}

base::Status Pairing::remember(AuthenticatedPeer const& peer, ports::SocketAddress const& dialled) {
    auto const address = address_text(dialled);
    if (pins_.contains(address)) return {};
    if (pins_.size() >= pins_max)
        return fail(Code::too_large, "too many pinned keys; forget some with: kith peers forget");
    auto const& node = peer.peer().node_id();
    KITH_TRY(store_->put(pins_table, base::as_bytes(address), node.bytes));
    pins_.emplace(address, node);
    return {};
}

base::Result<std::size_t> Pairing::forget(NodeId const& peer) {
    std::size_t count = 0;
    for (auto pin = pins_.begin(); pin != pins_.end();) {
        if (pin->second != peer) {
            ++pin;
            continue;
        }
        KITH_TRY(store_->erase(pins_table, base::as_bytes(pin->first)));
        pin = pins_.erase(pin);
        ++count;
    }
    return count;
}

std::vector<NodeId> Pairing::pinned() const {
    std::vector<NodeId> nodes;
    nodes.reserve(pins_.size());
    for (auto const& [address, node] : pins_) nodes.push_back(node);
    return nodes;
}

PairFailed const& Pairing::note_failure(PairFailed failure) {
    if (failure.address.port == 0) ++inbound_failures_count_;
    auto const same = [&](PairFailed const& known) {
        return known.reason == failure.reason && known.peer == failure.peer &&
               known.address == failure.address;
    };
    if (auto const known = std::ranges::find_if(failures_, same); known != failures_.end()) {
        failure.times = known->times + 1;
        failures_.erase(known);
    }
    auto const of_reason = [&](PairFailed const& known) { return known.reason == failure.reason; };
    bool const has_room =
        std::ranges::count_if(failures_, of_reason) < std::ptrdiff_t{failures_per_reason_max};
    if (!has_room) failures_.erase(std::ranges::find_if(failures_, of_reason));
    failures_.push_back(std::move(failure));
    return failures_.back();
}

void Pairing::settle(NodeId const& replaced) {
    std::erase_if(failures_, [&](PairFailed const& known) { return known.peer == replaced; });
}

base::Result<NodeId> resolve_short_id(std::string_view text, std::set<NodeId> const& candidates) {
    if (auto const whole = parse_whole_id(text)) {
        if (candidates.contains(*whole)) return *whole;
        return fail(Code::not_found, "no such peer is known here; see: kith peers");
    }
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    bool const is_hex = lower.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!is_hex || lower.size() < short_id_chars_min || lower.size() > 64)
        return fail(Code::invalid,
                    "give at least 8 hex characters of the node id; kith peers shows them");
    std::vector<NodeId> found;
    for (auto const& candidate : candidates)
        if (candidate.to_hex().starts_with(lower)) found.push_back(candidate);
    if (found.empty()) return fail(Code::not_found, "no such peer is known here; see: kith peers");
    if (KITH_GUARD("M19.unambiguous", found.size() == 1)) return found.front();
    std::string sentence = "several peers begin like that, give more characters:";
    for (std::size_t i = 0; i < std::min(found.size(), shown_when_ambiguous); ++i)
        sentence += " " + found[i].to_hex();
    return fail(Code::conflict, std::move(sentence));
}

}  // namespace kith::node
