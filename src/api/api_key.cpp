#include "api/api_key.h"

#include <algorithm>

#include "base/encoding.h"
#include "identity/secret_file.h"

namespace kith::api {
namespace {

bool is_key_digit(std::uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

base::Result<crypto::SecretBytes> checked(crypto::SecretBytes const& content) {
    auto text = content.view();
    if (!text.empty() && text.back() == '\n') text = text.first(text.size() - 1);
    if (text.size() != 2 * api_key_random_bytes || !std::ranges::all_of(text, is_key_digit))
        return base::fail(base::Code::corrupt,
                          "api.key does not hold 64 hex digits; remove it to have a new key made");
    return crypto::SecretBytes(text);
}

}  // namespace

base::Result<StoredApiKey> load_or_create_api_key(
    std::filesystem::path const& directory, base::ByteArray<api_key_random_bytes> const& random) {
    auto path = directory / api_key_file_name;
    auto existing = identity::read_secret_file(path);
    if (!existing && existing.error().code == base::Code::not_found) {
        std::string text = base::to_hex(random) + "\n";
        auto const written = identity::write_new_secret_file(path, base::as_bytes(text));
        crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
        // Another process may have been faster; then its key is the one.
        if (!written && written.error().code != base::Code::conflict)
            return std::unexpected(written.error());
        existing = identity::read_secret_file(path);
    }
    if (!existing) return std::unexpected(std::move(existing).error());
    return StoredApiKey{KITH_TRY(checked(*existing)), std::move(path)};
}

}  // namespace kith::api
