// ports/pool.h: where heavy work (kernels, hashing of files) runs, off the loop thread.
#pragma once

#include <cstdint>
#include <functional>

namespace kith::ports {

// Whom work is for. Work of one lane runs in the order it was submitted, one at a time.
enum class Lane : std::uint8_t {
    own,      // for the questions of this machine's user
    members,  // for other members: takes turns with `own`, never runs at the same time
    files,    // cutting, hashing and loading models: long, so it runs beside the other two
};
inline constexpr std::size_t lanes_count = 3;

class Pool {
public:
    virtual ~Pool() = default;
    // Runs `work` on a worker thread, then `done` on the loop thread. It owns or shares everything
    // it touches. `work` itself is destroyed on the worker; `done` is dropped when the pool is
    // destroyed first.
    virtual void submit(Lane lane, std::function<void()> work, std::function<void()> done) = 0;
    // Runs `task` on the loop thread; may be called from inside `work` (progress).
    virtual void post(std::function<void()> task) = 0;
};

}  // namespace kith::ports
