#include "sandbox/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/file_descriptor.h"

namespace kith::sandbox {
namespace {

using base::Code;
using base::fail;

#ifdef KITH_SABOTAGE
constexpr int standard_streams_closed = 2;  // what sanitizers say is wanted
#else
constexpr int standard_streams_closed = 3;
#endif

// posix_spawn's two objects, which the C library wants initialised and destroyed.
struct SpawnActions {
    posix_spawn_file_actions_t files{};
    posix_spawnattr_t attributes{};
    SpawnActions() {
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawnattr_init(&attributes);
    }
    SpawnActions(SpawnActions const&) = delete;
    SpawnActions& operator=(SpawnActions const&) = delete;
    ~SpawnActions() {
        ::posix_spawn_file_actions_destroy(&files);
        ::posix_spawnattr_destroy(&attributes);
    }

    // The child begins as a program of a shell would: no signal blocked or ignored.
    bool reset_signals() {
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        return ::posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
               ::posix_spawnattr_setsigdefault(&attributes, &all) == 0 &&
               ::posix_spawnattr_setpgroup(&attributes, 0) == 0 &&
               ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                                           POSIX_SPAWN_SETSIGDEF |
                                                           POSIX_SPAWN_SETPGROUP) == 0;
    }

    bool place(std::vector<base::FileDescriptor> const& given) {
        bool placed = true;
        for (int stream = 0; stream < standard_streams_closed; ++stream)
            placed = placed && ::posix_spawn_file_actions_addopen(&files, stream, "/dev/null",
                                                                  O_RDWR, 0) == 0;
        int next = first_descriptor;
        for (auto const& descriptor : given)
            placed =
                placed && ::posix_spawn_file_actions_adddup2(&files, descriptor.get(), next++) == 0;
        return placed && ::posix_spawn_file_actions_addclosefrom_np(&files, next) == 0;
    }
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (auto& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

}  // namespace

std::string describe(Ending const& ending) {
    if (ending.signal == 0) return "ended with " + std::to_string(ending.exit);
    return "ended by signal " + std::to_string(ending.signal) + " (" + ::strsignal(ending.signal) +
           ")";
}

base::Result<ChildProcess> ChildProcess::start(Launch const& launch) {
    if (launch.descriptors.size() > descriptors_given_max)
        return fail(Code::too_large, "too many files for one process");
    // Copies above all final numbers, so that placing one does not overwrite another.
    std::vector<base::FileDescriptor> given;
    int const above = first_descriptor + static_cast<int>(launch.descriptors.size());
    for (int const descriptor : launch.descriptors) {
        given.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, above));
        if (!given.back().is_open())
            return fail(Code::io, std::string("cannot pass a descriptor: ") + std::strerror(errno));
    }
    SpawnActions actions;
    if (!actions.reset_signals() || !actions.place(given))
        return fail(Code::internal, "cannot prepare a process");
    std::vector<std::string> arguments{"kith"};
    arguments.insert(arguments.end(), launch.arguments.begin(), launch.arguments.end());
    auto environment = launch.environment;
    pid_t id = -1;
    int const error =
        ::posix_spawn(&id, launch.program.c_str(), &actions.files, &actions.attributes,
                      pointers(arguments).data(), pointers(environment).data());
    if (error != 0)
        return fail(Code::internal, std::string("cannot start a process: ") + std::strerror(error));
    return ChildProcess(id);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : id_(std::exchange(other.id_, -1)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
}

ChildProcess::~ChildProcess() {
    if (id_ < 0) return;
    kill();
    (void)wait();
}

Ending ChildProcess::wait() {
    int status = 0;
    if (id_ < 0) return {};
    while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
    }
    id_ = -1;
    if (WIFSIGNALED(status)) return {.signal = WTERMSIG(status)};
    return {.exit = WEXITSTATUS(status)};
}

void ChildProcess::kill() {
    if (id_ >= 0) ::kill(id_, SIGKILL);
}

void end_with_parent() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

}  // namespace kith::sandbox
