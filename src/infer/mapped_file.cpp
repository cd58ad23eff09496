#include "infer/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "infer/regular_file.h"

namespace kith::infer {

base::Result<MappedFile> MappedFile::open(std::string const& path) {
    auto const opened = KITH_TRY(open_regular(path));
    auto mapped = map(opened.file.get(), opened.size);
    if (!mapped) return base::fail(mapped.error().code, path + ": " + mapped.error().message);
    return mapped;
}

base::Result<MappedFile> MappedFile::map(int descriptor, std::size_t size) {
    void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
        return base::fail(base::Code::io, std::string("cannot map: ") + std::strerror(errno));
    return MappedFile(static_cast<std::uint8_t const*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

void MappedFile::give_back(base::ByteView part) const {
    auto const address = [](std::uint8_t const* at) {
        return reinterpret_cast<std::uintptr_t>(at);
    };
    auto const begin = address(part.data());
    auto const end = begin + part.size();
    if (data_ == nullptr || begin < address(data_) || end > address(data_) + size_) return;
    auto const page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    auto const offset = (page - begin % page) % page;
    if (end - begin < offset + page) return;
    auto const size = (end - begin - offset) / page * page;
    (void)::madvise(const_cast<std::uint8_t*>(part.data() + offset), size, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

}  // namespace kith::infer
