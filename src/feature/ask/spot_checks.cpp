#include "feature/ask/spot_checks.h"

#include <algorithm>

#include "base/encoding.h"
#include "trust/subnet.h"

namespace kith::ask {

namespace {

// Evenly from 0 to `bound` - 1; nothing when the generator fails.
std::optional<std::size_t> pick(ports::Rng& rng, std::size_t bound) {
    std::uint32_t value = 0;
    if (bound == 0 || !rng.fill({reinterpret_cast<std::uint8_t*>(&value), sizeof(value)}))
        return std::nullopt;
    return value % bound;  // uneven by less than one in four million for what is drawn here
}

Stage stage_of(wire::v1::RouteHop const& part) {
    return {.node = {},
            .layers = {part.layers_begin(), part.layers_end()},
            .does_embedding = part.does_embedding(),
            .does_head = part.does_head()};
}

}  // namespace

// The most crowded hop decides.
unsigned SpotChecks::rate(std::vector<wire::v1::RouteHop> const& hops) const {
    auto const peers = node_.peers(node_.clock().now());
    std::vector<trust::Neighbour> neighbours;
    for (auto const& peer : peers)
        if (auto const subnet = trust::Subnet::of(peer.remote_ip))
            neighbours.push_back({.peer = peer.node.bytes, .subnet = *subnet});
    unsigned percent = trust::spot_check_percent;
    for (auto const& hop : hops) {
        auto const at = std::ranges::find_if(neighbours, [&](auto const& neighbour) {
            return hop.node_id() == base::to_text(neighbour.peer);
        });
        if (at == neighbours.end()) continue;
        auto const crowd = trust::peers_in(at->subnet, neighbours);
        percent = std::max(percent, trust::spot_check_rate({.peers_in_subnet = crowd}));
    }
    return percent;
}

std::vector<identity::NodeId> SpotChecks::others(LoadedModelPtr const& model,
                                                 wire::v1::RouteHop const& part) const {
    std::vector<identity::NodeId> nodes;
    for (auto const& holder : holders_(*model)) {
        if (holder.is_self || !can_compute(holder, stage_of(part))) continue;
        nodes.push_back(holder.node);
    }
    // Nobody can count on being asked first.
    for (std::size_t left = nodes.size(); left > 1; --left)
        if (auto const at = pick(node_.rng(), left)) std::swap(nodes[left - 1], nodes[*at]);
    return nodes;
}

std::optional<SpotChecks::Drawn> SpotChecks::draw(LoadedModelPtr const& model,
                                                  std::vector<Stage> const& stages) const {
    auto const hops = remote_hops(stages);
    if (hops.empty() || check_) return std::nullopt;
    auto const lot = pick(node_.rng(), 100);
    if (!lot || *lot >= rate(hops)) return std::nullopt;
    std::vector<Drawn> possible;
    for (std::size_t hop = 0; hop < hops.size(); ++hop) {
        for (auto const& node : others(model, hops[hop])) {
            bool const on_route = std::ranges::any_of(
                hops, [&](auto const& one) { return one.node_id() == base::to_text(node.bytes); });
            if (on_route) continue;
            possible.push_back({.hop = hop, .checker = node});
            break;
        }
    }
    auto const chosen = pick(node_.rng(), possible.size());
    return chosen ? std::optional(possible[*chosen]) : std::nullopt;
}

void SpotChecks::begin(RunRecord record, Drawn const& drawn, base::Instant now) {
    if (check_ || record.entries.empty()) return;
    ++counts_.begun;
    question_ = record.run.id;
    auto const model = record.run.model;
    check_ = std::make_unique<SpotCheck>(
        node_, std::move(record), drawn.hop, drawn.checker,
        [this, model](wire::v1::RouteHop const& part) { return others(model, part); }, pay_);
    check_->start(now);
    settle(now);
}

void SpotChecks::settle(base::Instant now) {
    if (!check_ || !check_->outcome()) return;
    auto const outcome = *check_->outcome();
    check_.reset();
    using Verdict = SpotCheckOutcome::Verdict;
    if (outcome.verdict == Verdict::agreed) {
        ++counts_.agreed;
        return;
    }
    if (outcome.verdict == Verdict::guilty) {
        ++counts_.guilty;
        node_.note_spot_check_failed(outcome.guilty, question_, now);
    } else {
        ++(outcome.differed ? counts_.undecided : counts_.unfinished);
    }
    node_.log("spot check: " + outcome.sentence);
}

void SpotChecks::on_result(identity::NodeId const& sender, wire::v1::StageResult const& result,
                           base::ByteView sealed, base::Instant now) {
    auto const id = parse_request_id(result.request_id());
    if (!check_ || !id || check_->run_id() != *id) return;
    check_->on_result(sender, result, sealed, now);
    settle(now);
}

void SpotChecks::on_failed(identity::NodeId const& sender, wire::v1::StageFailed const& failed,
                           base::Instant now) {
    auto const id = parse_request_id(failed.request_id());
    if (!check_ || !id || check_->run_id() != *id) return;
    check_->on_failed(sender, failed, now);
    settle(now);
}

void SpotChecks::on_peer_down(identity::NodeId const& peer, base::Error const& reason,
                              base::Instant now) {
    if (!check_) return;
    check_->on_peer_down(peer, reason, now);
    settle(now);
}

std::optional<base::Instant> SpotChecks::deadline() const {
    return check_ ? check_->deadline() : std::nullopt;
}

void SpotChecks::on_deadline(base::Instant now) {
    if (!check_) return;
    check_->on_deadline(now);
    settle(now);
}

}  // namespace kith::ask
