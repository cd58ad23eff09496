// api/http_auth.h: does this request carry the API key (S43)?
//
// One code path for every carrier: "Authorization: Bearer KEY" (the scheme in any case, RFC
// 9110 11.1) or "x-api-key: KEY". Never a query, a cookie or a body. A request with two credentials
// is refused even when both are right, because proxies and we might look at different ones.
#pragma once

#include <string_view>

#include "api/http_message.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::api {

inline constexpr std::size_t api_key_bytes_max = 4096;

class ApiKey {
public:
    // Code::invalid for an empty or blank key, or one longer than api_key_bytes_max, or with a byte
    // that could not stand in a header field. Surrounding blanks are not part of the key.
    static base::Result<ApiKey> create(std::string_view text);

    // In a time that depends on the lengths only.
    [[nodiscard]] bool matches(std::string_view candidate) const;

private:
    explicit ApiKey(crypto::SecretBytes key) : key_(std::move(key)) {}
    crypto::SecretBytes key_;
};

// Code::unauthorized, with a sentence that holds nothing of what was sent.
base::Status authenticate(HttpHead const& head, ApiKey const& key);

}  // namespace kith::api
