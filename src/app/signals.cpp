#include "app/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace kith::app {
namespace {

sigset_t watched() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    // The terminal or ssh session went away. Under nohup it is ignored and stays so: a signal that
    // is ignored would be seen here all the same.
    struct sigaction hangup {};
    if (::sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&set, SIGHUP);
    return set;
}

}  // namespace

base::Result<std::unique_ptr<SignalWatcher>> SignalWatcher::start(std::function<void()> first) {
    auto const set = watched();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::unique_ptr<SignalWatcher> watcher(
        new SignalWatcher(base::FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC)),
                          base::FileDescriptor(::eventfd(0, EFD_CLOEXEC)), std::move(first)));
    if (!watcher->signals_.is_open() || !watcher->wake_.is_open())
        return base::fail(base::Code::io, "the system does not let kith watch for signals");
    try {
        watcher->thread_ = std::thread([self = watcher.get()] { self->loop(); });
    } catch (std::system_error const&) {
        return base::fail(base::Code::io, "cannot start the thread that watches for signals");
    }
    return watcher;
}

SignalWatcher::SignalWatcher(base::FileDescriptor signals, base::FileDescriptor wake,
                             std::function<void()> first)
    : signals_(std::move(signals)), wake_(std::move(wake)), first_(std::move(first)) {}

SignalWatcher::~SignalWatcher() {
    if (thread_.joinable()) {
        std::uint64_t const one = 1;
        [[maybe_unused]] auto const written = ::write(wake_.get(), &one, sizeof(one));
        thread_.join();
    }
    auto const set = watched();
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void SignalWatcher::loop() {
    std::array<pollfd, 2> polled{{{signals_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
    for (;;) {
        if (::poll(polled.data(), polled.size(), -1) < 0) {
            if (errno == EINTR) continue;
            return;
        }
        if ((polled[1].revents & POLLIN) != 0) return;
        signalfd_siginfo info{};
        if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) continue;
        auto const first = std::exchange(first_, nullptr);
        if (!first) ::_exit(128 + static_cast<int>(info.ssi_signo));
        first();
    }
}

}  // namespace kith::app
