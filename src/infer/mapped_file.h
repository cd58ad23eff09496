// infer/mapped_file.h: a file as read-only memory.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::infer {

// Owns a mapping of a whole regular file; the view stays valid, at the same address, while the
// object (or the one it was moved into) lives. The file must not shrink meanwhile: reading a page
// that is gone kills the process (SIGBUS), so files are replaced by rename, never truncated in
// place.
class MappedFile {
public:
    // Code::not_found, Code::io, or Code::invalid (not a regular file, or empty).
    static base::Result<MappedFile> open(std::string const& path);
    // Of a file that somebody opened, of this size (not 0). The descriptor is not needed
    // afterwards. Code::io.
    static base::Result<MappedFile> map(int descriptor, std::size_t size);

    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(MappedFile const&) = delete;
    MappedFile& operator=(MappedFile const&) = delete;
    ~MappedFile();

    [[nodiscard]] base::ByteView bytes() const { return {data_, size_}; }

    // Whole pages of `part` leave this process's memory and are read again when touched; a part
    // that is not of this file is left alone.
    void give_back(base::ByteView part) const;

private:
    MappedFile(std::uint8_t const* data, std::size_t size) : data_(data), size_(size) {}

    std::uint8_t const* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace kith::infer
