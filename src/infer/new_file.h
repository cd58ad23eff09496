// infer/new_file.h: a file that appears under its name only when it is complete and on disk.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace kith::infer {

// Written as PATH.partial and renamed by commit(); without a commit nothing is left behind. Errors
// are Code::io.
class NewFile {
public:
    static base::Result<NewFile> create(std::string path);
    NewFile(NewFile&& other) noexcept;
    NewFile& operator=(NewFile&&) = delete;
    ~NewFile();

    base::Status write(base::ByteView bytes);
    base::Status commit();  // last call; replaces an existing file

private:
    NewFile(std::string path, int file) : path_(std::move(path)), file_(file) {}
    [[nodiscard]] base::Status failed(char const* what) const;

    std::string path_;
    int file_;
};

}  // namespace kith::infer
