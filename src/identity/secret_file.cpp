#include "identity/secret_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "base/file_descriptor.h"
#include "base/sabotage.h"

namespace kith::identity {

using base::Code;
using base::fail;
using base::FileDescriptor;
using std::filesystem::path;

namespace {

constexpr mode_t file_mode = S_IRUSR | S_IWUSR;
constexpr mode_t directory_mode = S_IRWXU;
constexpr mode_t others_any = S_IRWXG | S_IRWXO;
constexpr mode_t others_write = S_IWGRP | S_IWOTH;
constexpr int attempts_max =
    64;  // temporary names tried, and creations retried after a cleaner took our file
constexpr std::size_t leftovers_max = 1024;  // folder entries looked at

std::unexpected<base::Error> failed(std::string const& what, path const& where) {
    auto const error = errno;
    return fail(error == ENOENT ? Code::not_found : Code::io,
                what + " " + where.string() + ": " + std::generic_category().message(error));
}

path folder_of(path const& file) {
    return file.has_parent_path() ? file.parent_path() : path(".");
}

base::Result<FileDescriptor> open_directory(path const& directory) {
    FileDescriptor out(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!out.is_open()) return failed("cannot open folder", directory);
    struct stat info {};
    if (::fstat(out.get(), &info) != 0) return failed("cannot examine folder", directory);
    bool const is_mine = info.st_uid == ::geteuid() || info.st_uid == 0;
    if (!KITH_GUARD("P22.directory", is_mine && (info.st_mode & others_write) == 0))
        return fail(Code::forbidden, "others may write to folder " + directory.string() +
                                         ", so they could exchange its keys. Run: chmod go-w " +
                                         directory.string());
    return out;
}

// Opens the file for reading after everything about it was checked on the open descriptor, so that
// nothing can be exchanged between check and use.
base::Result<FileDescriptor> open_checked(FileDescriptor const& directory, path const& file) {
    auto const name = file.filename();
    int const follow = KITH_GUARD("P22.symlink", false) ? 0 : O_NOFOLLOW;
    // O_NONBLOCK: a FIFO in place of the file must not hang us.
    FileDescriptor out(
        ::openat(directory.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | follow));
    if (!out.is_open() && errno == ELOOP)
        return fail(Code::forbidden,
                    file.string() +
                        " is a symbolic link; secrets are not read through links. Put the "
                        "file itself there");
    if (!out.is_open()) return failed("cannot open", file);
    struct stat info {};
    if (::fstat(out.get(), &info) != 0) return failed("cannot examine", file);
    if (!S_ISREG(info.st_mode)) return fail(Code::forbidden, file.string() + " is no regular file");
    if (!KITH_GUARD("P22.owner", info.st_uid == ::geteuid()))
        return fail(Code::forbidden, file.string() + " belongs to another user. Run: chown " +
                                         std::to_string(::geteuid()) + " " + file.string());
    if (!KITH_GUARD("P22.mode", (info.st_mode & others_any) == 0))
        return fail(Code::forbidden,
                    "group or others may use " + file.string() +
                        ", so its secret may be known. If it is not, run: chmod 600 " +
                        file.string());
    return out;
}

base::Status write_all(int descriptor, base::ByteView bytes, path const& file) {
    while (!bytes.empty()) {
        auto const written = ::write(descriptor, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return failed("cannot write", file);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
}

std::string temporary_prefix(path const& file) {
    return "." + file.filename().string() + ".tmp-";
}

// A temporary file that is locked as long as its writer lives; removed unless it was renamed.
class Temporary {
public:
    static base::Result<Temporary> create(FileDescriptor const& directory, path const& file) {
        for (int attempt = 0; attempt < attempts_max; ++attempt) {
            auto name =
                temporary_prefix(file) + std::to_string(::gettid()) + "-" + std::to_string(attempt);
            FileDescriptor out(::openat(directory.get(), name.c_str(),
                                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                        file_mode));
            if (!out.is_open() && errno == EEXIST) continue;
            if (!out.is_open()) return failed("cannot create a file beside", file);
            Temporary temporary(directory, std::move(name), std::move(out));
            // A lock that is refused, or a name that is gone, means that a cleaner was faster than
            // our lock.
            if (::flock(temporary.file_.get(), LOCK_EX | LOCK_NB) != 0) continue;
            if (!temporary.has_name()) continue;
            // Whatever the umask: exactly 0600.
            if (::fchmod(temporary.file_.get(), file_mode) != 0)
                return failed("cannot protect", file);
            return temporary;
        }
        return fail(Code::io, "cannot find a free temporary name beside " + file.string());
    }

    ~Temporary() {
        if (!name_.empty() && has_name()) ::unlinkat(directory_.get(), name_.c_str(), 0);
    }
    Temporary(Temporary&& other) noexcept
        : directory_(other.directory_),
          name_(std::exchange(other.name_, {})),
          file_(std::move(other.file_)) {}
    Temporary& operator=(Temporary&&) = delete;

    base::Status fill(base::ByteView content, path const& file) {
        KITH_TRY(write_all(file_.get(), content, file));
        if (::fsync(file_.get()) != 0) return failed("cannot write", file);
        return {};
    }
    [[nodiscard]] char const* name() const { return name_.c_str(); }
    void renamed() { name_.clear(); }

private:
    Temporary(FileDescriptor const& directory, std::string name, FileDescriptor file)
        : directory_(directory), name_(std::move(name)), file_(std::move(file)) {}

    // False once somebody removed the file: its name may then be another writer's.
    [[nodiscard]] bool has_name() const {
        struct stat info {};
        return ::fstat(file_.get(), &info) == 0 && info.st_nlink > 0;
    }

    FileDescriptor const& directory_;
    std::string name_;
    FileDescriptor file_;
};

enum class IfExists { refuse, replace };
enum class Outcome {
    done,
    taken
};  // taken: a cleaner removed our temporary file before we had locked it

base::Result<Outcome> put_in_place(FileDescriptor const& directory, path const& file,
                                   base::ByteView content, IfExists if_exists) {
    auto temporary = KITH_TRY(Temporary::create(directory, file));
    KITH_TRY(temporary.fill(content, file));
    auto const name = file.filename();
    if (KITH_GUARD("P6.exclusive", false)) if_exists = IfExists::replace;
    int const result =
        if_exists == IfExists::refuse
            ? ::linkat(directory.get(), temporary.name(), directory.get(), name.c_str(), 0)
            : ::renameat(directory.get(), temporary.name(), directory.get(), name.c_str());
    if (result != 0 && errno == ENOENT) return Outcome::taken;
    if (result != 0 && errno == EEXIST)
        return fail(Code::conflict, file.string() + " exists already; it is not overwritten");
    if (result != 0) return failed("cannot write", file);
    if (if_exists == IfExists::replace) temporary.renamed();
    if (::fsync(directory.get()) != 0) return failed("cannot write folder of", file);
    return Outcome::done;
}

base::Status write_file(path const& file, base::ByteView content, IfExists if_exists) {
    if (content.size() > secret_file_bytes_max)
        return fail(Code::too_large, "a secret file holds 64 KiB at most");
    auto const directory = KITH_TRY(open_directory(folder_of(file)));
    remove_leftovers(file);
    for (int attempt = 0; attempt < attempts_max; ++attempt)
        if (KITH_TRY(put_in_place(directory, file, content, if_exists)) == Outcome::done) return {};
    return fail(Code::io, "cannot write " + file.string() + ": others keep removing it");
}

bool is_inside_git(path const& directory) {
    std::error_code ignored;
    auto folder = std::filesystem::absolute(directory, ignored).lexically_normal();
    for (;;) {
        if (std::filesystem::exists(folder / ".git", ignored)) return true;
        if (!folder.has_relative_path()) return false;
        folder = folder.parent_path();
    }
}

}  // namespace

base::Status ensure_private_directory(path const& directory) {
    std::error_code error;
    if (directory.has_parent_path() && !std::filesystem::exists(directory.parent_path(), error)) {
        std::filesystem::create_directories(directory.parent_path(), error);
        if (error)
            return fail(Code::io, "cannot make folder " + directory.parent_path().string() + ": " +
                                      error.message());
    }
    if (::mkdir(directory.c_str(), directory_mode) != 0 && errno != EEXIST)
        return failed("cannot make folder", directory);
    KITH_TRY(open_directory(directory));
    return {};
}

base::Result<crypto::SecretBytes> read_secret_file(path const& file) {
    auto const directory = KITH_TRY(open_directory(folder_of(file)));
    auto const opened = KITH_TRY(open_checked(directory, file));
    // One byte more than allowed, so that a file that grows while it is read is noticed too.
    crypto::SecretBytes buffer(secret_file_bytes_max + 1);
    std::size_t size = 0;
    while (size < buffer.size()) {
        auto const got =
            ::read(opened.get(), buffer.mutable_view().data() + size, buffer.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed("cannot read", file);
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size > secret_file_bytes_max)
        return fail(Code::too_large, file.string() + " is larger than a secret file can be");
    return crypto::SecretBytes(buffer.view().first(size));
}

base::Status write_new_secret_file(path const& file, base::ByteView content) {
    return write_file(file, content, IfExists::refuse);
}

base::Status replace_secret_file(path const& file, base::ByteView content) {
    return write_file(file, content, IfExists::replace);
}

void remove_leftovers(path const& file) {
    if (KITH_GUARD("P26.leftovers", false)) return;
    auto const prefix = temporary_prefix(file);
    std::unique_ptr<DIR, int (*)(DIR*)> const listing(::opendir(folder_of(file).c_str()),
                                                      ::closedir);
    if (listing == nullptr) return;
    int const directory = ::dirfd(listing.get());
    if (directory < 0) return;
    for (std::size_t i = 0; i < leftovers_max; ++i) {
        auto const* const entry = ::readdir(listing.get());
        if (entry == nullptr) return;
        std::string const name = entry->d_name;
        if (!name.starts_with(prefix)) continue;
        FileDescriptor const found(
            ::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
        // A writer at work holds the lock; one that was killed does not.
        if (found.is_open() && ::flock(found.get(), LOCK_EX | LOCK_NB) == 0)
            ::unlinkat(directory, name.c_str(), 0);
    }
}

base::Status keep_out_of_git(path const& directory) {
    if (!is_inside_git(directory)) return {};
    auto const file = directory / ".gitignore";
    FileDescriptor const created(
        ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file_mode));
    if (created.is_open()) return write_all(created.get(), base::as_bytes("*\n"), file);
    if (errno != EEXIST) return failed("cannot create", file);
    FileDescriptor const existing(
        ::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    base::ByteArray<4096> buffer;
    auto const got = existing.is_open() ? ::read(existing.get(), buffer.data(), buffer.size()) : -1;
    auto const text =
        base::as_text(base::ByteView(buffer).first(got > 0 ? static_cast<std::size_t>(got) : 0));
    bool const ignores_all = text == "*" || text.starts_with("*\n") ||
                             text.find("\n*\n") != text.npos || text.ends_with("\n*");
    if (KITH_GUARD("P24.gitignore", ignores_all)) return {};
    return fail(
        Code::conflict,
        directory.string() +
            " is inside a git work tree and its .gitignore does not keep the keys out. Add a "
            "line with * to it, or choose another folder");
}

}  // namespace kith::identity
