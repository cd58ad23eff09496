#include <cstdlib>

#include "engine/worker_test_support.h"

namespace kith::engine {

WorkerProgram worker(std::string const& flaw, std::string const& path) {
    char const* const armed = std::getenv("KITH_SABOTAGE");
    return {.path = path.empty() ? ENGINE_WORKER : path,
            .environment = {"KITH_SABOTAGE=" + (armed ? std::string(armed) + "," : std::string()) +
                            flaw}};
}

}  // namespace kith::engine
