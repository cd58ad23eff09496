#include "engine/worker_main.h"

#include <sys/stat.h>

#include "engine/stage_worker.h"
#include "engine/tool_worker.h"
#include "sandbox/child_process.h"

namespace kith::engine {
namespace {

// A person who types the word has no socket where a worker has one.
bool has_parent() {
    struct stat status {};
    return ::fstat(sandbox::first_descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

std::optional<int> worker_main(std::vector<std::string> const& arguments) {
    if (arguments.size() != 2 || arguments[0] != worker_word || !has_parent()) return std::nullopt;
    if (arguments[1] == tool_word) return tool_worker();
    if (arguments[1] == stage_word) return stage_worker();
    return std::nullopt;
}

}  // namespace kith::engine
