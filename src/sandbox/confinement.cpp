#include "sandbox/confinement.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/sabotage.h"
#include "sandbox/landlock.h"
#include "sandbox/syscall_filter.h"

namespace kith::sandbox {
namespace {

using base::Code;
using base::fail;

bool has_one_thread() {
#if defined(KITH_THREAD_SANITIZER)
    return true;  // the sanitizer has a thread of its own
#else
    // proc(5): the folder has an entry per thread, and two more links as every folder.
    struct stat status {};
    return ::stat("/proc/self/task", &status) == 0 && status.st_nlink == 3;
#endif
}

}  // namespace

base::Result<Confinement> confine(Policy const& policy) {
    Confinement done;
    if (!has_one_thread()) return fail(Code::conflict, "confine: not in a process of one thread");
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(Code::internal, "confine: the kernel refuses no_new_privs");
    if (!KITH_GUARD("S87.landlock", false))
        done.landlock_abi = KITH_TRY(forbid_files_and_network());
    // After landlock, which wants a descriptor for a moment.
    done.address_space_limited = KITH_TRY(set_limits(policy.limits));
    // Last: the filter forbids the calls above.
    done.seccomp = KITH_GUARD("S87.seccomp", KITH_TRY(filter_syscalls()));
    if (!done.seccomp && policy.unfiltered == Unfiltered::refuse)
        return fail(Code::unsupported, "this kernel has no seccomp filters");
    return done;
}

}  // namespace kith::sandbox
