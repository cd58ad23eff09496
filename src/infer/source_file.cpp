#include "infer/source_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "infer/regular_file.h"

namespace kith::infer {
namespace {

using base::Code;
using base::fail;

// Anonymous memory that costs nothing until it is written to; readable as zeros.
bool map_zeros(void* at, std::size_t size, int protection) {
    int const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return ::mmap(at, size, protection, flags, -1, 0) != MAP_FAILED;
}

}  // namespace

base::Result<SourceFile> SourceFile::open(std::string const& path) {
    auto opened = KITH_TRY(open_regular(path));
    void* const data =
        ::mmap(nullptr, opened.size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return fail(Code::io, "no room in memory for " + path + ": " + std::strerror(errno));
    SourceFile source(path, std::move(opened.file), static_cast<std::uint8_t*>(data), opened.size);
    KITH_TRY(source.load(source.bytes().first(std::min(source.size_, source_head_bytes))));
    return source;
}

SourceFile::SourceFile(SourceFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SourceFile::~SourceFile() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

SourceFile::Pages SourceFile::pages_of(base::ByteView part) const {
    KITH_ASSERT(part.data() >= data_ && part.data() + part.size() <= data_ + size_);
    auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    auto const begin = static_cast<std::size_t>(part.data() - data_);
    return {begin / page * page, (begin + part.size() + page - 1) / page * page};
}

base::Status SourceFile::load(base::ByteView part) {
    auto const pages = pages_of(part);
    if (!map_zeros(data_ + pages.begin, pages.end - pages.begin, PROT_READ | PROT_WRITE))
        return fail(Code::too_large, "not enough memory to read " + path_);
    auto const end = std::min(pages.end, size_);
    for (auto at = pages.begin; at < end;) {
        auto const got = ::pread(file_.get(), data_ + at, end - at, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(Code::io, "cannot read " + path_ + ": " + std::strerror(errno));
        if (got == 0)
            return fail(Code::io, path_ +
                                      " became shorter while it was read; add it again when "
                                      "nothing writes to it any more");
        at += static_cast<std::size_t>(got);
    }
    return {};
}

void SourceFile::unload(base::ByteView part) {
    auto pages = pages_of(part);
    pages.begin = std::max(pages.begin, source_head_bytes);
    if (pages.begin >= pages.end) return;
    (void)map_zeros(data_ + pages.begin, pages.end - pages.begin, PROT_READ);
}

}  // namespace kith::infer
