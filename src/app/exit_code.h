// app/exit_code.h: the exit codes of the command line (sysexits.h where it has one). Stable:
// scripts branch on them.
#pragma once

#include "base/result.h"

namespace kith::app {

enum class ExitCode : int {
    ok = 0,
    failure = 1,
    usage = 2,
    no_daemon = 69,      // EX_UNAVAILABLE: `kith serve` does not run here
    try_again = 75,      // EX_TEMPFAIL
    not_permitted = 77,  // EX_NOPERM
    bad_config = 78,     // EX_CONFIG
    interrupted = 130,   // 128 + SIGINT, as shells say it
};

// What an error of a handler means for the shell.
ExitCode exit_code_of(base::Code code);

}  // namespace kith::app
