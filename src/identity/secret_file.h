// identity/secret_file.h: small files that hold secrets (identity.key, swarm.key, api.key): one set
// of rules.
//
// A file is refused, with a sentence that says what to do, when it is a symlink or no regular file,
// belongs to another user, can be used by group or others, or stands in a folder that others may
// write to. Writing is atomic and durable: a temporary file (0600) in the same folder, fsync, link
// or rename, fsync of the folder. A crash leaves the old file or the new one; what it may leave
// beside them is removed by the next write or remove_leftovers().
#pragma once

#include <filesystem>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace kith::identity {

inline constexpr std::size_t secret_file_bytes_max = 65536;

// Makes the folder (and parents) with mode 0700 if it is missing, then checks it as above.
base::Status ensure_private_directory(std::filesystem::path const& directory);

// Code::not_found: no such file. Code::forbidden: one of the refusals above. Code::too_large,
// Code::io.
base::Result<crypto::SecretBytes> read_secret_file(std::filesystem::path const& path);

// Code::conflict: something of that name exists; of two concurrent writers exactly one succeeds.
// Code::too_large: above secret_file_bytes_max.
base::Status write_new_secret_file(std::filesystem::path const& path, base::ByteView content);

// Replaces the file, or creates it.
base::Status replace_secret_file(std::filesystem::path const& path, base::ByteView content);

// Removes temporary files that a killed writer of `path` left; never those of a writer still at
// work.
void remove_leftovers(std::filesystem::path const& path);

// If `directory` is inside a git work tree, gives it a .gitignore of "*" so that no key is ever
// committed (P24). An existing .gitignore is left as it is when it ignores everything, otherwise
// Code::conflict says what to add.
base::Status keep_out_of_git(std::filesystem::path const& directory);

}  // namespace kith::identity
