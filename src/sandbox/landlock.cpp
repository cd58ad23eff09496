#include "sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/file_descriptor.h"

namespace kith::sandbox {
namespace {

// Documentation/userspace-api/landlock.rst of Linux 6.18. Debian 12's header ends at version 2.
struct RulesetAttributes {
    std::uint64_t handled_access_fs;
    std::uint64_t handled_access_net;  // version 4
    std::uint64_t scoped;              // version 6
};
constexpr unsigned create_ruleset_version = 1;  // flag: return the version instead

constexpr std::uint64_t low_bits(unsigned count) {
    return (std::uint64_t{1} << count) - 1;
}

// All that this version can forbid: rights are numbered in the order in which they came.
RulesetAttributes everything(long version) {
    return {.handled_access_fs = version >= 5   ? low_bits(16)  // ioctl of devices
                                 : version >= 3 ? low_bits(15)  // truncate
                                 : version >= 2 ? low_bits(14)  // refer
                                                : low_bits(13),
            .handled_access_net = version >= 4 ? low_bits(2) : 0,
            .scoped = version >= 6 ? low_bits(2) : 0};
}

std::size_t attributes_size(long version) {
    return version >= 6   ? sizeof(RulesetAttributes)
           : version >= 4 ? offsetof(RulesetAttributes, scoped)
                          : offsetof(RulesetAttributes, handled_access_net);
}

}  // namespace

int landlock_version() {
    auto const version =
        ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, create_ruleset_version);
    // ENOSYS: not built in; EOPNOTSUPP: switched off at boot; EPERM: a container's filter.
    return version < 1 ? 0 : static_cast<int>(version);
}

base::Result<int> forbid_files_and_network() {
    int const version = landlock_version();
    if (version == 0) return 0;
    auto const attributes = everything(version);
    base::FileDescriptor const ruleset(static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &attributes, attributes_size(version), 0U)));
    // A ruleset without rules allows nothing.
    if (!ruleset.is_open() || ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0U) != 0)
        return base::fail(base::Code::internal,
                          std::string("landlock refuses: ") + std::strerror(errno));
    return version;
}

}  // namespace kith::sandbox
