#include "infer/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "infer/regular_file.h"

namespace kith::infer {

base::Result<MappedFile> MappedFile::open(std::string const& path) {
    auto const opened = KITH_TRY(open_regular(path));
    void* const data = ::mmap(nullptr, opened.size, PROT_READ, MAP_PRIVATE, opened.file.get(), 0);
    if (data == MAP_FAILED)
        return base::fail(base::Code::io, "cannot map " + path + ": " + std::strerror(errno));
    return MappedFile(static_cast<std::uint8_t const*>(data), opened.size);
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
