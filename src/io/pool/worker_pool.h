// io/pool/worker_pool.h: ports::Pool on two threads, one that computes and one for files; results
// come back to an Asio loop.
#pragma once

#include <memory>

#include "ports/pool.h"

namespace boost::asio {
class io_context;
}

namespace kith::io {

class WorkerPool final : public ports::Pool {
public:
    // Called on the loop thread after each `done` and each posted task, so that the owner can let
    // its driver send what the task produced.
    using AfterTask = std::function<void()>;

    // `context` must outlive the pool.
    WorkerPool(boost::asio::io_context& context, AfterTask after_task);
    // Waits for the work that runs now, of both threads; what is queued is dropped, together with
    // every `done` not yet run.
    ~WorkerPool() override;

    void submit(ports::Lane lane, std::function<void()> work, std::function<void()> done) override;
    void post(std::function<void()> task) override;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace kith::io
