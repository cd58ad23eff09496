#include "identity/keystore.h"

#include "identity/secret_file.h"

namespace kith::identity {

using base::Code;

namespace {

std::filesystem::path file_in(std::filesystem::path const& directory) {
    return directory / identity_file_name;
}

}  // namespace

base::Result<Identity> load_identity(std::filesystem::path const& directory,
                                     AskPassphrase const& ask) {
    auto const bytes = KITH_TRY(read_secret_file(file_in(directory)));
    auto identity = Identity::from_file_bytes(bytes.view(), ask);
    if (!identity && identity.error().code == Code::cancelled) return identity;
    if (!identity)
        return base::fail(identity.error().code,
                          file_in(directory).string() + ": " + identity.error().message);
    return identity;
}

base::Result<Identity> load_or_create_identity(std::filesystem::path const& directory,
                                               crypto::Secret<identity_random_bytes> const& random,
                                               base::UnixTime now,
                                               PassphraseSource const& passphrases) {
    KITH_TRY(ensure_private_directory(directory));
    remove_leftovers(file_in(directory));
    auto existing = load_identity(directory, passphrases.ask);
    if (!existing && existing.error().code == Code::not_found) {
        KITH_TRY(keep_out_of_git(directory));
        auto created = KITH_TRY(Identity::create(random, now));
        if (passphrases.make) created.set_seal(KITH_TRY(passphrases.make()));
        auto const written =
            write_new_secret_file(file_in(directory), created.to_file_bytes().view());
        if (written) return created;
        if (written.error().code != Code::conflict) return std::unexpected(written.error());
        existing = load_identity(
            directory, passphrases.ask);  // another process was first: its identity is ours
    }
    auto identity = KITH_TRY(std::move(existing));
    if (identity.needs_renewal(now)) {
        KITH_TRY(identity.renew(now, crypto::Secret<32>(random.view().last<32>())));
        KITH_TRY(store_identity(directory, identity));
    }
    return identity;
}

base::Status change_identity(std::filesystem::path const& directory, Identity& identity,
                             KeyChange change, crypto::Secret<rotation_random_bytes> const& random,
                             base::UnixTime now) {
    auto next = identity.clone();
    switch (change.kind) {
        case KeyChange::Kind::renew:
            KITH_TRY(next.renew(now, crypto::Secret<32>(random.view().last<32>()),
                                change.known_counter));
            break;
        case KeyChange::Kind::rotate:
            KITH_TRY(next.rotate(now, random, change.known_counter));
            break;
    }
    KITH_TRY(store_identity(directory, next));
    identity = std::move(next);
    return {};
}

base::Status change_seal(std::filesystem::path const& directory, Identity& identity,
                         std::optional<KeySeal> seal) {
    auto next = identity.clone();
    next.set_seal(std::move(seal));
    KITH_TRY(store_identity(directory, next));
    identity = std::move(next);
    return {};
}

base::Status store_identity(std::filesystem::path const& directory, Identity const& identity) {
    return replace_secret_file(file_in(directory), identity.to_file_bytes().view());
}

}  // namespace kith::identity
