// feature/ask/step_queue.h: in which order the steps of members are computed: who stands better
// goes first and more often, and nobody waits for ever (S39).
//
// Start-time fair queueing (Goyal, Vin, Cheng 1996): every step gets a start tag when it arrives,
// the later of the virtual time and the end of the lane's step before; its end is that plus cost /
// share. The step with the lowest start tag is next, and is the virtual time from then on. A lane
// is one sender.
//
// A weight is that of trust::scheduling_weight(), 0 to 1'500'000; a share is 1 to 4: a stranger
// without any standing has a quarter of what the best has, never nothing.
//
// Invariants: 1. the steps of one lane keep their order. 2. between two steps of a lane that waits,
// every other lane gets at most 4 times the work of the first of the two, and one step more.
//
// No limit of its own: what waits belongs to sequences, and those have one (stage_server.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/sabotage.h"
#include "identity/node_id.h"

namespace kith::ask {

struct StepCost {
    std::uint64_t work = 1;    // rows times layers
    std::uint32_t weight = 0;  // of the lane, now
};

template <class Item>
class StepQueue {
public:
    void push(identity::NodeId const& sender, StepCost const& cost, Item item) {
        auto& lane = lanes_[sender];
        bool const is_blind =
            KITH_GUARD("S39.standing", false);  // never, but in a twin of the test
        auto const weight = is_blind ? 0U : cost.weight;
        auto const start = std::max(virtual_time_, lane.end);
        lane.end = start + length(cost.work, weight);
        lane.steps.push_back({start, weight, std::move(item)});
        ++size_;
    }

    std::optional<Item> pop() {
        auto next = lanes_.end();
        for (auto lane = lanes_.begin(); lane != lanes_.end(); ++lane)
            if (!lane->second.steps.empty() &&
                (next == lanes_.end() || is_before(lane->second, next->second)))
                next = lane;
        if (next == lanes_.end()) return std::nullopt;
        auto step = std::move(next->second.steps.front());
        next->second.steps.pop_front();
        --size_;
        virtual_time_ = step.start;
        // Where a lane ended matters only as long as that lies ahead.
        std::erase_if(lanes_, [this](auto const& entry) {
            return entry.second.steps.empty() && entry.second.end <= virtual_time_;
        });
        return std::move(step.item);
    }

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t lanes_count() const { return lanes_.size(); }

private:
    struct Step {
        std::uint64_t start;
        std::uint32_t weight;
        Item item;
    };
    struct Lane {
        std::deque<Step> steps;
        std::uint64_t end = 0;
    };
    static constexpr std::uint64_t weight_max = 1'500'000;
    static constexpr std::uint64_t share_unit = 1'000'000;
    static constexpr std::uint64_t work_max = std::uint64_t{1}
                                              << 32;  // the product stays in 64 bits
    static constexpr std::uint64_t scale = 1000;

    static std::uint64_t length(std::uint64_t work, std::uint32_t weight) {
        auto const share = share_unit + 2 * std::min<std::uint64_t>(weight, weight_max);
        return std::clamp<std::uint64_t>(work, 1, work_max) * share_unit / (share / scale);
    }
    static bool is_before(Lane const& one, Lane const& other) {
        auto const& a = one.steps.front();
        auto const& b = other.steps.front();
        return a.start != b.start ? a.start < b.start : a.weight > b.weight;
    }

    std::map<identity::NodeId, Lane> lanes_;
    std::uint64_t virtual_time_ = 0;
    std::size_t size_ = 0;
};

}  // namespace kith::ask
