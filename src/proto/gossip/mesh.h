// proto/gossip/mesh.h: which peers a mesh takes in and lets go: pure functions over facts about the
// candidates, so that each rule can be tested alone (gossipsub-v1.1.md, "Maintaining the mesh").
#pragma once

#include <random>
#include <span>
#include <vector>

#include "identity/peer_id.h"
#include "proto/gossip/limits.h"

namespace kith::proto::gossip {

enum class Direction { inbound, outbound };  // who dialled: outbound peers are harder to fake

struct Candidate {
    identity::PeerId peer;
    double score = 0;
    Direction direction = Direction::inbound;
};

using Generator = std::mt19937_64;

// Up to `count` of `candidates`, at random.
std::vector<identity::PeerId> pick(std::vector<Candidate> candidates, std::size_t count,
                                   Generator& random);

// Whom to let go of a mesh above degrees.high: down to degrees.target, keeping the best
// degrees.by_score, at least degrees.outbound that we dialled, and the rest at random. Empty when
// the mesh is not too large.
std::vector<identity::PeerId> to_prune(std::vector<Candidate> mesh, MeshDegrees const& degrees,
                                       Generator& random);

// Whether to_graft would want anybody.
bool lacks_members(std::span<Candidate const> mesh, MeshDegrees const& degrees);

// Whom to graft: up to degrees.target when the mesh is below degrees.low; otherwise outbound peers
// up to degrees.outbound. `others` are peers that may be grafted at all.
std::vector<identity::PeerId> to_graft(std::span<Candidate const> mesh,
                                       std::vector<Candidate> others, MeshDegrees const& degrees,
                                       Generator& random);

// The median score of a mesh; 0 for an empty one.
double median_score(std::span<Candidate const> mesh);

}  // namespace kith::proto::gossip
