// engine/worker_main.h: main() of a worker process.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/worker_program.h"

namespace kith::engine {

// Nothing when the arguments (without the program's name) are not those of a worker. Otherwise
// works until the parent has had enough, and returns what main() returns.
std::optional<int> worker_main(std::vector<std::string> const& arguments);

}  // namespace kith::engine
