// The commands that need neither a daemon nor state: init, version.
#include <google/protobuf/struct.pb.h>

#include "app/command_support.h"
#include "app/config_file.h"
#include "app/version.h"

namespace kith::app {
namespace {

class Init final : public Command {
public:
    explicit Init(CLI::App& parser) {
        parser.add_flag("--passphrase", passphrase_,
                        "The first start protects identity.key by a passphrase");
    }

    ExitCode run(Context& context) override {
        auto const& output = context.output;
        auto const settings = context.settings();
        if (!settings) return ExitCode::bad_config;
        auto const& directory = settings->config_directory;
        if (auto const made = prepare_config_directory(directory); !made)
            return output.fail(made.error());
        auto const written = write_default_config(
            directory, passphrase_ ? NewIdentity::with_passphrase : NewIdentity::plain);
        if (!written) return output.fail(written.error());
        auto const path = (directory / config_file_name).string();
        bool const created = *written == Written::created;
        if (passphrase_ && !created)
            return output.fail({base::Code::conflict,
                                path +
                                    " exists already; nothing changed. Add to its [node] section: "
                                    "passphrase = true"});
        if (output.json()) {
            google::protobuf::Struct document;
            (*document.mutable_fields())["config"].set_string_value(path);
            (*document.mutable_fields())["created"].set_bool_value(created);
            output.document(document);
        }
        output.line(created ? "wrote " + path : path + " exists already; nothing changed");
        output.note("Your identity key is made by the first of: kith create, join, login, serve.");
        if (passphrase_) output.note("It will ask for the passphrase of the key then.");
        return ExitCode::ok;
    }

private:
    bool passphrase_ = false;
};

class Version final : public Command {
public:
    explicit Version(CLI::App&) {}

    ExitCode run(Context& context) override {
        if (context.output.json()) {
            google::protobuf::Struct document;
            (*document.mutable_fields())["version"].set_string_value(version);
            context.output.document(document);
        }
        context.output.line(std::string("kith ") + version);
        return ExitCode::ok;
    }
};

}  // namespace

void add_init_commands(CLI::App& app, Commands& commands) {
    add_command<Init>(commands,
                      add_subcommand(app, "init", "Write a commented config.toml", "kith init"));
    add_command<Version>(commands, add_subcommand(app, "version", "Print the version", ""));
}

}  // namespace kith::app
