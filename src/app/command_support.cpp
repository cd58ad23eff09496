#include "app/command_support.h"

namespace kith::app {

std::optional<Settings> Context::settings() const {
    auto loaded = load_settings(sources);
    if (loaded) return *std::move(loaded);
    (void)output.fail(loaded.error());
    return std::nullopt;
}

CLI::App* add_subcommand(CLI::App& parent, std::string const& name, std::string const& what,
                         std::string const& example) {
    auto* const command = parent.add_subcommand(name, what);
    command->fallthrough();
    if (!example.empty()) command->footer("Example:\n  " + example);
    return command;
}

Opened open_session(Context const& context, Session::Need need) {
    auto const settings = context.settings();
    if (!settings) return {nullptr, ExitCode::bad_config};
    auto session = Session::open(*settings, need);
    if (session) return {*std::move(session), ExitCode::ok};
    auto const& error = session.error();
    bool const no_daemon = need == Session::Need::daemon && error.code == base::Code::unavailable;
    return {nullptr, no_daemon ? context.output.fail(error, ExitCode::no_daemon)
                               : context.output.fail(error)};
}

ExitCode usage_error(Context const& context, base::Error const& error) {
    return context.output.fail(error, ExitCode::usage);
}

}  // namespace kith::app
