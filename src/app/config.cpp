#include "app/config.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "app/config_file.h"
#include "app/config_keys.h"

namespace kith::app {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::fail;

std::string value_of(Environment const& environment, std::string const& name) {
    auto const found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
}

base::Result<fs::path> absolute(std::string const& text, char const* what) {
    std::error_code error;
    auto const path = fs::absolute(text, error);
    if (text.empty() || error || text.find('\0') != std::string::npos)
        return fail(Code::invalid, std::string(what) + " is not a usable path");
    auto const normal = path.lexically_normal();
    // "x/" and "x" are the same directory; everything below appends to it and asks for its parent.
    return normal.has_filename() ? normal : normal.parent_path();
}

// XDG Base Directory Specification: a relative path is invalid and ignored.
base::Result<fs::path> xdg_directory(Environment const& environment, char const* variable,
                                     char const* below_home) {
    fs::path const given = value_of(environment, variable);
    if (given.is_absolute()) return given / "kith";
    fs::path const home = value_of(environment, "HOME");
    if (!home.is_absolute())
        return fail(Code::invalid, "HOME is not set; use --config-dir DIRECTORY");
    return home / below_home / "kith";
}

base::Status place_files(Settings& settings, SettingsSources const& sources) {
    auto chosen =
        sources.config_directory.value_or(value_of(sources.environment, "KITH_CONFIG_DIR"));
    if (sources.config_directory || !chosen.empty()) {
        settings.config_directory = KITH_TRY(absolute(chosen, "the configuration directory"));
        settings.state_directory = settings.config_directory;
    } else {
        settings.config_directory =
            KITH_TRY(xdg_directory(sources.environment, "XDG_CONFIG_HOME", ".config"));
        settings.state_directory =
            KITH_TRY(xdg_directory(sources.environment, "XDG_STATE_HOME", ".local/state"));
    }
    // Not XDG_RUNTIME_DIR: it differs between a login, cron and su, and goes away with the last
    // login, while the node lives on.
    settings.control_socket = settings.state_directory / "run" / "control.sock";
    settings.models_directory = settings.state_directory / "models";
    settings.passphrases = {
        .current = {.variable = "KITH_PASSPHRASE",
                    .descriptor = value_of(sources.environment, "KITH_PASSPHRASE_FD"),
                    .file = value_of(sources.environment, "KITH_PASSPHRASE_FILE")},
        .fresh = {.variable = "KITH_NEW_PASSPHRASE",
                  .descriptor = value_of(sources.environment, "KITH_NEW_PASSPHRASE_FD"),
                  .file = value_of(sources.environment, "KITH_NEW_PASSPHRASE_FILE")}};
    return {};
}

base::Status apply(Settings& settings, Key const& key, std::vector<std::string> const& values,
                   std::string const& origin) {
    auto const status = key.apply(settings, values);
    if (status) return {};
    return fail(Code::invalid,
                origin + ": '" + std::string(key.path) + "' " + status.error().message);
}

// "a,b" for lists; everything else is one value.
std::vector<std::string> split(std::string const& text, KeyKind kind) {
    if (kind != KeyKind::list) return {text};
    std::vector<std::string> values;
    std::size_t begin = 0;
    while (begin <= text.size()) {
        auto const end = std::min(text.find(',', begin), text.size());
        if (end > begin) values.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return values;
}

base::Status apply_file(Settings& settings) {
    auto const path = settings.config_directory / config_file_name;
    auto const text = KITH_TRY(read_private_file(path, config_bytes_max));
    if (!text) return {};
    for (auto const& entry : KITH_TRY(parse_config(*text, path.string())))
        KITH_TRY(apply(settings, *entry.key, entry.values,
                       path.string() + " line " + std::to_string(entry.line)));
    return {};
}

base::Status apply_environment(Settings& settings, Environment const& environment) {
    for (auto const& key : config_keys()) {
        auto const name = environment_name(key.path);
        auto const found = environment.find(name);
        if (found == environment.end()) continue;
        KITH_TRY(apply(settings, key, split(found->second, key.kind), name));
    }
    return {};
}

base::Status apply_flags(Settings& settings, std::vector<Flag> const& flags) {
    for (auto const& flag : flags) {
        auto const* const key = find_key(flag.key);
        if (key == nullptr || flag.values.empty())
            return fail(Code::internal, "no setting is named '" + flag.key + "'");
        KITH_TRY(apply(settings, *key, flag.values, "flag"));
    }
    return {};
}

}  // namespace

base::Result<Settings> load_settings(SettingsSources const& sources) {
    Settings settings;
    settings.listen = {{"0.0.0.0", 8810}};
    settings.http = {"127.0.0.1", 8800};
    KITH_TRY(place_files(settings, sources));
    KITH_TRY(apply_file(settings));
    KITH_TRY(apply_environment(settings, sources.environment));
    KITH_TRY(apply_flags(settings, sources.flags));
    return settings;
}

base::Result<Endpoint> parse_endpoint(std::string_view text) {
    auto const wrong = [text] {
        return fail(Code::invalid,
                    "must be HOST:PORT or [IPv6]:PORT, not '" + std::string(text) + "'");
    };
    auto const colon = text.rfind(':');
    if (colon == std::string_view::npos || text.size() > 260) return wrong();
    auto host = text.substr(0, colon);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return wrong();  // an IPv6 address without brackets: where does the port begin?
    bool const plain = std::ranges::none_of(
        host, [](char c) { return c <= ' ' || c == '[' || c == ']' || c == '/' || c == '\x7f'; });
    if (host.empty() || !plain) return wrong();
    auto const digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size()) return wrong();
    return Endpoint{std::string(host), port};
}

std::string default_config_text(NewIdentity wanted) {
    std::string text =
        "# kith's settings. Every key is optional; the values shown are the defaults.\n"
        "# Flags win over KITH_* variables (KITH_API_PORT), variables over this file.\n";
    std::string_view table;
    for (auto const& key : config_keys()) {
        auto const dot = key.path.find('.');
        if (key.path.substr(0, dot) != table) {
            table = key.path.substr(0, dot);
            text += "\n[" + std::string(table) + "]\n";
        }
        text += "# ";
        for (char const c : key.help) text += c == '\n' ? std::string("\n# ") : std::string(1, c);
        text += "\n#" + std::string(key.path.substr(dot + 1)) + " = " +
                (key.standard.empty() ? "\"\"" : std::string(key.standard)) + "\n";
        if (wanted == NewIdentity::with_passphrase && key.path == "node.passphrase")
            text += "passphrase = true\n";
    }
    return text;
}

}  // namespace kith::app
