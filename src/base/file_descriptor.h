// base/file_descriptor.h: owns one open file, socket or event descriptor (POSIX) and closes it.
#pragma once

#include <unistd.h>

#include <utility>

namespace kith::base {

// What close() would say is dropped: who must know that his bytes are on disk calls fsync() before.
class FileDescriptor {
public:
    FileDescriptor() = default;
    // Takes what a system call returned; negative is none.
    explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
    FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.release()) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        FileDescriptor const old(std::exchange(descriptor_, other.release()));
        return *this;
    }
    ~FileDescriptor() {
        if (is_open()) ::close(descriptor_);
    }

    [[nodiscard]] int get() const { return descriptor_; }
    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
    // The caller closes it from here on.
    [[nodiscard]] int release() { return std::exchange(descriptor_, -1); }

private:
    int descriptor_ = -1;
};

}  // namespace kith::base
