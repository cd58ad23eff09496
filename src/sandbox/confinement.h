// sandbox/confinement.h: gives up, for the rest of this process's life, all that reading a hostile
// file does not need: opening files, the network, other programs, other processes, new rights.
//
// What stays: the descriptors it holds, memory that is not executable, threads, the clock,
// randomness. A call for anything else fails where a library makes such calls and copes
// (syscall_filter.h), and ends the process (SIGSYS) otherwise. Three mechanisms of Linux, each
// enough against most of it: no_new_privs and seccomp (syscall_filter.h), landlock (landlock.h),
// resource limits (limits.h).
#pragma once

#include <string>

#include "base/result.h"
#include "sandbox/limits.h"

namespace kith::sandbox {

// What to do where the kernel has no seccomp. Without it only files and limits are held.
enum class Unfiltered { refuse, accept };

struct Policy {
    Limits limits = {};
    Unfiltered unfiltered = Unfiltered::refuse;
};

// What this kernel could do, so that the caller can say so.
struct Confinement {
    bool seccomp = false;
    int landlock_abi = 0;  // 0: the kernel has none, or it is switched off
    bool address_space_limited = false;
};

// Not undone by anything, and inherited by what this process would start. Called while it has one
// thread: landlock holds only the calling one and those it starts (Code::conflict otherwise).
// Code::unsupported: no seccomp here, and the policy refuses. Code::internal: a mechanism that the
// kernel has did not work; then a part may hold already, and the process should end.
base::Result<Confinement> confine(Policy const& policy);

}  // namespace kith::sandbox
