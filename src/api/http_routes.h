// api/http_routes.h: every path of the HTTP door, as data (S44, S45, C13).
//
// A path is compared byte for byte with the table: no decoding, no collapsing of slashes, no dot
// segments, no trailing slash. So "//v1", "/%761" and "/v1/../health" are simply unknown paths,
// never somebody else's handler.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "api/http_message.h"

namespace kith::api {

enum class RouteId { page, health, models, model, chat_completions };
enum class Access { exempt, key };
enum class PathMatch { exact, one_segment };  // one_segment: `path` plus one non-empty segment

inline constexpr std::size_t body_bytes_max = 32U * 1024 * 1024;  // S46

struct Route {
    std::string_view method;  // GET also answers HEAD
    std::string_view path;
    PathMatch match;
    Access access;
    RouteId id;
    std::size_t body_bytes_max;  // 0: the request must not have a body
};

// The whole table; a test walks it and asks each row without a key.
std::span<Route const> routes();

// Only rows of the table marked exempt are open; all of /v1 and /api needs the key, known path or
// not.
bool needs_key(std::string_view path);

struct FoundRoute {
    Route route;
    std::string parameter;  // the decoded segment of one_segment; empty otherwise
};
struct UnknownPath {};
struct WrongMethod {
    std::string allowed;  // the value of the Allow field
};
struct BadParameter {
};  // not percent-encoded UTF-8-safe text: a bad escape, or an encoded control character
using RouteMatch = std::variant<FoundRoute, UnknownPath, WrongMethod, BadParameter>;

RouteMatch find_route(std::string_view method, std::string_view path);

}  // namespace kith::api
