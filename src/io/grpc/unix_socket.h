// io/grpc/unix_socket.h: a listening Unix socket that only its own user can reach, and the dialling
// side of it.
//
// Paths in the file system only, never the abstract namespace (claim M2): the directory is 0700,
// the socket 0600, and both sides ask the kernel who the other one is (SO_PEERCRED, unix(7)). Paths
// longer than sun_path (108 bytes) are reached through /proc/self/fd, so a deep --config-dir works.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace kith::io {

using base::FileDescriptor;

// Pending connections the kernel keeps for us.
inline constexpr int listen_backlog_max = 64;

// Listens on `path`. The last directory of it is created (0700) when it is missing and refused when
// it belongs to somebody else or others may enter it. A socket file left by a dead process is
// replaced; Code::conflict when somebody still answers there or when something other than a socket
// lies there.
base::Result<FileDescriptor> listen_unix(std::filesystem::path const& path);

// Dials `path` and proves that the process behind it runs under our own uid: Code::unavailable when
// nobody answers, Code::forbidden when the other side is another user (nothing has been sent then).
base::Result<FileDescriptor> connect_unix(std::filesystem::path const& path);

// The effective uid the process at the other end had when the connection was made.
base::Result<::uid_t> peer_uid(FileDescriptor const& socket);

}  // namespace kith::io
