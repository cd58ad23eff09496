// sandbox/landlock.h: landlock(7): this thread and what it starts can open, make, change or remove
// no file, reach no TCP port, no abstract socket and no process outside of the domain.
//
// Descriptors that are open already keep working, which is how a confined process gets its one
// file. The C library has no functions for these system calls; the kernel's version of the
// interface is asked at run time, and each right is named only from the version on that knows it.
#pragma once

#include "base/result.h"

namespace kith::sandbox {

// The version of landlock that holds from now on; 0: this kernel has none. Needs no_new_privs.
// Code::internal: the kernel has it and refuses.
base::Result<int> forbid_files_and_network();

// The version that this kernel has, without using it; 0: none.
int landlock_version();

}  // namespace kith::sandbox
