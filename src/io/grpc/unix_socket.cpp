#include "io/grpc/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "base/sabotage.h"

namespace kith::io {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::fail;

std::string reason(int error) {
    return std::generic_category().message(error);
}

// An address and, for long paths, the open directory that its /proc/self/fd name needs while it is
// used.
struct Address {
    sockaddr_un name{};
    FileDescriptor directory;
};

base::Result<Address> address_of(fs::path const& path) {
    Address address;
    address.name.sun_family = AF_UNIX;
    std::string text = path.string();
    if (text.empty() || text.find('\0') != std::string::npos)
        return fail(Code::invalid, "a socket path must be a plain file name");
    if (text.size() >= sizeof(address.name.sun_path)) {
        address.directory =
            FileDescriptor(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!address.directory.is_open())
            return fail(errno == ENOENT ? Code::unavailable : Code::io,
                        "cannot open " + path.parent_path().string() + ": " + reason(errno));
        text = "/proc/self/fd/" + std::to_string(address.directory.get()) + "/" +
               path.filename().string();
        if (text.size() >= sizeof(address.name.sun_path))
            return fail(Code::too_large, "the name of the socket " + text + " is too long");
    }
    std::memcpy(address.name.sun_path, text.c_str(), text.size() + 1);
    return address;
}

sockaddr const* generic(Address const& address) {
    return reinterpret_cast<sockaddr const*>(&address.name);
}

base::Result<FileDescriptor> open_socket() {
    FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) return fail(Code::io, "cannot open a Unix socket: " + reason(errno));
    return socket;
}

base::Status check_directory(fs::path const& directory) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(Code::io, "cannot create " + directory.string() + ": " + reason(errno));
    struct stat info {};
    if (::lstat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
        return fail(Code::conflict, directory.string() + " is not a directory");
    bool const ours = info.st_uid == ::geteuid() && (info.st_mode & 077) == 0;
    if (!KITH_GUARD("M2.directory", ours))
        return fail(
            Code::forbidden,
            directory.string() + " must belong to you alone; run: chmod 700 " + directory.string());
    return {};
}

// Removes a socket file that nobody listens on. Two daemons cannot both come here: the lock of the
// state directory is taken before.
base::Status remove_stale(fs::path const& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        if (errno == ENOENT) return {};
        return fail(Code::io, "cannot look at " + path.string() + ": " + reason(errno));
    }
    if (!S_ISSOCK(info.st_mode))
        return fail(Code::conflict, path.string() + " exists and is not a socket; move it away");
    auto const answer = connect_unix(path);
    if (answer || answer.error().code != Code::unavailable)
        return fail(Code::conflict, "another kith answers on " + path.string() +
                                        "; stop it first or use another --config-dir");
    if (::unlink(path.c_str()) != 0)
        return fail(Code::io, "cannot remove the old " + path.string() + ": " + reason(errno));
    return {};
}

}  // namespace

base::Result<FileDescriptor> listen_unix(fs::path const& path) {
    KITH_TRY(check_directory(path.parent_path()));
    KITH_TRY(remove_stale(path));
    auto const address = KITH_TRY(address_of(path));
    auto socket = KITH_TRY(open_socket());
    // The directory already keeps others out, so nobody can use the moment before chmod.
    if (::bind(socket.get(), generic(address), sizeof(address.name)) != 0)
        return fail(Code::io, "cannot create " + path.string() + ": " + reason(errno));
    if (::chmod(path.c_str(), 0600) != 0 || ::listen(socket.get(), listen_backlog_max) != 0)
        return fail(Code::io, "cannot listen on " + path.string() + ": " + reason(errno));
    return socket;
}

base::Result<FileDescriptor> connect_unix(fs::path const& path) {
    auto const address = KITH_TRY(address_of(path));
    auto socket = KITH_TRY(open_socket());
    if (::connect(socket.get(), generic(address), sizeof(address.name)) != 0) {
        auto const code = errno == EACCES || errno == EPERM ? Code::forbidden : Code::unavailable;
        return fail(code, "nobody answers on " + path.string() + ": " + reason(errno));
    }
    auto const uid = KITH_TRY(peer_uid(socket));
    if (uid != ::geteuid())
        return fail(Code::forbidden, "the process behind " + path.string() +
                                         " belongs to another user (uid " + std::to_string(uid) +
                                         "); run kith as that user");
    return socket;
}

base::Result<::uid_t> peer_uid(FileDescriptor const& socket) {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return fail(Code::io, "the system does not say who is connected: " + reason(errno));
    return credentials.uid;
}

}  // namespace kith::io
