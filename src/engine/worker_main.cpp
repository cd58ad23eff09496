#include "engine/worker_main.h"

#include "engine/stage_worker.h"
#include "engine/tool_worker.h"

namespace kith::engine {

std::optional<int> worker_main(std::vector<std::string> const& arguments) {
    if (arguments.size() != 2 || arguments[0] != worker_word) return std::nullopt;
    if (arguments[1] == tool_word) return tool_worker();
    if (arguments[1] == stage_word) return stage_worker();
    return std::nullopt;
}

}  // namespace kith::engine
