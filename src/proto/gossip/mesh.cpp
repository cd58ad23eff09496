#include "proto/gossip/mesh.h"

#include <algorithm>

namespace kith::proto::gossip {

using identity::PeerId;

namespace {

std::size_t outbound_count(std::span<Candidate const> peers) {
    return static_cast<std::size_t>(
        std::ranges::count(peers, Direction::outbound, &Candidate::direction));
}

// std::shuffle's order is not the same with every library; this one is, so seeds replay anywhere.
void shuffle(std::span<Candidate> peers, Generator& random) {
    for (std::size_t left = peers.size(); left > 1; --left)
        std::swap(peers[left - 1], peers[random() % left]);
}

std::vector<PeerId> peers_of(std::span<Candidate const> candidates) {
    std::vector<PeerId> peers;
    for (auto const& one : candidates) peers.push_back(one.peer);
    return peers;
}

}  // namespace

std::vector<PeerId> pick(std::vector<Candidate> candidates, std::size_t count, Generator& random) {
    shuffle(candidates, random);
    return peers_of(std::span(candidates).first(std::min(count, candidates.size())));
}

std::vector<PeerId> to_prune(std::vector<Candidate> mesh, MeshDegrees const& degrees,
                             Generator& random) {
    if (mesh.size() <= degrees.high) return {};
    shuffle(mesh, random);
    std::ranges::stable_sort(mesh, std::ranges::greater{}, &Candidate::score);
    auto const kept_by_score = std::min(degrees.by_score, degrees.target);
    shuffle(std::span(mesh).subspan(kept_by_score), random);
    // Outbound peers from behind the line change places with the last inbound ones before it.
    auto const line = mesh.begin() + static_cast<std::ptrdiff_t>(degrees.target);
    auto missing =
        degrees.outbound - std::min(degrees.outbound, outbound_count({mesh.begin(), line}));
    auto behind = line;
    for (auto before = line; missing > 0 && before != mesh.begin();) {
        --before;
        if (before->direction == Direction::outbound) continue;
        behind = std::ranges::find(behind, mesh.end(), Direction::outbound, &Candidate::direction);
        if (behind == mesh.end()) break;
        std::iter_swap(before, behind);
        --missing;
    }
    return peers_of({line, mesh.end()});
}

bool lacks_members(std::span<Candidate const> mesh, MeshDegrees const& degrees) {
    return mesh.size() < degrees.low || outbound_count(mesh) < degrees.outbound;
}

std::vector<PeerId> to_graft(std::span<Candidate const> mesh, std::vector<Candidate> others,
                             MeshDegrees const& degrees, Generator& random) {
    if (mesh.size() < degrees.low)
        return pick(std::move(others), degrees.target - mesh.size(), random);
    auto const outbound = outbound_count(mesh);
    if (outbound >= degrees.outbound) return {};
    std::erase_if(others, [](auto const& one) { return one.direction == Direction::inbound; });
    return pick(std::move(others), degrees.outbound - outbound, random);
}

double median_score(std::span<Candidate const> mesh) {
    if (mesh.empty()) return 0;
    std::vector<double> scores;
    for (auto const& one : mesh) scores.push_back(one.score);
    std::ranges::sort(scores);
    return scores[scores.size() / 2];
}

}  // namespace kith::proto::gossip
