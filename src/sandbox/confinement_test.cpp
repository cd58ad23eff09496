// What a confined process can still do, and what not: each attempt in a child of its own.
#include "sandbox/confinement.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"
#include "base/temporary_folder.h"
#include "sandbox/child_starter.h"
#include "sandbox/landlock.h"

namespace kith::sandbox {
namespace {

constexpr int succeeded = 0;
constexpr int failed = 10;        // the attempt failed with an error
constexpr int not_confined = 20;  // confine() itself failed

struct End {
    int exit = -1;
    int signal = 0;
};

// What becomes of a child that returns this from its main().
End in_child(std::function<int()> const& main) {
    pid_t const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(main());
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) return {.signal = WTERMSIG(status)};
    return {.exit = WEXITSTATUS(status)};
}

// What becomes of a child that confines itself and then tries something.
End confined(std::function<bool()> const& attempt, Policy const& policy = {}) {
    return in_child([&] {
        if (!confine(policy)) return not_confined;
        return attempt() ? succeeded : failed;
    });
}

int kernel_landlock_version() {
    auto const version = ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, 1U);
    return version < 0 ? 0 : static_cast<int>(version);
}

base::FileDescriptor file_with(base::TemporaryFolder const& folder, char const* text) {
    auto const path = folder.path() / "given";
    base::FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::write(file.get(), text, 3) == 3);
    return base::FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

TEST_CASE("a confined process reads the descriptor that it was given") {
    base::TemporaryFolder const folder;
    auto const file = file_with(folder, "abc");
    auto const end = confined([&file] {
        std::array<char, 3> text{};
        void* const view = ::mmap(nullptr, 3, PROT_READ, MAP_PRIVATE, file.get(), 0);
        return ::pread(file.get(), text.data(), 3, 0) == 3 && text[0] == 'a' &&
               view != MAP_FAILED && static_cast<char const*>(view)[2] == 'c';
    });
    CHECK(end.exit == succeeded);
}

TEST_CASE("a confined process computes, with threads and memory") {
    auto const end = confined([] {
        std::vector<int> numbers(1 << 20, 1);
        std::thread other([&numbers] { numbers[7] = 2; });
        other.join();
        return numbers[7] == 2;
    });
    CHECK(end.exit == succeeded);
}

TEST_CASE("S87: a confined process opens no other file, to read or to write") {
    base::TemporaryFolder const folder;
    auto const path = (folder.path() / "new").string();
    CHECK(confined([] { return ::open("/etc/passwd", O_RDONLY) >= 0; }).exit == failed);
    CHECK(confined([] { return ::open("/proc/self/maps", O_RDONLY) >= 0; }).exit == failed);
    CHECK(confined([&path] { return ::open(path.c_str(), O_WRONLY | O_CREAT, 0600) >= 0; }).exit ==
          failed);
    CHECK(confined([&path] { return std::fopen(path.c_str(), "w") != nullptr; }).exit == failed);
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("S87: a confined process ends when it asks for more than reading") {
    CHECK(confined([] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0; }).signal == SIGSYS);
    CHECK(confined([] { return ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0; }).signal == SIGSYS);
    CHECK(confined([] { return ::fork() >= 0; }).signal == SIGSYS);
    CHECK(confined([] { return ::kill(::getppid(), 0) == 0; }).signal == SIGSYS);
    CHECK(confined([] { return ::kill(::getpid(), 0) == 0; }).signal == SIGSYS);
    CHECK(confined([] { return ::unlink("nothing-of-that-name") == 0; }).signal == SIGSYS);
    CHECK(confined([] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }).signal ==
          SIGSYS);
    CHECK(confined([] {
              std::array<char*, 2> arguments{const_cast<char*>("true"), nullptr};
              return ::execv("/bin/true", arguments.data()) == 0;
          }).signal == SIGSYS);
}

TEST_CASE("S87: a confined process ends when it makes memory executable") {
    auto const end = confined([] {
        return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
    });
    CHECK(end.signal == SIGSYS);
}

TEST_CASE("landlock alone keeps files and TCP from a process") {
    if (kernel_landlock_version() == 0) {
        MESSAGE("this kernel has no landlock");
        return;
    }
    auto const alone = [](std::function<bool()> const& attempt) {
        return in_child([&attempt] {
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (!forbid_files_and_network()) return not_confined;
            return attempt() ? succeeded : failed;
        });
    };
    CHECK(alone([] { return ::open("/etc/passwd", O_RDONLY) >= 0; }).exit == failed);
    CHECK(alone([] { return ::mkdir("kith-landlock-test", 0700) == 0; }).exit == failed);
    if (kernel_landlock_version() < 4) return;
    CHECK(alone([] {
              int const socket = ::socket(AF_INET, SOCK_STREAM, 0);
              sockaddr_in any{};
              any.sin_family = AF_INET;
              return ::bind(socket, reinterpret_cast<sockaddr const*>(&any), sizeof(any)) == 0;
          }).exit == failed);
}

TEST_CASE("S87: landlock holds where the kernel has it, and what the kernel has is reported") {
    auto const end = in_child([] {
        auto const done = confine({});
        return done && done->seccomp && !done->address_space_limited ? done->landlock_abi : 100;
    });
    CHECK(end.exit == kernel_landlock_version());
}

TEST_CASE("a child ends with the object whose thread started it, not with the thread that asked") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    base::FileDescriptor const reading(ends[0]);
    base::FileDescriptor writing(ends[1]);
    std::optional<ChildStarter> starter(std::in_place);
    std::optional<ChildProcess> child;
    std::thread asks([&] {
        // Says one byte when it is ready, then sleeps; PR_SET_PDEATHSIG is what end_with_parent()
        // sets, and python's is the shortest way to it.
        auto made = starter->start(
            {.program = "/usr/bin/python3",
             .arguments = {"-c",
                           "import ctypes,os,time\nctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
                           "os.write(3, b'x')\ntime.sleep(600)"},
             .descriptors = {writing.get()}});
        if (made) child.emplace(*std::move(made));
    });
    asks.join();
    REQUIRE(child.has_value());
    writing = {};
    char byte = 0;
    REQUIRE(::read(reading.get(), &byte, 1) == 1);
    int status = 0;
    CHECK(::waitpid(child->id(), &status, WNOHANG) == 0);  // lives
    starter.reset();
    CHECK(child->wait().signal == SIGKILL);
}

TEST_CASE("a process with threads is not confined: landlock would hold only one of them") {
    auto const end = in_child([] {
        std::atomic<bool> over = false;
        std::thread other([&over] { over.wait(false); });
        auto const done = confine({});
        over = true;
        over.notify_all();
        other.join();
        return !done && done.error().code == base::Code::conflict ? succeeded : failed;
    });
    CHECK(end.exit == succeeded);
}

TEST_CASE("processor time is limited") {
    Policy policy;
    policy.limits.cpu_seconds_max = 1;
    auto const end = confined(
        [] {
            std::atomic<bool> over = false;
            while (!over) {
            }
            return true;
        },
        policy);
    CHECK(end.signal == SIGKILL);
}

TEST_CASE("a process that may have no further descriptor can be confined") {
    // Only builds without sanitizers keep this limit (limits.h).
    Policy policy;
    policy.limits.descriptors_max = 3;
    CHECK(confined([] { return true; }, policy).exit == succeeded);
}

}  // namespace kith::sandbox
