// app/memory_dumps.h: the memory of this process stays in it. No core file is written, not by a
// crash handler of the system either, and other processes of the same user cannot read or trace it
// (P26): a core file would be identity.key with another name and mode.
//
// Done by every command before it takes its arguments. Root can still read everything.
#pragma once

#include "base/result.h"

namespace kith::app {

// "1" leaves the memory open to core files and debuggers, for whoever looks for a bug in kith.
inline constexpr char const* allow_core_variable = "KITH_ALLOW_CORE";

// `allow` is the value of that variable, or null. Code::internal: the system refused, which none
// that runs kith does; the command then must not go on.
base::Status forbid_memory_dumps(char const* allow);

}  // namespace kith::app
