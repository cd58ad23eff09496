#include "infer/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace kith::infer {
namespace {

base::Result<RegularFile> failed(char const* what, std::string const& path) {
    auto const code = errno == ENOENT ? base::Code::not_found : base::Code::io;
    return base::fail(code, std::string(what) + " " + path + ": " + std::strerror(errno));
}

}  // namespace

base::Result<RegularFile> open_regular(std::string const& path) {
    // O_NONBLOCK: a FIFO of that name must not hang us; it is refused below.
    base::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.is_open()) return failed("cannot open", path);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return failed("cannot stat", path);
    if (!S_ISREG(status.st_mode))
        return base::fail(base::Code::invalid, path + " is not a regular file");
    if (status.st_size <= 0) return base::fail(base::Code::invalid, path + " is empty");
    return RegularFile{std::move(file), static_cast<std::size_t>(status.st_size)};
}

}  // namespace kith::infer
