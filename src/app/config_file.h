// app/config_file.h: config.toml on disk: reading it with the checks of P26, writing the commented
// default.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_keys.h"
#include "base/result.h"

namespace kith::app {

inline constexpr std::string_view config_file_name = "config.toml";

// The text of the file; nullopt when there is none. Refuses links, other owners and any access of
// group or others.
base::Result<std::optional<std::string>> read_private_file(std::filesystem::path const& path,
                                                           std::size_t bytes_max);

struct ConfigEntry {
    Key const* key;
    std::vector<std::string> values;
    std::size_t line;
};

// TOML 1.0 with strict keys and types. `name` stands in the sentences of errors.
base::Result<std::vector<ConfigEntry>> parse_config(std::string_view text, std::string_view name);

// Makes the directory (0700) when it is missing. Refuses one that others may write to. Inside a git
// work tree an ignore file is put into it, so that keys are not committed (P24).
base::Status prepare_config_directory(std::filesystem::path const& directory);

enum class Written { created, existed };
// Writes default_config_text() with mode 0600; an existing file is left alone.
base::Result<Written> write_default_config(std::filesystem::path const& directory,
                                           NewIdentity wanted = NewIdentity::plain);

}  // namespace kith::app
