#include "app/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/file_descriptor.h"
#include "base/sabotage.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

namespace kith::app {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::fail;

std::string reason(int error) {
    return std::generic_category().message(error);
}

base::Status check_private(int descriptor, fs::path const& path) {
    struct stat info {};
    if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode))
        return fail(Code::forbidden, path.string() + " is not a plain file");
    if (!KITH_GUARD("P26.owner", info.st_uid == ::geteuid()))
        return fail(Code::forbidden, path.string() + " belongs to another user");
    if (!KITH_GUARD("P26.mode", (info.st_mode & 077) == 0))
        return fail(Code::forbidden,
                    path.string() + " can be used by others; run: chmod 600 " + path.string());
    return {};
}

base::Result<std::string> read_all(int descriptor, fs::path const& path, std::size_t bytes_max) {
    std::string text;
    std::array<char, 4096> block;
    for (;;) {
        auto const count = ::read(descriptor, block.data(), block.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(Code::io, "cannot read " + path.string() + ": " + reason(errno));
        if (count == 0) return text;
        text.append(block.data(), static_cast<std::size_t>(count));
        if (text.size() > bytes_max)
            return fail(Code::too_large,
                        path.string() + " is larger than " + std::to_string(bytes_max) + " bytes");
    }
}

base::Status write_all(int descriptor, std::string_view text, fs::path const& path) {
    while (!text.empty()) {
        auto const count = ::write(descriptor, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0)
            return fail(Code::io, "cannot write " + path.string() + ": " + reason(errno));
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(descriptor) != 0)
        return fail(Code::io, "cannot write " + path.string() + ": " + reason(errno));
    return {};
}

std::string_view kind_name(KeyKind kind) {
    switch (kind) {
        case KeyKind::boolean:
            return "true or false";
        case KeyKind::integer:
            return "a whole number";
        case KeyKind::text:
            return "a text in quotes";
        case KeyKind::list:
            return "a list of texts";
    }
    return "";
}

// Where in the file something stands, for sentences.
class Place {
public:
    explicit Place(std::string_view name) : name_(name) {}
    [[nodiscard]] std::string at(std::size_t line) const {
        return std::string(name_) + " line " + std::to_string(line) + ": ";
    }

private:
    std::string_view name_;
};

std::optional<std::vector<std::string>> values_of(toml::node const& node, KeyKind kind) {
    switch (kind) {
        case KeyKind::boolean:
            if (auto const* value = node.as_boolean()) return {{value->get() ? "true" : "false"}};
            return std::nullopt;
        case KeyKind::integer:
            if (auto const* value = node.as_integer()) return {{std::to_string(value->get())}};
            return std::nullopt;
        case KeyKind::text:
            if (auto const* value = node.as_string()) return {{value->get()}};
            return std::nullopt;
        case KeyKind::list: {
            auto const* const list = node.as_array();
            if (list == nullptr) return std::nullopt;
            std::vector<std::string> values;
            for (auto const& element : *list) {
                auto const* const value = element.as_string();
                if (value == nullptr) return std::nullopt;
                values.push_back(value->get());
            }
            return values;
        }
    }
    return std::nullopt;
}

bool is_table_name(std::string_view name) {
    for (auto const& key : config_keys())
        if (key.path.starts_with(std::string(name) + ".")) return true;
    return false;
}

base::Status collect(toml::table const& table, std::string const& prefix, Place const& place,
                     std::vector<ConfigEntry>& entries) {
    for (auto const& [name, node] : table) {
        auto const path = prefix + std::string(name.str());
        auto const line = name.source().begin.line;
        if (prefix.empty() && node.is_table() && is_table_name(path)) {
            KITH_TRY(collect(*node.as_table(), path + ".", place, entries));
            continue;
        }
        auto const* const key = find_key(path);
        if (key == nullptr)
            return fail(Code::invalid, place.at(line) + "unknown key '" + path +
                                           "'; the nearest known one is '" +
                                           std::string(nearest_key(path)) + "'");
        auto values = values_of(node, key->kind);
        if (!values)
            return fail(Code::invalid, place.at(line) + "'" + path + "' must be " +
                                           std::string(kind_name(key->kind)));
        entries.push_back({key, *std::move(values), line});
    }
    return {};
}

bool inside_git_tree(fs::path const& directory) {
    std::error_code ignored;
    for (auto folder = directory; folder.has_relative_path(); folder = folder.parent_path())
        if (fs::exists(folder / ".git", ignored)) return true;
    return false;
}

}  // namespace

base::Result<std::optional<std::string>> read_private_file(fs::path const& path,
                                                           std::size_t bytes_max) {
    // O_NONBLOCK: opening a FIFO that somebody put there must not hang; check_private refuses it.
    base::FileDescriptor const file(
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.get() < 0) {
        if (errno == ENOENT) return std::optional<std::string>{};
        if (errno == ELOOP)
            return fail(Code::forbidden, path.string() + " is a link; put the file itself there");
        return fail(errno == EACCES ? Code::forbidden : Code::io,
                    "cannot open " + path.string() + ": " + reason(errno));
    }
    KITH_TRY(check_private(file.get(), path));
    return std::optional<std::string>(KITH_TRY(read_all(file.get(), path, bytes_max)));
}

base::Result<std::vector<ConfigEntry>> parse_config(std::string_view text, std::string_view name) {
    Place const place(name);
    auto const parsed = toml::parse(text);
    if (!parsed) {
        auto const& error = parsed.error();
        return fail(Code::invalid,
                    place.at(error.source().begin.line) + std::string(error.description()));
    }
    std::vector<ConfigEntry> entries;
    KITH_TRY(collect(parsed.table(), "", place, entries));
    return entries;
}

base::Status prepare_config_directory(fs::path const& directory) {
    std::error_code error;
    fs::create_directories(directory.parent_path(), error);
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(Code::io, "cannot create " + directory.string() + ": " + reason(errno));
    struct stat info {};
    if (::stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
        return fail(Code::io, directory.string() + " is not a directory");
    // Whoever may write here may replace config.toml and identity.key.
    if (info.st_uid != ::geteuid() || (info.st_mode & 022) != 0)
        return fail(Code::forbidden,
                    directory.string() + " must belong to you and be writable by nobody else");
    if (!inside_git_tree(directory)) return {};
    auto const ignore = directory / ".gitignore";
    base::FileDescriptor const file(
        ::open(ignore.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0) return {};  // one is there already, or the directory is read-only
    return write_all(file.get(), "# keys live here: nothing in this folder belongs in git\n*\n",
                     ignore);
}

base::Result<Written> write_default_config(fs::path const& directory, NewIdentity wanted) {
    auto const path = directory / config_file_name;
    base::FileDescriptor const file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0 && errno == EEXIST) return Written::existed;
    if (file.get() < 0)
        return fail(Code::io, "cannot create " + path.string() + ": " + reason(errno));
    // The umask may have taken bits away, never added any.
    if (auto written = write_all(file.get(), default_config_text(wanted), path); !written) {
        (void)::unlink(path.c_str());  // half a file would look like settings of the user
        return std::unexpected(std::move(written).error());
    }
    return Written::created;
}

}  // namespace kith::app
