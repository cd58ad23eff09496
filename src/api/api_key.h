// api/api_key.h: the key of the HTTP door when nobody gave one: 32 random bytes in hex in
// `api.key`, mode 0600.
#pragma once

#include <filesystem>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::api {

inline constexpr char const* api_key_file_name = "api.key";
inline constexpr std::size_t api_key_random_bytes = 32;

struct StoredApiKey {
    crypto::SecretBytes text;  // 64 lower-case hex digits, as clients send it
    std::filesystem::path path;
};

// Reads `directory`/api.key, or writes it from `random` (which must be unpredictable) when there is
// none. The file is refused, never replaced, when others could read it or when it holds anything
// but 64 hex digits: Code::forbidden or Code::corrupt, with a sentence that says what to do.
base::Result<StoredApiKey> load_or_create_api_key(
    std::filesystem::path const& directory, base::ByteArray<api_key_random_bytes> const& random);

}  // namespace kith::api
