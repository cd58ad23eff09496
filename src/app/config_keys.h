// app/config_keys.h: the table of all settings; the file, the environment and the flags go through
// it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"

namespace kith::app {

enum class KeyKind { boolean, integer, text, list };

struct Key {
    std::string_view path;  // "api.port": table and key of the file
    KeyKind kind;
    std::string_view standard;  // the default as TOML text; empty: there is none
    std::string_view help;      // for the commented file `kith init` writes; lines split by '\n'
    // Checks and stores; one element unless the kind is list. The sentence of an error names the
    // rule only.
    base::Status (*apply)(Settings& settings, std::vector<std::string> const& values);
};

std::span<Key const> config_keys();

// nullptr when there is no such key.
Key const* find_key(std::string_view path);

// The known name with the smallest edit distance to `path` (tables count: "api" is near "api.port"
// only by prefix).
std::string_view nearest_key(std::string_view path);

// "api.port" -> "KITH_API_PORT".
std::string environment_name(std::string_view path);

}  // namespace kith::app
