// io/store/secret_files.h: ports::SecretStore as 0600 files in one directory, by the rules of
// identity/secret_file.h.
#pragma once

#include <filesystem>

#include "ports/secret_store.h"

namespace kith::io {

class SecretFiles final : public ports::SecretStore {
public:
    explicit SecretFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}
    base::Result<base::Bytes> read(std::string_view name) override;
    base::Status replace(std::string_view name, base::ByteView secret) override;

private:
    std::filesystem::path directory_;
};

}  // namespace kith::io
