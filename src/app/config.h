// app/config.h: everything a person can set, and where it came from.
//
// Precedence: flag > KITH_* environment variable > config.toml > built-in default. The file has
// strict keys: an unknown one is an error with its line and the nearest known name. There is no key
// that turns encryption off.
//
// Files. With --config-dir (or KITH_CONFIG_DIR) everything lives in that directory, the socket in
// run/ below it. Otherwise the XDG base directories: config.toml, identity.key and api.key in
// ~/.config/kith, state.db, models/ and run/ with the socket in ~/.local/state/kith.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/passphrase.h"
#include "base/result.h"
#include "node/peers/pairing.h"
#include "node/protocols.h"

namespace kith::app {

inline constexpr std::size_t config_bytes_max = 256 * 1024;
inline constexpr std::size_t endpoints_max = 16;  // of listen, and of announce
inline constexpr std::uint32_t threads_max = 1024;

struct Endpoint {
    std::string host;  // an IP address without brackets, or a name
    std::uint16_t port = 0;
    bool operator==(Endpoint const&) const = default;
};

enum class PortMappingMode { automatic, off };
enum class LogLevel { error, warning, info, debug };

struct Settings {
    // Absolute paths. Nothing in here is created by loading.
    std::filesystem::path config_directory;  // config.toml, identity.key, api.key
    std::filesystem::path state_directory;   // state.db and its lock
    std::filesystem::path models_directory;
    std::filesystem::path control_socket;

    std::vector<Endpoint> listen;    // peer-to-peer TCP; port 0: any free one
    std::vector<Endpoint> announce;  // told to others instead of what we listen on; may be empty
    PortMappingMode port_mapping = PortMappingMode::automatic;
    Endpoint http;                       // OpenAI endpoint; port 0: any free one
    std::vector<std::string> api_hosts;  // other names of it: api/http_origin.h
    std::optional<std::string> api_key;  // only when given explicitly (P20), never empty or blank

    bool encrypted_pipeline = false;
    bool local_embedding_privacy = false;
    std::uint32_t threads = 0;     // 0: as many as there are cores
    bool passphrase = false;       // a new identity gets one
    PassphrasePlaces passphrases;  // from the environment alone
    LogLevel log_level = LogLevel::info;
    node::TrustOptions trust;  // [trust]: links to peers outside the swarm
    node::SwarmServices services;
};

using Environment = std::map<std::string, std::string>;

// One --flag that stands for a key of the file: {"api.port", {"8801"}}. Lists have one value per
// element.
struct Flag {
    std::string key;
    std::vector<std::string> values;
};

struct SettingsSources {
    std::optional<std::string> config_directory;  // --config-dir
    Environment environment;                      // HOME, XDG_* and KITH_* are read, nothing else
    std::vector<Flag> flags;
};

// Reads config.toml (a missing one is an empty one) and merges. Code::invalid: a bad value or key,
// with where it was; Code::too_large; Code::forbidden: the file is readable or writable by others,
// belongs to somebody else, or is a link (P26).
base::Result<Settings> load_settings(SettingsSources const& sources);

// "HOST:PORT", "[IPv6]:PORT". Code::invalid without a port or with one above 65535.
base::Result<Endpoint> parse_endpoint(std::string_view text);

// The text `kith init` writes: every key, commented out, with its default and what it does; with
// passphrase, node.passphrase is set.
enum class NewIdentity { plain, with_passphrase };
std::string default_config_text(NewIdentity wanted = NewIdentity::plain);

}  // namespace kith::app
