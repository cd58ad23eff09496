#include "infer/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace kith::infer {

using base::ByteView;
using base::Code;
using base::fail;
using base::Result;
using base::Status;

Result<NewFile> NewFile::create(std::string path) {
    auto const partial = path + ".partial";
    int const file =
        ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file < 0) return fail(Code::io, "cannot create " + partial + ": " + std::strerror(errno));
    return NewFile(std::move(path), file);
}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

NewFile::~NewFile() {
    if (file_ < 0) return;
    ::close(file_);
    ::unlink((path_ + ".partial").c_str());
}

Status NewFile::write(ByteView bytes) {
    while (!bytes.empty()) {
        auto const count = ::write(file_, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed("cannot write");
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

Status NewFile::commit() {
    if (::fsync(file_) != 0) return failed("cannot write");
    if (::close(std::exchange(file_, -1)) != 0) return failed("cannot write");
    if (std::rename((path_ + ".partial").c_str(), path_.c_str()) != 0)
        return failed("cannot rename to");
    return {};
}

Status NewFile::failed(char const* what) const {
    return fail(Code::io, std::string(what) + " " + path_ + ": " + std::strerror(errno));
}

}  // namespace kith::infer
