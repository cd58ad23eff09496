#include "io/grpc/unix_acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "base/sabotage.h"

namespace kith::io {
namespace {

// Pause after an error such as "too many open files", which accept4 would report again at once.
constexpr int retry_ms = 100;

}  // namespace

base::Result<std::unique_ptr<UnixAcceptor>> UnixAcceptor::start(FileDescriptor listener,
                                                                OnConnection on_connection) {
    FileDescriptor wake(::eventfd(0, EFD_CLOEXEC));
    if (!wake.is_open()) return base::fail(base::Code::io, "cannot create an eventfd");
    std::unique_ptr<UnixAcceptor> acceptor(
        new UnixAcceptor(std::move(listener), std::move(wake), std::move(on_connection)));
    try {
        acceptor->thread_ = std::thread([self = acceptor.get()] { self->loop(); });
    } catch (std::system_error const&) {
        return base::fail(base::Code::io, "cannot start the thread of the control socket");
    }
    return acceptor;
}

UnixAcceptor::UnixAcceptor(FileDescriptor listener, FileDescriptor wake, OnConnection on_connection)
    : listener_(std::move(listener)),
      wake_(std::move(wake)),
      on_connection_(std::move(on_connection)) {}

UnixAcceptor::~UnixAcceptor() {
    if (!thread_.joinable()) return;
    std::uint64_t const one = 1;
    // An eventfd with a zero counter takes the value at once; there is nothing to do should it not.
    [[maybe_unused]] auto const written = ::write(wake_.get(), &one, sizeof(one));
    thread_.join();
}

void UnixAcceptor::loop() {
    while (wait(Wait::connection)) accept_one();
}

void UnixAcceptor::accept_one() {
    FileDescriptor connection(
        ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.is_open()) {
        if (errno != EINTR && errno != ECONNABORTED) (void)wait(Wait::pause);
        return;
    }
    // The mode of the file keeps others out already; this holds when somebody loosens it.
    auto const uid = peer_uid(connection);
    if (!KITH_GUARD("M2.peer_uid", uid && *uid == ::geteuid())) return;
    on_connection_(std::move(connection));
}

bool UnixAcceptor::wait(Wait what) {
    std::array<pollfd, 2> polled{{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}}};
    auto const count = what == Wait::connection ? 2U : 1U;
    auto const timeout_ms = what == Wait::connection ? -1 : retry_ms;
    while (::poll(polled.data(), count, timeout_ms) < 0 && errno == EINTR) {
    }
    return (polled[0].revents & POLLIN) == 0;
}

}  // namespace kith::io
