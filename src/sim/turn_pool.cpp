#include "sim/turn_pool.h"

namespace kith::sim {

void TurnPool::submit(ports::Lane lane, std::function<void()> work, std::function<void()> done) {
    jobs_.push(static_cast<std::size_t>(lane), [work = std::move(work), done = std::move(done)] {
        work();
        done();
    });
}

void TurnPool::post(std::function<void()> task) {
    posted_.push_back(std::move(task));
}

bool TurnPool::run_one() {
    if (!posted_.empty()) {
        auto const task = std::move(posted_.front());
        posted_.pop_front();
        task();
        return true;
    }
    auto const job = jobs_.pop();
    if (!job) return false;
    (*job)();
    return true;
}

}  // namespace kith::sim
