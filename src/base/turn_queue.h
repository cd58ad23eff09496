// base/turn_queue.h: several queues that take turns: the oldest item of each in order, over and
// over, so that none waits for more than one item of every other. Not thread-safe; no limit of its
// own (its owner has one).
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

namespace kith::base {

template <class Item, std::size_t lanes_count>
class TurnQueue {
public:
    void push(std::size_t lane, Item item) { lanes_.at(lane).push_back(std::move(item)); }

    // The oldest item of the next lane that has one; nullopt when all are empty.
    std::optional<Item> pop() {
        for (std::size_t i = 0; i < lanes_count; ++i) {
            auto& lane = lanes_[next_];
            next_ = (next_ + 1) % lanes_count;
            if (lane.empty()) continue;
            auto item = std::move(lane.front());
            lane.pop_front();
            return item;
        }
        return std::nullopt;
    }

    [[nodiscard]] bool empty() const {
        for (auto const& lane : lanes_)
            if (!lane.empty()) return false;
        return true;
    }
    void clear() {
        for (auto& lane : lanes_) lane.clear();
    }

private:
    std::array<std::deque<Item>, lanes_count> lanes_;
    std::size_t next_ = 0;
};

}  // namespace kith::base
