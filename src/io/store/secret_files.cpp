#include "io/store/secret_files.h"

#include "identity/secret_file.h"

namespace kith::io {

base::Result<base::Bytes> SecretFiles::read(std::string_view name) {
    auto const bytes = KITH_TRY(identity::read_secret_file(directory_ / name));
    return base::to_bytes(bytes.view());
}

base::Status SecretFiles::replace(std::string_view name, base::ByteView secret) {
    return identity::replace_secret_file(directory_ / name, secret);
}

}  // namespace kith::io
