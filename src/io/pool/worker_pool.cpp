#include "io/pool/worker_pool.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace kith::io {

// Shared by the worker and by tasks on their way to the loop, which may arrive after the pool is
// gone.
struct WorkerPool::State : std::enable_shared_from_this<State> {
    struct Job {
        std::function<void()> work;
        std::function<void()> done;
    };

    State(boost::asio::io_context& io, AfterTask after)
        : context(io), after_task(std::move(after)) {}

    void run() {
        for (;;) {
            Job job;
            {
                std::unique_lock lock(mutex);
                changed.wait(lock, [this] { return stopping || !jobs.empty(); });
                if (stopping) return;
                job = std::move(jobs.front());
                jobs.pop_front();
            }
            job.work();
            job.work = nullptr;  // what only the work owned is freed off the loop thread
            to_loop(std::move(job.done));
        }
    }

    void to_loop(std::function<void()> task) {
        boost::asio::post(context, [self = shared_from_this(), task = std::move(task)] {
            if (self->closed) return;  // written and read on the loop thread only
            task();
            if (!self->closed) self->after_task();
        });
    }

    boost::asio::io_context& context;
    AfterTask after_task;
    bool closed = false;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> jobs;
    bool stopping = false;
    std::thread thread;
};

WorkerPool::WorkerPool(boost::asio::io_context& context, AfterTask after_task)
    : state_(std::make_shared<State>(context, std::move(after_task))) {
    state_->thread = std::thread([state = state_] { state->run(); });
}

WorkerPool::~WorkerPool() {
    {
        std::lock_guard const lock(state_->mutex);
        state_->stopping = true;
    }
    state_->changed.notify_one();
    state_->thread.join();
    state_->closed = true;
    state_->jobs.clear();
}

void WorkerPool::submit(std::function<void()> work, std::function<void()> done) {
    {
        std::lock_guard const lock(state_->mutex);
        state_->jobs.push_back({std::move(work), std::move(done)});
    }
    state_->changed.notify_one();
}

void WorkerPool::post(std::function<void()> task) {
    state_->to_loop(std::move(task));
}

}  // namespace kith::io
