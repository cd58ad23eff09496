#include "io/nat/port_forwarder.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "io/nat/router_process.h"

namespace kith::io {

struct PortForwarder::Impl : std::enable_shared_from_this<Impl> {
    Impl(boost::asio::io_context& context_in, ports::Clock const& clock_in, std::uint16_t port,
         PortMapper mapper_in, std::function<void(std::optional<std::uint16_t>)> changed_in)
        : context(context_in),
          clock(clock_in),
          mapper(std::move(mapper_in)),
          changed(std::move(changed_in)),
          keeper(port, clock_in.now()),
          timer(context_in) {}

    // ---- on the loop thread

    void turn() {
        if (stopped) return;
        auto const now = clock.now();
        if (auto const request = keeper.poll_request(now)) {
            std::lock_guard const lock(mutex);
            wanted = request;
            wake.notify_one();
        }
        if (auto const port = keeper.external_port(now); port != announced) {
            announced = port;
            changed(port);
        }
        auto const due = keeper.deadline();
        if (!due) return;  // the answer comes next
        timer->expires_after(std::chrono::microseconds((*due - now).count()));
        timer->async_wait([self = shared_from_this()](boost::system::error_code code) {
            if (!code) self->turn();
        });
    }

    void on_answer(base::Result<PortMapping> answer) {
        if (stopped) return;
        keeper.on_answer(std::move(answer), clock.now());
        turn();
    }

    void stop() {
        stopped = true;
        timer.reset();  // now: the context may be gone when the thread lets go of this
        {
            std::lock_guard const lock(mutex);
            stopping = true;
            wake.notify_one();
        }
        std::unique_lock lock(mutex);
        bool const ended = gone.wait_for(lock, mapper.farewell, [this] { return over; });
        lock.unlock();
        // A router that keeps us in a read for ever must not keep the node from stopping: the
        // thread owns what it uses, and ends with the process.
        if (ended)
            thread.join();
        else
            thread.detach();
    }

    // ---- on its own thread

    void work() {
        run();
        std::lock_guard const lock(mutex);
        over = true;
        gone.notify_one();
    }

    void run() {
        std::optional<PortMapping> held;
        for (std::unique_lock lock(mutex); !stopping;) {
            wake.wait(lock, [this] { return stopping || wanted.has_value(); });
            if (stopping) break;
            auto const request = *std::exchange(wanted, std::nullopt);
            lock.unlock();
            auto answer = mapper.map(request);
            if (answer) held = *answer;
            lock.lock();
            if (stopping) break;  // the context may be gone
            boost::asio::post(context, [self = shared_from_this(), answer = std::move(answer)] {
                self->on_answer(answer);
            });
        }
        if (held) mapper.release(*held);
    }

    boost::asio::io_context& context;
    ports::Clock const& clock;
    PortMapper mapper;
    std::function<void(std::optional<std::uint16_t>)> changed;
    PortKeeper keeper;
    std::optional<boost::asio::steady_timer> timer;
    std::optional<std::uint16_t> announced;
    bool stopped = false;

    std::mutex mutex;  // guards the three below
    std::condition_variable wake, gone;
    std::optional<PortMapping> wanted;
    bool stopping = false;
    bool over = false;  // the thread touches nothing of others any more
    std::thread thread;
};

PortMapper router_port_mapper() {
    return {.map = [](PortMapping const& wanted) { return map_in_process(wanted); },
            .release = [](PortMapping const& mapping) { release_in_process(mapping); },
            .farewell = router_release_patience + std::chrono::seconds(1)};
}

PortForwarder::PortForwarder(boost::asio::io_context& context, ports::Clock const& clock,
                             std::uint16_t port, PortMapper mapper,
                             std::function<void(std::optional<std::uint16_t>)> changed)
    : impl_(std::make_shared<Impl>(context, clock, port, std::move(mapper), std::move(changed))) {
    impl_->thread = std::thread([impl = impl_] { impl->work(); });
    impl_->turn();
}

PortForwarder::~PortForwarder() {
    impl_->stop();
}

}  // namespace kith::io
