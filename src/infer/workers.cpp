#include "infer/workers.h"

#include <system_error>

#include "base/check.h"

namespace kith::infer {
namespace {

// How long a waiter looks again before it sleeps: about 20 us, the gap between two products of one
// layer. Longer would steal time from others on a busy machine.
constexpr int spins_max = 1000;

constexpr unsigned index_bits = 20;
constexpr std::uint64_t index_mask = (1U << index_bits) - 1;
static_assert(worker_tasks_max <= index_mask);

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Returns when `value` is no longer `old`.
void wait_while(std::atomic<std::uint32_t> const& value, std::uint32_t old) {
    for (int i = 0; i < spins_max; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause();
    }
    value.wait(old, std::memory_order_acquire);
}

}  // namespace

base::Result<std::unique_ptr<Workers>> Workers::create(std::size_t threads) {
    std::unique_ptr<Workers> out(new Workers());
    try {
        for (std::size_t worker = 1; worker < threads; ++worker)
            out->threads_.emplace_back([self = out.get(), worker] { self->serve(worker); });
    } catch (std::system_error const&) {
        return base::fail(base::Code::unavailable, "the system gives no more threads");
    }
    return out;
}

Workers::~Workers() {
    stopping_.store(true, std::memory_order_release);
    wakeups_.fetch_add(1, std::memory_order_release);
    wakeups_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void Workers::run_erased(std::size_t count, Job job) {
    KITH_ASSERT(count <= worker_tasks_max);
    if (threads_.empty() || count <= 1) {
        for (std::size_t i = 0; i < count; ++i) job.call(job.self, i, 0);
        return;
    }
    job_ = job;
    done_.store(0, std::memory_order_relaxed);
    auto const generation = (tickets_.load(std::memory_order_relaxed) >> (2 * index_bits)) + 1;
    tickets_.store(generation << (2 * index_bits) | count << index_bits, std::memory_order_release);
    wakeups_.fetch_add(1, std::memory_order_release);
    wakeups_.notify_all();
    claim_tasks(0);
    for (auto done = done_.load(std::memory_order_acquire); done != count;
         done = done_.load(std::memory_order_acquire))
        wait_while(done_, done);
}

void Workers::serve(std::size_t worker) {
    std::uint32_t seen = 0;
    while (!stopping_.load(std::memory_order_acquire)) {
        wait_while(wakeups_, seen);
        seen = wakeups_.load(std::memory_order_acquire);
        claim_tasks(worker);
    }
}

void Workers::claim_tasks(std::size_t worker) {
    auto ticket = tickets_.load(std::memory_order_acquire);
    while ((ticket & index_mask) < ((ticket >> index_bits) & index_mask)) {
        if (!tickets_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire))
            continue;
        auto const count = (ticket >> index_bits) & index_mask;
        job_.call(job_.self, static_cast<std::size_t>(ticket & index_mask), worker);
        if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) done_.notify_one();
        ticket = tickets_.load(std::memory_order_acquire);
    }
}

}  // namespace kith::infer
