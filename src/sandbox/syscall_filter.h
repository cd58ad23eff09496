// sandbox/syscall_filter.h: the system calls that a confined process may still make, as a seccomp
// filter (seccomp(2)) that libseccomp compiles.
//
// An allow-list: reading, writing and closing descriptors; memory that is not executable; threads;
// locks; time; randomness; signals to itself. Answered with an error, because libraries try them
// and go on without: opening, looking at and listing files, ioctl, prctl, clone3 (its flags lie in
// memory, where a filter cannot look; the C library then calls clone). Everything else, and every
// call in another calling convention of the machine, ends the process with SIGSYS.
//
// The sanitizers ask for limits and the names of files in addition, and probe memory with a pipe.
// They count as present where the compiler says so (__SANITIZE_ADDRESS__); the product never has
// them.
#pragma once

#include "base/result.h"

namespace kith::sandbox {

// For all threads of this process. False: the kernel has no filters, and nothing is changed.
// Code::internal: it has them and refuses this one. Needs no_new_privs.
base::Result<bool> filter_syscalls();

// Whether this kernel has filters, without using them.
bool has_syscall_filters();

}  // namespace kith::sandbox
