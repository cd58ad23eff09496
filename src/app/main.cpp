// kith: one binary. Closes its memory to others, cleans the process of secrets, then hands over to
// the command line.
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <google/protobuf/stubs/logging.h>

#include "app/commands.h"
#include "app/memory_dumps.h"
#include "app/process_inputs.h"
#include "base/heap.h"
#include "base/sabotage.h"
#include "engine/worker_main.h"
#include "io/nat/router_process.h"

int main(int count, char** argv) {
    kith::base::keep_freed_memory();
#ifdef KITH_SABOTAGE
    if (char const* const names = std::getenv("KITH_SABOTAGE")) kith::base::sabotage_arm(names);
#endif
    auto const closed = kith::app::forbid_memory_dumps(std::getenv(kith::app::allow_core_variable));
    if (!closed) {
        std::fprintf(stderr, "kith: %s\n", closed.error().message.c_str());
        return static_cast<int>(kith::app::ExitCode::failure);
    }
    auto const arguments = kith::app::take_arguments(count, argv);
    auto const environment = kith::app::take_environment(environ);
    ::umask(077);                   // whatever kith creates belongs to its user alone
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of one write, not the end
    // It writes a line for each malformed message, so a peer could fill the disk (S22).
    google::protobuf::SetLogHandler(nullptr);
    try {
        if (auto const code = kith::engine::worker_main(arguments)) return *code;
        if (auto const code = kith::io::router_main(arguments)) return *code;
        return static_cast<int>(kith::app::run_command_line(arguments, environment));
    } catch (std::exception const& error) {
        // Only out of memory and bugs of libraries come this far.
        std::fprintf(stderr, "kith: internal error: %s\n", error.what());
        return static_cast<int>(kith::app::ExitCode::failure);
    }
}
