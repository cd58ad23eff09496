// sim/turn_pool.h: a pool that computes when it is told to, on the caller's thread.
#pragma once

#include <deque>
#include <functional>

#include "ports/pool.h"

namespace kith::sim {

class TurnPool final : public ports::Pool {
public:
    void submit(std::function<void()> work, std::function<void()> done) override;
    void post(std::function<void()> task) override;
    bool run_one();  // false: nothing waits

private:
    std::deque<std::function<void()>> turns_;
};

}  // namespace kith::sim
