#include "sandbox/syscall_filter.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace kith::sandbox {
namespace {

constexpr int allowed[] = {
    // descriptors that are open already
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
    SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(poll), SCMP_SYS(ppoll),
    // memory; mmap and mprotect have a condition below
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
    // threads; clone has a condition
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(gettid), SCMP_SYS(getpid),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(setpriority),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
    // signals; tgkill has a condition
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    // time and randomness
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(getrandom)};

struct Refused {
    int call;
    int error;
};
constexpr Refused refused[] = {
    {SCMP_SYS(open), EACCES},       {SCMP_SYS(openat), EACCES},   {SCMP_SYS(openat2), EACCES},
    {SCMP_SYS(stat), EACCES},       {SCMP_SYS(fstat), EACCES},    {SCMP_SYS(newfstatat), EACCES},
    {SCMP_SYS(statx), EACCES},      {SCMP_SYS(access), EACCES},   {SCMP_SYS(faccessat), EACCES},
    {SCMP_SYS(faccessat2), EACCES}, {SCMP_SYS(ioctl), ENOTTY},    {SCMP_SYS(prctl), EPERM},
    {SCMP_SYS(clone3), ENOSYS},     {SCMP_SYS(sysinfo), EPERM},   {SCMP_SYS(uname), EPERM},
#if !defined(__SANITIZE_ADDRESS__) && !defined(KITH_THREAD_SANITIZER)
    {SCMP_SYS(readlink), EACCES},   {SCMP_SYS(prlimit64), EPERM}, {SCMP_SYS(getrlimit), EPERM},
#endif
};

constexpr int allowed_to_sanitizers[] = {
#if defined(__SANITIZE_ADDRESS__) || defined(KITH_THREAD_SANITIZER)
    SCMP_SYS(readlink), SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(pipe2),
#endif
    SCMP_SYS(getpid)};

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

bool allow(Filter const& filter, int call) {
    return seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0) == 0;
}

bool allow_if(Filter const& filter, int call, scmp_arg_cmp condition) {
    return seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 1, &condition) == 0;
}

// The argument's bits of `mask` are `value`.
scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
    return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

bool add_rules(Filter const& filter) {
    bool added = true;
    for (int const call : allowed) added = added && allow(filter, call);
    for (int const call : allowed_to_sanitizers) added = added && allow(filter, call);
    for (auto const& [call, error] : refused)
        added =
            added && seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)),
                                      call, 0) == 0;
    // No new code: nothing that was written can be run.
    added = added && allow_if(filter, SCMP_SYS(mmap), masked(2, PROT_EXEC, 0));
    added = added && allow_if(filter, SCMP_SYS(mprotect), masked(2, PROT_EXEC, 0));
    // Threads, no processes.
    constexpr std::uint64_t thread = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
    added = added && allow_if(filter, SCMP_SYS(clone), masked(0, thread, thread));
    // abort() and raise(): signals to itself.
    auto const self = static_cast<std::uint64_t>(::getpid());
    added = added && allow_if(filter, SCMP_SYS(tgkill), {0, SCMP_CMP_EQ, self, 0});
    return added;
}

}  // namespace

bool has_syscall_filters() {
    std::uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) == 0;
}

base::Result<bool> filter_syscalls() {
    if (!has_syscall_filters()) return false;
    Filter const filter(seccomp_init(SCMP_ACT_KILL_PROCESS), &seccomp_release);
    if (filter == nullptr) return base::fail(base::Code::internal, "libseccomp makes no filter");
    bool const ready =
        seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
        seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) == 0 && add_rules(filter);
    if (!ready || seccomp_load(filter.get()) != 0)
        return base::fail(base::Code::internal, "the kernel refuses the filter of system calls");
    return true;
}

}  // namespace kith::sandbox
