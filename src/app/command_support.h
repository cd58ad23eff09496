// app/command_support.h: what several commands share: opening a session and asking one question
// through it.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "app/commands.h"
#include "app/session.h"

namespace kith::app {

// A subcommand that also takes the global options after its name, with an example in its help.
CLI::App* add_subcommand(CLI::App& parent, std::string const& name, std::string const& what,
                         std::string const& example);

// Registers a command object for a parser.
template <class Made, class... Arguments>
void add_command(Commands& commands, CLI::App* parser, Arguments&&... arguments) {
    commands.push_back(
        {parser, std::make_unique<Made>(*parser, std::forward<Arguments>(arguments)...)});
}

// Either a session, or the exit code after the error was shown.
struct Opened {
    std::unique_ptr<Session> session;
    ExitCode code = ExitCode::ok;
};
Opened open_session(Context const& context, Session::Need need);

// Sends one request. On failure the error is shown and `code` says how to exit.
template <class Request, class Response>
std::optional<Response> ask(Context const& context, Session::Need need,
                            void (api::Control::*method)(Request const&, api::Done<Response>),
                            Request const& request, ExitCode& code) {
    auto const opened = open_session(context, need);
    code = opened.code;
    if (!opened.session) return std::nullopt;
    auto result = opened.session->call(method, request);
    if (result) return *std::move(result);
    code = context.output.fail(result.error());
    return std::nullopt;
}

// Shows a wrong argument; returns ExitCode::usage.
ExitCode usage_error(Context const& context, base::Error const& error);

}  // namespace kith::app
