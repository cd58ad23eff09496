#include "api/http_routes.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/sabotage.h"

namespace kith::api {
namespace {

constexpr std::array<Route, 5> table{{
    {"GET", "/", PathMatch::exact, Access::exempt, RouteId::page, 0},
    {"GET", "/health", PathMatch::exact, Access::exempt, RouteId::health, 0},
    {"GET", "/v1/models", PathMatch::exact, Access::key, RouteId::models, 0},
    {"GET", "/v1/models/", PathMatch::one_segment, Access::key, RouteId::model, 0},
    {"POST", "/v1/chat/completions", PathMatch::exact, Access::key, RouteId::chat_completions,
     body_bytes_max},
}};

bool matches(Route const& route, std::string_view path) {
    if (route.match == PathMatch::exact) return path == route.path;
    if (!path.starts_with(route.path)) return false;
    auto const segment = path.substr(route.path.size());
    return !segment.empty() && segment.find('/') == std::string_view::npos;
}

std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    return std::nullopt;
}

std::optional<std::string> decode_segment(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (text.size() - i < 3) return std::nullopt;
            auto const high = hex_digit(text[i + 1]);
            auto const low = hex_digit(text[i + 2]);
            if (!high || !low) return std::nullopt;
            c = static_cast<char>(*high * 16 + *low);
            i += 2;
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
        out.push_back(c);
    }
    return out;
}

bool method_matches(Route const& route, std::string_view method) {
    return method == route.method || (method == "HEAD" && route.method == "GET");
}

bool below(std::string_view path, std::string_view folder) {
    return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

}  // namespace

std::span<Route const> routes() {
    return table;
}

bool needs_key(std::string_view path) {
    auto const is_row = [&](Route const& route) { return matches(route, path); };
    auto const found = std::ranges::find_if(table, is_row);
    bool const row_needs = found != table.end() && found->access == Access::key;
    bool const folder_needs = below(path, "/v1") || below(path, "/api");
    return !KITH_GUARD("S44.protected", !(row_needs || folder_needs));
}

RouteMatch find_route(std::string_view method, std::string_view path) {
    std::string allowed;
    for (Route const& route : table) {
        if (!matches(route, path)) continue;
        if (!method_matches(route, method)) {
            allowed = route.method == "GET" ? "GET, HEAD" : std::string(route.method);
            continue;
        }
        if (route.match == PathMatch::exact) return FoundRoute{route, {}};
        auto parameter = decode_segment(path.substr(route.path.size()));
        if (!parameter) return BadParameter{};
        return FoundRoute{route, std::move(*parameter)};
    }
    if (!allowed.empty()) return WrongMethod{std::move(allowed)};
    return UnknownPath{};
}

}  // namespace kith::api
