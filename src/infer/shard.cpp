#include "infer/shard.h"

#include <algorithm>
#include <charconv>

#include "base/sabotage.h"
#include "crypto/blake3.h"

namespace kith::infer {
namespace {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

Status check_plan(std::vector<LayerRange> const& plan, std::size_t layers_count) {
    if (plan.empty() || plan.size() > manifest_shards_max)
        return fail(Code::invalid, "a plan has 1 to 1026 shards");
    std::size_t next = 0;
    for (auto const& range : plan) {
        if (range.begin != next || range.end < range.begin)
            return fail(Code::invalid, "the plan's ranges do not follow each other");
        bool const inner = &range != &plan.front() && &range != &plan.back();
        if (inner && range.count() == 0)
            return fail(Code::invalid, "only the first and last shard may have no layer");
        next = range.end;
    }
    if (next != layers_count) return fail(Code::invalid, "the plan does not cover all layers");
    return {};
}

}  // namespace

Status verify_shard(ByteView bytes, ShardEntry const& entry) {
    if (bytes.size() != entry.size)
        return fail(Code::corrupt, entry.file + " has not the size that the manifest says");
    if (!KITH_GUARD("S87.shard_hash", crypto::blake3(bytes) == entry.blake3))
        return fail(Code::corrupt, entry.file + " has not the hash that the manifest says");
    return {};
}

std::vector<LayerRange> default_shard_plan(std::size_t layers_count, std::size_t parts) {
    parts = std::clamp<std::size_t>(parts, 1, std::max<std::size_t>(layers_count, 1));
    std::vector<LayerRange> plan{{0, 0}};
    for (std::size_t i = 0; i < parts; ++i)
        plan.push_back({layers_count * i / parts, layers_count * (i + 1) / parts});
    plan.push_back({layers_count, layers_count});
    return plan;
}

Result<std::vector<LayerRange>> parse_cuts(std::string_view cuts, std::size_t layers_count) {
    std::vector<LayerRange> plan{{0, 0}};
    while (true) {
        std::size_t layer = 0;
        auto const [end, error] = std::from_chars(cuts.data(), cuts.data() + cuts.size(), layer);
        if (error != std::errc{} || layer > layers_count || layer < plan.back().begin)
            return fail(Code::invalid, "cuts: ascending layer numbers with commas, none above " +
                                           std::to_string(layers_count) + ", such as 0,3,6");
        plan.back().end = layer;
        plan.push_back({layer, layers_count});
        if (plan.size() > manifest_shards_max) return fail(Code::too_large, "too many cuts");
        cuts.remove_prefix(static_cast<std::size_t>(end - cuts.data()));
        if (cuts.empty()) break;
        if (cuts.front() != ',') return fail(Code::invalid, "cuts: numbers with commas");
        cuts.remove_prefix(1);
    }
    KITH_TRY(check_plan(plan, layers_count));
    return plan;
}

}  // namespace kith::infer
