// app/passphrase.h: where the passphrase of identity.key comes from: a descriptor, a file, or the
// terminal; never an argument or the environment itself, which others can read.
#pragma once

#include <string>

#include "base/result.h"
#include "crypto/secret.h"
#include "identity/keystore.h"
#include "ports/rng.h"

namespace kith::app {

// Empty: not given. From KITH_PASSPHRASE_FD and KITH_PASSPHRASE_FILE, and for the new one of a
// change from KITH_NEW_PASSPHRASE_FD and KITH_NEW_PASSPHRASE_FILE.
struct PassphrasePlace {
    std::string variable = "KITH_PASSPHRASE";  // whose _FD and _FILE these were; for messages
    std::string descriptor;                    // its number; one line is read from it
    std::string file;  // its first line; refused when others can read it (secret_file.h)
};
struct PassphrasePlaces {
    PassphrasePlace current;
    PassphrasePlace fresh;
};

// The passphrase there is: from its place, else asked for on the terminal without echo.
// Code::unauthorized: no place and no terminal. Code::cancelled: Ctrl-C.
base::Result<crypto::SecretBytes> ask_passphrase(PassphrasePlace const& place);

// A new one: as above, asked for twice on the terminal, at least passphrase_bytes_min long, and
// made into a seal with fresh salt.
base::Result<identity::KeySeal> make_seal(PassphrasePlace const& place, ports::Rng& rng);

}  // namespace kith::app
