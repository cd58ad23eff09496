// identity rotate, identity passphrase set|remove.
#include <google/protobuf/struct.pb.h>

#include "app/command_support.h"
#include "app/config_file.h"
#include "app/passphrase.h"
#include "identity/keystore.h"
#include "io/grpc/control_client.h"
#include "io/net/os.h"
#include "io/store/sqlite_store.h"

namespace kith::app {
namespace {

using Need = Session::Need;
namespace pb = api::pb;

class IdentityRotate final : public Command {
public:
    explicit IdentityRotate(CLI::App&) {}

    ExitCode run(Context& context) override {
        ExitCode code{};
        auto const rotated = ask(context, Need::daemon_or_local, &api::Control::rotate_identity,
                                 pb::RotateIdentityRequest{}, code);
        if (!rotated) return code;
        auto const& output = context.output;
        if (output.json()) output.document(*rotated);
        output.line("this machine has new keys");
        output.table({{"address", rotated->address() + " (as before)"},
                      {"node id", rotated->node_id()},
                      {"peer id", rotated->peer_id()}});
        output.note(
            "Members take the new keys as soon as this machine has reached the operator's; the "
            "old ones are refused from then on.\nA copy of the old identity.key is still as good "
            "as this one: its root is the same. Destroy copies.");
        return ExitCode::ok;
    }
};

// The key file, while no daemon has it: a running one would write it back as it knows it.
struct OpenedKey {
    std::unique_ptr<io::SqliteStore> lock;  // of the state directory
    identity::Identity identity;
};

base::Result<OpenedKey> open_key(Settings const& settings) {
    auto const lock_patience = std::chrono::seconds(0);
    if (io::ControlClient::connect(settings.control_socket))
        return base::fail(base::Code::conflict,
                          "kith serve runs and would write identity.key as it was; stop it first");
    KITH_TRY(prepare_config_directory(settings.state_directory));
    auto lock =
        KITH_TRY(io::SqliteStore::open(settings.state_directory / "state.db", lock_patience));
    auto identity = identity::load_identity(
        settings.config_directory, [&] { return ask_passphrase(settings.passphrases.current); });
    if (!identity && identity.error().code == base::Code::not_found)
        return base::fail(base::Code::not_found,
                          "this machine has no identity yet; kith init --passphrase lets the first "
                          "start make one with a passphrase");
    if (!identity) return std::unexpected(identity.error());
    return OpenedKey{std::move(lock), *std::move(identity)};
}

class PassphraseChange final : public Command {
public:
    enum class Kind { set, remove };
    PassphraseChange(CLI::App&, Kind kind) : kind_(kind) {}

    ExitCode run(Context& context) override {
        auto const& output = context.output;
        auto const settings = context.settings();
        if (!settings) return ExitCode::bad_config;
        auto const changed = change(*settings);
        if (!changed) return output.fail(changed.error());
        if (output.json()) {
            google::protobuf::Struct document;
            (*document.mutable_fields())["passphrase"].set_bool_value(kind_ == Kind::set);
            output.document(document);
        }
        output.line(kind_ == Kind::set ? "identity.key is protected by the passphrase now"
                                       : "identity.key has no passphrase now");
        if (kind_ == Kind::set)
            output.note(
                "Nobody can recover a forgotten passphrase. Copies of the file made before are "
                "still without it, and so may be its old blocks on the disk.");
        return ExitCode::ok;
    }

private:
    [[nodiscard]] base::Status change(Settings const& settings) const {
        auto key = KITH_TRY(open_key(settings));
        std::optional<identity::KeySeal> seal;
        io::OsRng rng;
        if (kind_ == Kind::set)
            seal = KITH_TRY(make_seal(settings.passphrases.fresh, rng));
        else if (!key.identity.has_seal())
            return base::fail(base::Code::conflict,
                              "identity.key has no passphrase; nothing changed");
        return identity::change_seal(settings.config_directory, key.identity, std::move(seal));
    }

    Kind kind_;
};

}  // namespace

void add_identity_commands(CLI::App& app, Commands& commands) {
    auto* const identity = add_subcommand(
        app, "identity", "This machine's keys: rotate, passphrase", "kith identity rotate");
    identity->require_subcommand(1);
    add_command<IdentityRotate>(
        commands, add_subcommand(*identity, "rotate", "New keys under the same address",
                                 "kith identity rotate"));
    auto* const passphrase =
        add_subcommand(*identity, "passphrase", "Protect identity.key by a passphrase, or not",
                       "kith identity passphrase set");
    passphrase->require_subcommand(1);
    using Kind = PassphraseChange::Kind;
    add_command<PassphraseChange>(
        commands,
        add_subcommand(*passphrase, "set", "Set or exchange the passphrase",
                       "kith identity passphrase set"),
        Kind::set);
    add_command<PassphraseChange>(commands,
                                  add_subcommand(*passphrase, "remove", "Remove the passphrase",
                                                 "kith identity passphrase remove"),
                                  Kind::remove);
}

}  // namespace kith::app
