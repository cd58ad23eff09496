// feature/ask/planner.h: picks who computes which layers of one question. Pure: facts in, hops out.
//
// Local ends first (S69): this machine takes every layer it holds at the front and at the back,
// then the middle is covered by the fewest stages, ties broken by lower round-trip time weighed by
// trust (S39), then by node id so that the same facts always give the same route. Weighted shortest
// path with measured speeds replaces the middle part later, behind the same call.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "feature/ask/privacy.h"
#include "identity/ids.h"

namespace kith::ask {

struct Span {  // layers [begin, end)
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
};

inline constexpr std::uint32_t round_trip_unknown_us = 10'000'000;

// What one machine can compute of one model right now.
struct Holder {
    identity::NodeId node;
    bool is_self = false;
    std::vector<Span> spans;  // contiguous runs of verified layers; any order, none empty
    bool has_embedding = false;
    bool has_head = false;
    bool takes_embeddings =
        true;  // understands pre_embedded activations (S66); an old peer does not
    std::uint32_t round_trip_us = round_trip_unknown_us;  // 0 for self
    // trust::scheduling_weight: half the weight counts as twice the round trip.
    std::uint32_t weight = 1'000'000;
};

struct Stage;
// Whether `holder` could compute this part, given vectors where it embeds nothing itself.
bool can_compute(Holder const& holder, Stage const& part);

struct Stage {
    identity::NodeId node;
    bool is_self = false;
    Span layers;  // may be empty for an end that has no layers of its own
    bool does_embedding = false;
    bool does_head = false;
};

inline constexpr std::size_t stages_max = 64;

// Covers layers [0, layers_count) plus embedding and head. Errors name what is missing and how to
// get it: Code::unavailable when nobody connected holds a part, Code::forbidden when the privacy
// flags forbid the only way.
base::Result<std::vector<Stage>> plan(std::uint32_t layers_count,
                                      std::vector<Holder> const& holders, PrivacyFlags flags);

}  // namespace kith::ask
