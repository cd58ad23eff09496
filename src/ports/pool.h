// ports/pool.h: where heavy work (kernels, hashing of files) runs, off the loop thread.
#pragma once

#include <functional>

namespace kith::ports {

class Pool {
public:
    virtual ~Pool() = default;
    // Runs `work` on a worker thread, then `done` on the loop thread. Work runs in the order it was
    // submitted, one at a time; it owns or shares everything it touches. `done` is dropped when the
    // pool is destroyed first.
    virtual void submit(std::function<void()> work, std::function<void()> done) = 0;
    // Runs `task` on the loop thread; may be called from inside `work` (progress).
    virtual void post(std::function<void()> task) = 0;
};

}  // namespace kith::ports
