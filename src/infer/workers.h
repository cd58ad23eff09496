// infer/workers.h: a few threads that share the rows of a matrix.
//
// No mutex: tasks are claimed from one atomic counter and sleepers wait on another (C++20 atomic
// wait). One caller at a time. What a task computes must not depend on who runs it, so results do
// not depend on the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/result.h"

namespace kith::infer {

inline constexpr std::size_t worker_tasks_max = (1U << 20U) - 1;  // of one run()

class Workers {
public:
    // `threads` counts the caller of run(); Code::unavailable when the system gives no thread.
    static base::Result<std::unique_ptr<Workers>> create(std::size_t threads);
    Workers(Workers const&) = delete;
    Workers& operator=(Workers const&) = delete;
    ~Workers();

    [[nodiscard]] std::size_t threads_count() const { return threads_.size() + 1; }

    // Calls task(index, worker) once for each index below `count` (at most worker_tasks_max),
    // worker below threads_count(), and returns when all are done.
    template <class Task>
    void run(std::size_t count, Task const& task) {
        run_erased(count, Job{&task, [](void const* self, std::size_t index, std::size_t worker) {
                                  (*static_cast<Task const*>(self))(index, worker);
                              }});
    }

private:
    struct Job {
        void const* self = nullptr;
        void (*call)(void const* self, std::size_t index, std::size_t worker) = nullptr;
    };

    Workers() = default;
    void run_erased(std::size_t count, Job job);
    void serve(std::size_t worker);
    void claim_tasks(std::size_t worker);

    // Generation, count and next index of the present job in one word: a claim that succeeds is a
    // claim of this very job, so `job_` may be read only after it.
    std::atomic<std::uint64_t> tickets_{0};
    alignas(64) std::atomic<std::uint32_t> done_{0};
    alignas(64) std::atomic<std::uint32_t> wakeups_{0};
    std::atomic<bool> stopping_{false};
    Job job_;
    std::vector<std::thread> threads_;
};

}  // namespace kith::infer
