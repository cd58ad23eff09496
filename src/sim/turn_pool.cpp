#include "sim/turn_pool.h"

namespace kith::sim {

void TurnPool::submit(std::function<void()> work, std::function<void()> done) {
    turns_.emplace_back([work = std::move(work), done = std::move(done)] {
        work();
        done();
    });
}

void TurnPool::post(std::function<void()> task) {
    turns_.push_back(std::move(task));
}

bool TurnPool::run_one() {
    if (turns_.empty()) return false;
    auto const turn = std::move(turns_.front());
    turns_.pop_front();
    turn();
    return true;
}

}  // namespace kith::sim
