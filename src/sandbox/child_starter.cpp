#include "sandbox/child_starter.h"

#include <optional>
#include <semaphore>
#include <system_error>
#include <thread>

namespace kith::sandbox {

// The two semaphores hand the fields over: to the thread with `asked`, back with `answered`.
struct ChildStarter::State {
    std::binary_semaphore asked{0};
    std::binary_semaphore answered{0};
    Launch const* launch = nullptr;  // nullptr: it is over
    std::optional<base::Result<ChildProcess>> child;
    std::thread thread;

    void run() {
        for (;;) {
            asked.acquire();
            if (launch == nullptr) return;
            child.emplace(ChildProcess::start(*launch));
            answered.release();
        }
    }
    ~State() {
        if (!thread.joinable()) return;
        launch = nullptr;
        asked.release();
        thread.join();
    }
};

ChildStarter::ChildStarter() : state_(std::make_unique<State>()) {}
ChildStarter::ChildStarter(ChildStarter&&) noexcept = default;
ChildStarter& ChildStarter::operator=(ChildStarter&& other) noexcept = default;
ChildStarter::~ChildStarter() = default;

base::Result<ChildProcess> ChildStarter::start(Launch const& launch) {
    auto& state = *state_;
    if (!state.thread.joinable()) {
        try {
            state.thread = std::thread([&state] { state.run(); });
        } catch (std::system_error const&) {
            return base::fail(base::Code::internal, "the system gives no thread");
        }
    }
    state.launch = &launch;
    state.asked.release();
    state.answered.acquire();
    state.launch = nullptr;
    auto child = std::move(*state.child);
    state.child.reset();
    return child;
}

}  // namespace kith::sandbox
