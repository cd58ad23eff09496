#include "infer/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file_descriptor.h"

namespace kith::infer {
namespace {

base::Result<MappedFile> failed(char const* what, std::string const& path) {
    auto const code = errno == ENOENT ? base::Code::not_found : base::Code::io;
    return base::fail(code, std::string(what) + " " + path + ": " + std::strerror(errno));
}

}  // namespace

base::Result<MappedFile> MappedFile::open(std::string const& path) {
    // O_NONBLOCK: a FIFO of that name must not hang us; it is refused below.
    base::FileDescriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.is_open()) return failed("cannot open", path);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return failed("cannot stat", path);
    if (!S_ISREG(status.st_mode))
        return base::fail(base::Code::invalid, path + " is not a regular file");
    if (status.st_size <= 0) return base::fail(base::Code::invalid, path + " is empty");
    auto const size = static_cast<std::size_t>(status.st_size);
    void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED) return failed("cannot map", path);
    return MappedFile(static_cast<std::uint8_t const*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

}  // namespace kith::infer
