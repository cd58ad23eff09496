// sim/turn_pool.h: a pool that computes when it is told to, on the caller's thread.
#pragma once

#include <deque>
#include <functional>

#include "base/turn_queue.h"
#include "ports/pool.h"

namespace kith::sim {

class TurnPool final : public ports::Pool {
public:
    void submit(ports::Lane lane, std::function<void()> work, std::function<void()> done) override;
    void post(std::function<void()> task) override;
    bool run_one();  // what was posted first, then lane by lane; false: nothing waits

private:
    std::deque<std::function<void()>> posted_;
    base::TurnQueue<std::function<void()>, ports::lanes_count> jobs_;
};

}  // namespace kith::sim
