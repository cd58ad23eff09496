// infer/regular_file.h: opens a file that somebody named, for reading.
#pragma once

#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace kith::infer {

struct RegularFile {
    base::FileDescriptor file;
    std::size_t size = 0;  // when it was opened; not 0
};

// Code::not_found, Code::io, or Code::invalid (not a regular file, or empty).
base::Result<RegularFile> open_regular(std::string const& path);

}  // namespace kith::infer
