// tests/engine_worker.cpp: a worker as kith starts it, without the rest of kith: quick to link.
#include <csignal>
#include <cstdlib>

#include "base/sabotage.h"
#include "engine/worker_main.h"

int main(int count, char** arguments) {
#ifdef KITH_SABOTAGE
    if (char const* const names = std::getenv("KITH_SABOTAGE")) kith::base::sabotage_arm(names);
#endif
    std::signal(SIGPIPE, SIG_IGN);
    return kith::engine::worker_main({arguments + 1, arguments + count}).value_or(2);
}
