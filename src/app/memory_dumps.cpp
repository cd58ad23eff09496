#include "app/memory_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "base/sabotage.h"

namespace kith::app {
namespace {

std::unexpected<base::Error> refused(char const* what) {
    return base::fail(base::Code::internal, std::string("the system does not let kith keep ") +
                                                what + ": " +
                                                std::generic_category().message(errno));
}

}  // namespace

base::Status forbid_memory_dumps(char const* allow) {
    if (allow != nullptr && std::string_view(allow) == "1") return {};
    // The limit covers core files, also of children; a crash handler that the kernel starts
    // (core_pattern with a pipe) ignores it and asks the other one.
    rlimit const none{};
    if (!KITH_GUARD("P26.core_limit", ::setrlimit(RLIMIT_CORE, &none) == 0))
        return refused("its memory out of core files");
    if (!KITH_GUARD("P26.dumpable", ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0))
        return refused("its memory from other processes");
    return {};
}

}  // namespace kith::app
