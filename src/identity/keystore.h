// identity/keystore.h: identity.key, the file that is this machine's identity.
//
// What is in it: key_file.h. Never regenerated: whatever is wrong with an existing file is an error
// for a person to act on.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "identity/identity.h"

namespace kith::identity {

inline constexpr char const* identity_file_name = "identity.key";

// Loads directory/identity.key. Code::not_found: there is none. Code::forbidden: see secret_file.h.
// Code::corrupt: short, truncated, altered or from an unknown version. Code::unauthorized: it has a
// passphrase, and `ask` is empty or gave another one.
base::Result<Identity> load_identity(std::filesystem::path const& directory,
                                     AskPassphrase const& ask = {});

// How the passphrase of an identity comes in. `make` is asked for the one of a new identity; empty:
// it gets none.
struct PassphraseSource {
    AskPassphrase ask;
    std::function<base::Result<KeySeal>()> make;
};

// Loads it, or creates it from `random`; of two starting at once one creates and the other loads. A
// binding that is due is renewed and the file replaced. `directory` is made private if it does not
// exist.
base::Result<Identity> load_or_create_identity(std::filesystem::path const& directory,
                                               crypto::Secret<identity_random_bytes> const& random,
                                               base::UnixTime now,
                                               PassphraseSource const& passphrases = {});

// What is done to an identity while the program runs: see Identity::renew() and rotate().
struct KeyChange {
    enum class Kind { renew, rotate } kind;
    std::uint64_t known_counter = 0;
};
// Writes the file first, then changes `identity`, so that nobody hears of a binding that a crash
// could take back. On an error neither has changed.
base::Status change_identity(std::filesystem::path const& directory, Identity& identity,
                             KeyChange change, crypto::Secret<rotation_random_bytes> const& random,
                             base::UnixTime now);

// Sets a passphrase, exchanges it, or (nullopt) removes it. The file first; on an error neither has
// changed.
base::Status change_seal(std::filesystem::path const& directory, Identity& identity,
                         std::optional<KeySeal> seal);

// Replaces the file by the state of `identity` (after renew()).
base::Status store_identity(std::filesystem::path const& directory, Identity const& identity);

}  // namespace kith::identity
