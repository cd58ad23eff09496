// app/process_inputs.h: arguments and environment, taken once at the start of main and cleaned of
// secrets (P21).
//
// Other users can read a process's arguments in /proc/PID/cmdline, and children inherit its
// environment. So invite tokens and API keys are copied out and overwritten where they stood,
// before anything else happens.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"

namespace kith::app {

// The invite token, under our name and under that of the system people come from.
inline constexpr char const* token_variable = "KITH_INVITE_TOKEN";
inline constexpr char const* token_variable_other = "PROGRESSPALS_INVITE_TOKEN";

// Copies the arguments (without the program's name) and overwrites the secret ones in `argv` with
// 'x': everything that looks like a token, everything after join or login that is no option, and
// the value of --api-key.
std::vector<std::string> take_arguments(int count, char** argv);

// Copies HOME, XDG_*, KITH_* and the token variables out of `environment` (as in environ(7)).
// Secret ones are overwritten there and removed from the environment of this process.
Environment take_environment(char** environment);

}  // namespace kith::app
