#include "app/config.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "app/config_file.h"
#include "app/config_keys.h"
#include "base/code_of.h"
#include "base/temporary_folder.h"

using namespace kith;
using namespace kith::app;
namespace fs = std::filesystem;

namespace {

struct Folder : base::TemporaryFolder {
    void write(std::string const& text, ::mode_t mode = 0600) const {
        std::ofstream(path() / "config.toml") << text;
        REQUIRE(::chmod((path() / "config.toml").c_str(), mode) == 0);
    }
    [[nodiscard]] SettingsSources sources() const {
        return {.config_directory = path().string(), .environment = {}, .flags = {}};
    }
    [[nodiscard]] base::Result<Settings> load() const { return load_settings(sources()); }
};

bool contains(std::string const& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("without a file the defaults hold, and loading creates nothing") {
    Folder folder;
    auto const settings = folder.load();
    REQUIRE(settings.has_value());
    CHECK(settings->listen == std::vector<Endpoint>{{"0.0.0.0", 8810}});
    CHECK(settings->http == Endpoint{"127.0.0.1", 8800});
    CHECK_FALSE(settings->api_key.has_value());
    CHECK_FALSE(settings->encrypted_pipeline);
    CHECK(settings->log_level == LogLevel::info);
    CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("with --config-dir everything lives below it") {
    Folder folder;
    auto const settings = folder.load();
    REQUIRE(settings.has_value());
    CHECK(settings->config_directory == folder.path());
    CHECK(settings->state_directory == folder.path());
    CHECK(settings->models_directory == folder.path() / "models");
    CHECK(settings->control_socket == folder.path() / "run" / "control.sock");
}

TEST_CASE("KITH_CONFIG_DIR stands in for the flag, and the flag wins") {
    SettingsSources sources{.config_directory = {},
                            .environment = {{"KITH_CONFIG_DIR", "/tmp/kith-nowhere-a/"}},
                            .flags = {}};
    CHECK(load_settings(sources)->config_directory == "/tmp/kith-nowhere-a");
    sources.config_directory = "/tmp/kith-nowhere-b";
    CHECK(load_settings(sources)->config_directory == "/tmp/kith-nowhere-b");
    sources.config_directory = "";
    CHECK_FALSE(load_settings(sources).has_value());
}

TEST_CASE("XDG directories are used, relative ones are ignored") {
    SettingsSources const sources{.config_directory = {},
                                  .environment = {{"HOME", "/home/nobody-here"},
                                                  {"XDG_CONFIG_HOME", "/elsewhere"},
                                                  {"XDG_STATE_HOME", "relative"},
                                                  {"XDG_RUNTIME_DIR", "/run/user/7"}},
                                  .flags = {}};
    auto const settings = load_settings(sources);
    REQUIRE(settings.has_value());
    CHECK(settings->config_directory == "/elsewhere/kith");
    CHECK(settings->state_directory == "/home/nobody-here/.local/state/kith");
    // Not in XDG_RUNTIME_DIR, which goes away with the last login while the node lives on.
    CHECK(settings->control_socket == "/home/nobody-here/.local/state/kith/run/control.sock");
    CHECK_FALSE(load_settings({}).has_value());  // no HOME
}

TEST_CASE(
    "a flag wins over the environment, the environment over the file, the file over defaults") {
    Folder folder;
    folder.write("[api]\nport = 1001\nhost = \"localhost\"\n[inference]\nthreads = 1\n");
    auto sources = folder.sources();
    sources.environment = {{"KITH_API_PORT", "1002"}, {"KITH_INFERENCE_THREADS", "2"}};
    sources.flags = {{"api.port", {"1003"}}};
    auto const settings = load_settings(sources);
    REQUIRE(settings.has_value());
    CHECK(settings->http == Endpoint{"localhost", 1003});
    CHECK(settings->threads == 2);
}

TEST_CASE("every key of the file is read") {
    Folder folder;
    folder.write(R"(
[node]
listen = ["[::1]:9", "localhost:0"]
announce = ["example.org:8810"]
[api]
key = "0123456789abcdef"
[inference]
encrypted_pipeline = true
local_embedding_privacy = true
[models]
directory = "/srv/models/"
[log]
level = "debug"
)");
    auto const settings = folder.load();
    REQUIRE_MESSAGE(settings.has_value(), settings.error().message);
    CHECK(settings->listen == std::vector<Endpoint>{{"127.0.0.1", 0}, {"::1", 9}});
    CHECK(settings->announce == std::vector<Endpoint>{{"example.org", 8810}});
    CHECK(settings->api_key == "0123456789abcdef");
    CHECK(settings->encrypted_pipeline);
    CHECK(settings->local_embedding_privacy);
    CHECK(settings->models_directory == "/srv/models/");
    CHECK(settings->log_level == LogLevel::debug);
}

TEST_CASE("an unknown key is an error with its line and the nearest known name") {
    Folder folder;
    folder.write("# first line\n[inference]\nencryptd_pipeline = true\n");
    auto const settings = folder.load();
    REQUIRE_FALSE(settings.has_value());
    CHECK(base::code_of(settings) == base::Code::invalid);
    CHECK(contains(settings.error().message, "line 3"));
    CHECK(contains(settings.error().message, "'inference.encrypted_pipeline'"));
}

TEST_CASE("M9: no key turns encryption off") {
    Folder folder;
    for (auto const* const text :
         {"require_encryption = false\n", "[node]\nrequire_encryption = false\n",
          "[inference]\nrequire_encryption = false\n", "[security]\nencryption = \"none\"\n"}) {
        CAPTURE(text);
        folder.write(text);
        auto const settings = folder.load();
        REQUIRE_FALSE(settings.has_value());
        CHECK(contains(settings.error().message, "unknown key"));
    }
    for (auto const& key : config_keys()) {
        CAPTURE(key.path);
        CHECK_FALSE(contains(std::string(key.path), "require"));
        CHECK_FALSE(contains(std::string(key.path), "plaintext"));
        CHECK_FALSE(contains(std::string(key.path), "insecure"));
    }
}

TEST_CASE("wrong types, wrong values and broken TOML are errors that name the line") {
    Folder folder;
    for (auto const* const text :
         {"[api]\nport = \"8800\"\n", "[api]\nport = 65536\n", "[api]\nport = -1\n",
          "[api]\nhost = \"\"\n", "[api]\nhost = \"a b\"\n", "[api]\nkey = \"\"\n",
          "[api]\nkey = \"                    \"\n", "[node]\nlisten = \"0.0.0.0:1\"\n",
          "[node]\nlisten = [\"::1:80\"]\n", "[node]\nlisten = [1]\n",
          "[inference]\nthreads = 1025\n", "[inference]\nencrypted_pipeline = 1\n",
          "[models]\ndirectory = \"models\"\n", "[log]\nlevel = \"loud\"\n", "[api]\nport = \n",
          "[network]\nport_mapping = \"maybe\"\n", "[network]\nport_mapping = true\n"}) {
        CAPTURE(text);
        folder.write(text);
        auto const settings = folder.load();
        REQUIRE_FALSE(settings.has_value());
        CHECK(contains(settings.error().message, "line 2"));
    }
}

TEST_CASE("a list of addresses is limited") {
    Folder folder;
    auto const listen = [](std::size_t count) {
        std::string text = "[node]\nlisten = [";
        for (std::size_t i = 0; i < count; ++i) text += "\"127.0.0.1:1\",";
        return text + "]\n";
    };
    folder.write(listen(endpoints_max));
    CHECK(folder.load().has_value());
    folder.write(listen(endpoints_max + 1));
    CHECK_FALSE(folder.load().has_value());
}

TEST_CASE("P26: a configuration that others can use is refused") {
    Folder folder;
    for (::mode_t const mode : {0640U, 0604U, 0620U, 0602U, 0644U, 0660U}) {
        CAPTURE(mode);
        folder.write("[api]\nport = 1\n", mode);
        auto const settings = folder.load();
        REQUIRE_FALSE(settings.has_value());
        CHECK(base::code_of(settings) == base::Code::forbidden);
        CHECK(contains(settings.error().message, "chmod 600"));
    }
    folder.write("[api]\nport = 1\n", 0400);
    CHECK(folder.load().has_value());
}

TEST_CASE("P26: a configuration of another user, a link and a FIFO are refused") {
    Folder folder;
    if (::geteuid() == 0) {
        folder.write("");
        REQUIRE(::chown((folder.path() / "config.toml").c_str(), 65534, 65534) == 0);
        CHECK(base::code_of(folder.load()) == base::Code::forbidden);
        fs::remove(folder.path() / "config.toml");
    }
    fs::create_symlink("/dev/null", folder.path() / "config.toml");
    CHECK(base::code_of(folder.load()) == base::Code::forbidden);
    fs::remove(folder.path() / "config.toml");
    REQUIRE(::mkfifo((folder.path() / "config.toml").c_str(), 0600) == 0);
    CHECK(base::code_of(folder.load()) == base::Code::forbidden);
}

TEST_CASE("a configuration at the size limit is read, one byte more is not") {
    Folder folder;
    folder.write(std::string(config_bytes_max, '\n'));
    CHECK(folder.load().has_value());
    folder.write(std::string(config_bytes_max + 1, '\n'));
    CHECK(base::code_of(folder.load()) == base::Code::too_large);
}

TEST_CASE("the default file is private, is left alone the second time, and means the defaults") {
    Folder folder;
    auto const directory = folder.path() / "new";
    REQUIRE(prepare_config_directory(directory).has_value());
    CHECK(write_default_config(directory) == Written::created);
    struct stat info {};
    REQUIRE(::stat((directory / "config.toml").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    CHECK(write_default_config(directory) == Written::existed);
    auto const parsed = parse_config(default_config_text(), "default");
    REQUIRE(parsed.has_value());
    CHECK(parsed->empty());  // all commented out
}

TEST_CASE("other host names of the endpoint come from a list, and what could be none is refused") {
    Folder folder;
    folder.write("[api]\nhosts = [\"kith.example.org\", \"localhost:9000\"]\n");
    auto sources = folder.sources();
    auto settings = load_settings(sources);
    REQUIRE(settings.has_value());
    CHECK(settings->api_hosts == std::vector<std::string>{"kith.example.org", "localhost:9000"});
    sources.environment = {{"KITH_API_HOSTS", "a.example,b.example:8443"}};
    settings = load_settings(sources);
    REQUIRE(settings.has_value());
    CHECK(settings->api_hosts == std::vector<std::string>{"a.example", "b.example:8443"});
    for (char const* const wrong : {"*", "http://kith.example.org", "a.example/"}) {
        sources.environment = {{"KITH_API_HOSTS", wrong}};
        CHECK(base::code_of(load_settings(sources)) == base::Code::invalid);
    }
}

// Found by config_fuzz: toml++ ended the process, or went on where nothing is defined.
TEST_CASE("no text of a file ends the program") {
    for (char const* const text :
         {"[=", "[ = 2api]", "[[ = ]]", "[ .a]", "[a. = 1]", "[[[1]]]", "[[[a]]]", "\u00a7 = 1",
          "a = \u00a7", "\xcc\xaa", "[api]\nkey = \"\"\"\\\n\u00a7\"\"\""}) {
        auto const entries = parse_config(text, "config.toml");
        if (!entries) CHECK(entries.error().code == base::Code::invalid);
    }
    auto const broken = parse_config("[=", "config.toml");
    CHECK(broken.error().message == "config.toml line 1: this is no TOML; is a name missing?");
    CHECK(parse_config("[node]\n\n[ = 2]\nx = 1\n", "config.toml")
              .error()
              .message.starts_with("config.toml line 3: "));
    CHECK(parse_config("[node]\n# \u00e9\nname = \"\u00e9\"", "config.toml").error().code ==
          base::Code::invalid);  // the key, not the letter
}

TEST_CASE("the values shown in the default file are the built-in ones") {
    Settings const built_in =
        *load_settings({.config_directory = "/tmp/x", .environment = {}, .flags = {}});
    for (auto const& key : config_keys()) {
        if (key.standard.empty()) continue;
        auto const dot = key.path.find('.');
        auto const text = "[" + std::string(key.path.substr(0, dot)) + "]\n" +
                          std::string(key.path.substr(dot + 1)) + " = " +
                          std::string(key.standard) + "\n";
        auto const parsed = parse_config(text, "default");
        REQUIRE_MESSAGE(parsed.has_value(), text);
        Settings settings;
        REQUIRE(key.apply(settings, parsed->front().values).has_value());
        if (key.path == "node.listen") CHECK(settings.listen == built_in.listen);
        if (key.path == "api.host") CHECK(settings.http.host == built_in.http.host);
        if (key.path == "api.port") CHECK(settings.http.port == built_in.http.port);
        if (key.path == "network.port_mapping")
            CHECK(settings.port_mapping == built_in.port_mapping);
        if (key.path == "network.gossip")
            CHECK(settings.services.gossip == built_in.services.gossip);
        if (key.path == "network.discovery")
            CHECK(settings.services.discovery == built_in.services.discovery);
        if (key.path == "network.hole_punching")
            CHECK(settings.services.hole_punching == built_in.services.hole_punching);
        if (key.path == "inference.threads") CHECK(settings.threads == built_in.threads);
    }
}

TEST_CASE("P24: inside a git tree an ignore file keeps keys out of commits") {
    Folder folder;
    fs::create_directories(folder.path() / "project" / ".git");
    auto const directory = folder.path() / "project" / "kith";
    REQUIRE(prepare_config_directory(directory).has_value());
    std::ifstream file(directory / ".gitignore");
    std::string const text((std::istreambuf_iterator<char>(file)), {});
    CHECK(contains(text, "\n*\n"));
    REQUIRE(prepare_config_directory(folder.path() / "outside").has_value());
    CHECK_FALSE(fs::exists(folder.path() / "outside" / ".gitignore"));
}

TEST_CASE("a configuration directory that others may write to is refused") {
    Folder folder;
    REQUIRE(::chmod(folder.path().c_str(), 0770) == 0);
    CHECK(base::code_of(prepare_config_directory(folder.path())) == base::Code::forbidden);
}

TEST_CASE("endpoints are HOST:PORT and nothing else") {
    CHECK(*parse_endpoint("localhost:1") == Endpoint{"localhost", 1});
    CHECK(*parse_endpoint("[fe80::1]:65535") == Endpoint{"fe80::1", 65535});
    for (auto const* const text :
         {"", ":", ":80", "host", "host:", "host:65536", "host:-1", "host:8a", "::1:80", "[::1]",
          "[]:80", "a b:80", "[a]b:80", "host:80 ", "h/x:80"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_endpoint(text).has_value());
    }
}
