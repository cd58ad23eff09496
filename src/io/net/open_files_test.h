// io/net/open_files_test.h: for tests: a test that uses sockets leaves none behind. Made first and
// so destroyed last, it compares how many files the process has open.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <iterator>

namespace kith::io::test {

inline std::ptrdiff_t open_files_count() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator{});
}

class OpenFiles {
public:
    OpenFiles() = default;
    OpenFiles(OpenFiles const&) = delete;
    OpenFiles& operator=(OpenFiles const&) = delete;
    ~OpenFiles() { CHECK(open_files_count() == before_); }

private:
    std::ptrdiff_t before_ = open_files_count();
};

}  // namespace kith::io::test
