// infer/source_file.h: a GGUF file of the user's that is being cut, as memory that stays valid
// whatever happens to the file.
//
// A mapping of it (infer/mapped_file.h) would kill the process when somebody truncates the file
// meanwhile. Here every byte is copied in with pread: a file that became shorter is an error, one
// that changed gives other bytes, which the shards' hashes then describe.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace kith::infer {

// Read at once and kept: the metadata and tensor list of every model that the limits of gguf.h
// allow in practice (the largest vocabularies take 10 MiB).
inline constexpr std::size_t source_head_bytes = std::size_t{64} << 20U;

class SourceFile {
public:
    // Code::not_found, Code::io, or Code::invalid (not a regular file, or empty).
    static base::Result<SourceFile> open(std::string const& path);

    SourceFile(SourceFile&& other) noexcept;
    SourceFile& operator=(SourceFile&&) = delete;
    SourceFile(SourceFile const&) = delete;
    ~SourceFile();

    // All of the file at its size when it was opened, always at this address. What was not loaded
    // and is not in the head reads as zeros.
    [[nodiscard]] base::ByteView bytes() const { return {data_, size_}; }
    // Reads a part of bytes() (asserted) from the file. Code::io: it became shorter, or the disk.
    base::Status load(base::ByteView part);
    // Gives the memory of a part back; the head stays.
    void unload(base::ByteView part);

private:
    struct Pages {
        std::size_t begin = 0;
        std::size_t end = 0;  // beyond the file's end by less than a page
    };
    SourceFile(std::string path, base::FileDescriptor file, std::uint8_t* data, std::size_t size)
        : path_(std::move(path)), file_(std::move(file)), data_(data), size_(size) {}
    [[nodiscard]] Pages pages_of(base::ByteView part) const;

    std::string path_;
    base::FileDescriptor file_;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace kith::infer
