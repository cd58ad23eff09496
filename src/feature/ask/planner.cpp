#include "feature/ask/planner.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>

#include "base/sabotage.h"

namespace kith::ask {
namespace {

// The end of the longest run that starts at or before `from` and goes on past it; `from` when there
// is none.
std::uint32_t reach(Holder const& holder, std::uint32_t from) {
    std::uint32_t end = from;
    bool grew = true;
    while (grew) {  // runs of neighbouring shards may come as separate spans
        grew = false;
        for (auto const& span : holder.spans) {
            if (span.begin <= end && span.end > end) {
                end = span.end;
                grew = true;
            }
        }
    }
    return end;
}

// The first layer of the run of `holder` that ends at `end`; `end` when it holds nothing there.
std::uint32_t reach_back(Holder const& holder, std::uint32_t end) {
    std::uint32_t begin = end;
    bool grew = true;
    while (grew) {
        grew = false;
        for (auto const& span : holder.spans) {
            if (span.end >= begin && span.begin < begin) {
                begin = span.begin;
                grew = true;
            }
        }
    }
    return begin;
}

}  // namespace

bool can_compute(Holder const& holder, Stage const& part) {
    if (part.does_embedding ? !holder.has_embedding : !holder.takes_embeddings) return false;
    if (part.does_head && !holder.has_head) return false;
    return part.layers.begin == part.layers.end ||
           reach(holder, part.layers.begin) >= part.layers.end;
}

namespace {

Holder const* pick(std::vector<Holder> const& holders, auto const& score) {
    Holder const* best = nullptr;
    for (auto const& holder : holders) {
        auto const value = score(holder);
        if (!value) continue;
        if (best == nullptr || *value < *score(*best)) best = &holder;
    }
    return best;
}

using Score = std::optional<std::tuple<std::uint32_t, std::uint64_t, identity::NodeId>>;

// What its round trip counts for, in millionths of a microsecond: fine enough that of two equally
// near ones the less trusted loses. At most 10^19.
std::uint64_t distance(Holder const& holder) {
    if (holder.is_self) return 0;
    constexpr std::uint64_t unit = 1'000'000;
    bool const unweighted = KITH_GUARD("S39.weight", false);  // never, but in a twin of the test
    std::uint64_t const weight = unweighted ? unit : std::max(holder.weight, 1U);
    std::uint64_t const us = std::clamp(holder.round_trip_us, 1U, round_trip_unknown_us);
    return us * unit * unit / weight;
}

// Which machine does an end (embedding or head): this one when it can, else the nearest.
base::Result<Holder const*> pick_end(std::vector<Holder> const& holders, bool Holder::*has,
                                     bool must_be_self, char const* flag, char const* part) {
    auto const* holder = pick(holders, [&](Holder const& candidate) -> Score {
        if (!(candidate.*has)) return std::nullopt;
        if (must_be_self && !KITH_GUARD("S80.ends_local", candidate.is_self)) return std::nullopt;
        return Score{{candidate.is_self ? 0U : 1U, distance(candidate), candidate.node}};
    });
    if (holder != nullptr) return holder;
    if (must_be_self)
        return base::fail(base::Code::forbidden,
                          std::string(flag) + " is on, but this machine does not hold the " + part +
                              "; fetch it with: kith models fetch MODEL");
    return base::fail(base::Code::unavailable, std::string("nobody connected holds the ") + part +
                                                   " of this model; see: kith models list");
}

void add_stage(std::vector<Stage>& stages, Holder const& holder, Span layers) {
    if (!stages.empty() && stages.back().node == holder.node) {
        stages.back().layers.end = layers.end;
        return;
    }
    stages.push_back({.node = holder.node, .is_self = holder.is_self, .layers = layers});
}

base::Status cover_middle(std::vector<Stage>& stages, std::vector<Holder> const& holders,
                          Span middle, PrivacyFlags flags) {
    for (auto from = middle.begin; from < middle.end;) {
        auto const* next = pick(holders, [&](Holder const& candidate) -> Score {
            auto const end = std::min(reach(candidate, from), middle.end);
            if (end == from) return std::nullopt;
            // A peer that does not understand pre-embedded input is passed over, never served
            // tokens instead.
            bool const understands = candidate.takes_embeddings || !flags.local_embedding_privacy;
            if (!KITH_GUARD("S66.no_downgrade", understands)) return std::nullopt;
            return Score{{middle.end - end, distance(candidate), candidate.node}};
        });
        if (next == nullptr)
            return base::fail(
                base::Code::unavailable,
                "nobody connected serves layer " + std::to_string(from) +
                    " of this model under the privacy flags in force; see: kith models list");
        auto const end = std::min(reach(*next, from), middle.end);
        add_stage(stages, *next, {from, end});
        if (stages.size() > stages_max)
            return base::fail(base::Code::too_large, "the route needs too many stages");
        from = end;
    }
    return {};
}

}  // namespace

base::Result<std::vector<Stage>> plan(std::uint32_t layers_count,
                                      std::vector<Holder> const& holders, PrivacyFlags flags) {
    auto const* first =
        KITH_TRY(pick_end(holders, &Holder::has_embedding, flags.local_embedding_privacy,
                          "local_embedding_privacy", "first shard"));
    auto const* last = KITH_TRY(pick_end(holders, &Holder::has_head, flags.encrypted_pipeline,
                                         "encrypted_pipeline", "last shard"));

    // The ends take the layers they hold themselves; the last one only when it is this machine, so
    // that a far machine with the whole model still computes it in one go.
    auto const front_end = std::min(reach(*first, 0), layers_count);
    auto const back_begin =
        last->is_self ? std::max(reach_back(*last, layers_count), front_end) : layers_count;
    std::vector<Stage> stages;
    stages.push_back({.node = first->node,
                      .is_self = first->is_self,
                      .layers = {0, front_end},
                      .does_embedding = true});
    if (auto const covered = cover_middle(stages, holders, {front_end, back_begin}, flags);
        !covered)
        return std::unexpected(covered.error());
    add_stage(stages, *last, {back_begin, layers_count});
    stages.back().does_head = true;
    return stages;
}

}  // namespace kith::ask
