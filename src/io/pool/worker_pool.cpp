#include "io/pool/worker_pool.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/turn_queue.h"

namespace kith::io {

namespace {

struct Job {
    std::function<void()> work;
    std::function<void()> done;
};

// One thread and what waits for it.
struct Line {
    std::condition_variable changed;
    base::TurnQueue<Job, ports::lanes_count> jobs;
    std::thread thread;
};

}  // namespace

// Shared by the workers and by tasks on their way to the loop, which may arrive after the pool is
// gone.
struct WorkerPool::State : std::enable_shared_from_this<State> {
    State(boost::asio::io_context& io, AfterTask after)
        : context(io), after_task(std::move(after)) {}

    void run(Line& line) {
        for (;;) {
            std::optional<Job> job;
            {
                std::unique_lock lock(mutex);
                line.changed.wait(lock, [&] { return stopping || !line.jobs.empty(); });
                if (stopping) return;
                job = line.jobs.pop();
            }
            job->work();
            job->work = nullptr;  // what only the work owned is freed off the loop thread
            to_loop(std::move(job->done));
        }
    }

    Line& line_of(ports::Lane lane) { return lane == ports::Lane::files ? files : compute; }

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
    std::mutex mutex;  // guards the jobs of both lines and `stopping`
    bool stopping = false;
    Line compute, files;
};

WorkerPool::WorkerPool(boost::asio::io_context& context, AfterTask after_task)
    : state_(std::make_shared<State>(context, std::move(after_task))) {
    for (auto* line : {&state_->compute, &state_->files})
        line->thread = std::thread([state = state_, line] { state->run(*line); });
}

WorkerPool::~WorkerPool() {
    {
        std::lock_guard const lock(state_->mutex);
        state_->stopping = true;
    }
    for (auto* line : {&state_->compute, &state_->files}) {
        line->changed.notify_one();
        line->thread.join();
        line->jobs.clear();
    }
    state_->closed = true;
}

void WorkerPool::submit(ports::Lane lane, std::function<void()> work, std::function<void()> done) {
    auto& line = state_->line_of(lane);
    {
        std::lock_guard const lock(state_->mutex);
        line.jobs.push(static_cast<std::size_t>(lane), {std::move(work), std::move(done)});
    }
    line.changed.notify_one();
}

void WorkerPool::post(std::function<void()> task) {
    state_->to_loop(std::move(task));
}

}  // namespace kith::io
