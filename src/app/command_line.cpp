// The parser: global options, all commands, and what happens when somebody mistypes.
#include <algorithm>
#include <exception>

#include "app/command_support.h"
#include "app/version.h"

namespace kith::app {
namespace {

constexpr char const* purpose =
    "kith: a group of people who trust each other pool their machines. Language models too big for "
    "one machine are split over them, in modes in which no other machine is handed prompt or "
    "answer.";

constexpr char const* first_steps =
    "First steps:\n"
    "  kith create friends              start a group (or join one: kith join)\n"
    "  kith serve                       run this node\n"
    "  kith invite create               an invite for one person, valid for a day\n"
    "  kith models add FILE.gguf        share a model\n"
    "  kith run \"Who can see this?\"     ask; then: kith route\n"
    "Exit codes: 0 ok, 1 failure, 2 usage, 69 kith serve does not run, 75 try again,\n"
    "77 not permitted, 78 bad configuration.";

struct Globals {
    std::optional<std::string> config_directory;
    bool json = false;
    bool quiet = false;
};

void add_globals(CLI::App& app, Globals& globals) {
    app.add_option("--config-dir", globals.config_directory,
                   "Keep everything in this directory (also KITH_CONFIG_DIR)")
        ->type_name("DIRECTORY");
    app.add_flag("--json", globals.json, "One JSON document on standard output");
    app.add_flag("--quiet", globals.quiet, "No hints, no progress");
    app.set_version_flag("--version", std::string("kith ") + version, "Print the version");
    app.require_subcommand(1);
    app.footer(first_steps);
}

Output output_of(Globals const& globals) {
    return {globals.json ? Format::json : Format::human,
            globals.quiet ? Chatter::quiet : Chatter::normal};
}

// CLI11 would say only that a command is missing.
std::optional<std::string> unknown_command(CLI::App const& app,
                                           std::vector<std::string> const& arguments) {
    auto const* level = &app;
    std::string words;
    bool is_value = false;
    for (auto const& argument : arguments) {
        if (!is_value && !argument.starts_with("-")) {
            if (level->get_subcommands({}).empty()) return std::nullopt;  // arguments of a command
            words += (words.empty() ? "" : " ") + argument;
            auto const known = level->get_subcommands(
                [&](CLI::App const* command) { return command->get_name() == argument; });
            if (known.empty()) return "there is no command '" + words + "'";
            level = known.front();
        }
        is_value = argument == "--config-dir";
    }
    return std::nullopt;
}

// CLI11 reports --help and --version as "errors" with exit code 0.
ExitCode explain(CLI::App const& app, std::vector<std::string> const& arguments,
                 CLI::ParseError const& error, Globals const& globals) {
    auto const unknown = unknown_command(app, arguments);
    if (!unknown && error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
        (void)app.exit(error);
        return ExitCode::ok;
    }
    std::string sentence = unknown.value_or(error.what());
    std::ranges::replace(sentence, '\n', ' ');
    std::string command = "kith";
    for (auto const* level = &app; !level->get_subcommands().empty();) {
        level = level->get_subcommands().front();
        command += " " + level->get_name();
    }
    return output_of(globals).fail(
        {base::Code::invalid, sentence + "; see: " + command + " --help"}, ExitCode::usage);
}

// `kith help models add` is `kith models add --help`.
std::vector<std::string> without_help_word(std::vector<std::string> arguments) {
    auto word = arguments.begin();
    while (word != arguments.end() && word->starts_with("-"))
        word += *word == "--config-dir" && word + 1 != arguments.end() ? 2 : 1;
    if (word == arguments.end() || *word != "help") return arguments;
    arguments.erase(word);
    arguments.emplace_back("--help");
    return arguments;
}

}  // namespace

ExitCode run_command_line(std::vector<std::string> const& given, Environment const& environment) {
    auto const arguments = without_help_word(given);
    CLI::App app(purpose, "kith");
    Globals globals;
    Commands commands;
    add_globals(app, globals);
    add_init_commands(app, commands);
    add_swarm_commands(app, commands);
    add_peers_commands(app, commands);
    add_serve_command(app, commands);
    add_invite_commands(app, commands);
    add_identity_commands(app, commands);
    add_models_commands(app, commands);
    add_model_commands(app, commands);
    add_run_command(app, commands);
    add_route_command(app, commands);
    try {
        std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
        app.parse(reversed);
    } catch (CLI::ParseError const& error) {
        return explain(app, arguments, error, globals);
    }
    Context context{.sources = {globals.config_directory, environment, {}},
                    .output = output_of(globals)};
    for (auto const& [parser, command] : commands) {
        if (!parser->parsed()) continue;
        auto const code = command->run(context);
        if (context.output.all_written() || code != ExitCode::ok) return code;
        context.output.warn("standard output could not be written: what it should say is lost");
        return ExitCode::failure;
    }
    return context.output.fail({base::Code::invalid, "no command; see: kith --help"},
                               ExitCode::usage);
}

}  // namespace kith::app
