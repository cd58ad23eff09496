// app/commands.h: the commands of `kith`, each a CLI11 subcommand and the code that runs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/output.h"

namespace CLI {
class App;
}

namespace kith::app {

// What every command gets.
struct Context {
    SettingsSources sources;
    Output output;

    // Loads the settings. On failure the error is shown; the command returns ExitCode::bad_config.
    std::optional<Settings> settings() const;
};

class Command {
public:
    virtual ~Command() = default;
    virtual ExitCode run(Context& context) = 0;
};

// Commands register themselves in the parser and are kept here; the parsed one is run.
struct RegisteredCommand {
    CLI::App* parser;
    std::unique_ptr<Command> command;
};
using Commands = std::vector<RegisteredCommand>;

void add_init_commands(CLI::App& app, Commands& commands);    // init, version
void add_swarm_commands(CLI::App& app, Commands& commands);   // create, join, login, status
void add_peers_commands(CLI::App& app, Commands& commands);   // peers [pair|forget|kick], nickname
void add_serve_command(CLI::App& app, Commands& commands);    // serve
void add_invite_commands(CLI::App& app, Commands& commands);  // invite create|list|revoke
void add_models_commands(CLI::App& app, Commands& commands);  // models list|add|fetch
void add_identity_commands(CLI::App& app, Commands& commands);  // identity rotate
void add_run_command(CLI::App& app, Commands& commands);        // run
void add_route_command(CLI::App& app, Commands& commands);      // route

void add_model_commands(CLI::App& app, Commands& commands);  // model inspect|tokenize|...

// Parses and runs one command line. The arguments come from take_arguments().
ExitCode run_command_line(std::vector<std::string> const& arguments,
                          Environment const& environment);

}  // namespace kith::app
