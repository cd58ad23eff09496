#include "sandbox/limits.h"

#include <sys/resource.h>

namespace kith::sandbox {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(KITH_THREAD_SANITIZER)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

bool limit(decltype(RLIMIT_CORE) resource, std::uint64_t value) {
    rlimit const both{.rlim_cur = value, .rlim_max = value};
    return ::setrlimit(resource, &both) == 0;
}

}  // namespace

base::Result<bool> set_limits(Limits const& limits) {
    bool const address_space = limits.address_space_bytes_max != 0 && !is_sanitized;
    bool set = limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0);
    if (!is_sanitized) set = set && limit(RLIMIT_NOFILE, limits.descriptors_max);
    if (address_space) set = set && limit(RLIMIT_AS, limits.address_space_bytes_max);
    if (limits.cpu_seconds_max != 0) set = set && limit(RLIMIT_CPU, limits.cpu_seconds_max);
    if (!set) return base::fail(base::Code::internal, "the kernel refuses resource limits");
    return address_space;
}

}  // namespace kith::sandbox
