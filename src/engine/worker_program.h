// engine/worker_program.h: which program becomes a worker, and the word that makes it one.
#pragma once

#include <string>
#include <vector>

namespace kith::engine {

// The first argument of a worker. Not a command for people, so no help names it.
inline constexpr char const* worker_word = "model-worker";

struct WorkerProgram {
    std::string path = "/proc/self/exe";
    std::vector<std::string> environment = {};  // NAME=value; test builds hand on KITH_SABOTAGE
};

}  // namespace kith::engine
