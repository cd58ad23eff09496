#include "api/http_auth.h"

#include <algorithm>
#include <optional>

#include "base/sabotage.h"
#include "crypto/constant_time.h"

namespace kith::api {
namespace {

bool is_visible(char c) {
    return c > 0x20 && c < 0x7f;
}

// RFC 6750 2.1: "Bearer" 1*SP token.
std::optional<std::string_view> bearer_token(std::string_view value) {
    constexpr std::string_view scheme = "bearer";
    if (value.size() <= scheme.size() || value[scheme.size()] != ' ') return std::nullopt;
    if (lower_ascii(value.substr(0, scheme.size())) != scheme) return std::nullopt;
    return trimmed(value.substr(scheme.size()));
}

}  // namespace

base::Result<ApiKey> ApiKey::create(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n\v\f";
    auto const first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos)
        return base::fail(base::Code::invalid, "the API key is empty");
    auto const key = text.substr(first, text.find_last_not_of(blanks) - first + 1);
    if (key.size() > api_key_bytes_max || !std::ranges::all_of(key, is_visible))
        return base::fail(base::Code::invalid,
                          "the API key must be at most 4096 visible ASCII characters");
    return ApiKey(crypto::SecretBytes(base::as_bytes(key)));
}

bool ApiKey::matches(std::string_view candidate) const {
    return crypto::constant_time_equal(key_.view(), base::as_bytes(candidate));
}

base::Status authenticate(HttpHead const& head, ApiKey const& key) {
    auto const authorizations = head.count("authorization");
    auto const api_keys = head.count("x-api-key");
    if (!KITH_GUARD("S43.single", authorizations + api_keys <= 1))
        return base::fail(base::Code::unauthorized, "A request carries one API key, once.");
    std::optional<std::string_view> token;
    if (authorizations > 0) token = bearer_token(*head.find("authorization"));
    if (!token && api_keys > 0) token = head.find("x-api-key");
    if (!KITH_GUARD("S43.bearer", token && key.matches(*token)))
        return base::fail(
            base::Code::unauthorized,
            token ? "The API key is wrong." : "An API key is needed: Authorization: Bearer KEY.");
    return {};
}

}  // namespace kith::api
