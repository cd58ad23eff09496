// create, join, login, status.
#include <fmt/format.h>

#include "app/arguments.h"
#include "app/command_support.h"

namespace kith::app {
namespace {

using Need = Session::Need;
namespace pb = api::pb;

std::string join_words(google::protobuf::RepeatedPtrField<std::string> const& words) {
    std::string text;
    for (auto const& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

class Create final : public Command {
public:
    explicit Create(CLI::App& parser) {
        parser.add_option("name", name_, "What the group is called")->required();
    }

    ExitCode run(Context& context) override {
        pb::CreateRequest request;
        request.set_name(name_);
        ExitCode code{};
        auto const made = ask(context, Need::daemon_or_new, &api::Control::create, request, code);
        if (!made) return code;
        auto const& output = context.output;
        if (output.json()) output.document(*made);
        output.line("created the swarm \"" + terminal_safe(made->name()) + "\"");
        output.table({{"swarm", made->swarm_id()},
                      {"your address", made->address()},
                      {"your peer id", made->peer_id()}});
        output.note("Next: kith serve, then invite somebody with: kith invite create");
        return ExitCode::ok;
    }

private:
    std::string name_;
};

// `login` is the word ProgressPals uses for the same act.
class Join final : public Command {
public:
    explicit Join(CLI::App& parser) {
        parser.add_option("token", token_,
                          "The invite token; others can see it here, so prefer the environment "
                          "variable KITH_INVITE_TOKEN. - reads standard input");
        parser.add_option("--token-file", token_file_, "Read the token from this file");
    }

    ExitCode run(Context& context) override {
        auto const& output = context.output;
        auto const token = read_token(
            {.argument = token_, .file = token_file_, .environment = context.sources.environment});
        if (!token) return usage_error(context, token.error());
        for (auto const& warning : token->warnings) output.warn(warning);
        pb::JoinRequest request;
        request.set_token(token->text);
        ExitCode code{};
        auto const joined = ask(context, Need::daemon_or_new, &api::Control::join, request, code);
        if (!joined) return code;
        for (auto const& warning : joined->warnings()) output.warn(warning);
        if (output.json()) output.document(*joined);
        output.line(fmt::format("joined the swarm \"{}\", which has {} members now",
                                terminal_safe(joined->name()), joined->members_count()));
        output.table({{"swarm", joined->swarm_id()},
                      {"operator", joined->operator_address()},
                      {"your address", joined->address()},
                      {"your peer id", joined->peer_id()}});
        output.note("Next: kith serve");
        return ExitCode::ok;
    }

private:
    std::optional<std::string> token_;
    std::optional<std::filesystem::path> token_file_;
};

class Status final : public Command {
public:
    explicit Status(CLI::App&) {}

    ExitCode run(Context& context) override {
        ExitCode code{};
        auto const status =
            ask(context, Need::daemon, &api::Control::status, pb::StatusRequest{}, code);
        if (!status) return code;
        for (auto const& warning : status->warnings()) context.output.warn(warning);
        if (context.output.json())
            context.output.document(*status);
        else
            show(context.output, *status);
        return ExitCode::ok;
    }

private:
    static void show(Output const& output, pb::StatusResponse const& status) {
        std::vector<std::vector<std::string>> rows{
            {"kith", status.version()},
            {"address", status.address().empty() ? "none yet" : status.address()},
            {"node id", status.node_id()},
            {"peer id", status.peer_id()}};
        if (!status.nickname().empty()) rows.push_back({"nickname", status.nickname()});
        rows.push_back({"trust policy", status.trust_policy()});
        rows.push_back({"listening", status.listening().empty() ? "no (kith serve does not run)"
                                                                : join_words(status.listening())});
        if (!status.api_url().empty()) rows.push_back({"OpenAI endpoint", status.api_url()});
        if (!status.has_swarm()) {
            rows.push_back({"swarm", "none; kith create NAME or kith join"});
        } else {
            auto const& swarm = status.swarm();
            rows.push_back({"swarm", fmt::format("{} ({} members, list {})", swarm.name(),
                                                 swarm.members_count(), swarm.list_version())});
            rows.push_back({"operator", swarm.operator_address()});
            rows.push_back({"connected", std::to_string(status.peers_connected())});
            rows.push_back({"gossip", fmt::format("with {} members; {} heard, {} refused",
                                                  swarm.gossip_neighbours(), swarm.gossip_heard(),
                                                  swarm.gossip_refused())});
            rows.push_back(
                {"discovery",
                 fmt::format(
                     "knows {} members, keeps {} records; {} of {} lookups found, {} refused",
                     swarm.discovery_known(), swarm.discovery_records(), swarm.discovery_found(),
                     swarm.discovery_lookups(), swarm.discovery_refused())});
            rows.push_back(
                {"lease", swarm.lease_seconds_left() > 0
                              ? fmt::format("{:.0f} s left", swarm.lease_seconds_left())
                              : "none: serves nobody until a fresh member list arrives"});
        }
        rows.push_back({"memory", fmt::format("{} (weights {}, KV cache {})",
                                              format_bytes(status.resident_bytes()),
                                              format_bytes(status.weights_bytes()),
                                              format_bytes(status.kv_cache_bytes()))});
        for (auto const& crypto : status.crypto())
            rows.push_back({crypto.algorithm(),
                            fmt::format("{} ({})",
                                        crypto.provider() == "libcrypto" ? status.libcrypto()
                                                                         : crypto.provider(),
                                        crypto.reason())});
        output.table(rows);
        for (auto const& alarm : status.alarms()) output.warn(alarm);
    }
};

}  // namespace

void add_swarm_commands(CLI::App& app, Commands& commands) {
    add_command<Create>(commands, add_subcommand(app, "create", "Start a group of your own",
                                                 "kith create friends"));
    add_command<Join>(commands, add_subcommand(app, "join", "Join a group with an invite token",
                                               "KITH_INVITE_TOKEN=kith1... kith join"));
    add_command<Join>(commands, add_subcommand(app, "login", "The same as join",
                                               "KITH_INVITE_TOKEN=kith1... kith login"));
    add_command<Status>(commands, add_subcommand(app, "status", "This node, its swarm, its memory",
                                                 "kith status --json"));
}

}  // namespace kith::app
