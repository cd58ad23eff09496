// invite create|list|revoke.
#include <fmt/format.h>

#include "app/arguments.h"
#include "app/command_support.h"

namespace kith::app {
namespace {

using Need = Session::Need;
namespace pb = api::pb;

// Claim P15, said where it matters; the handler's own words come first when it has some.
constexpr char const* who_sees_prompts =
    "Whoever joins can see prompts that pass through their machine, unless the privacy modes are "
    "on, and learns the addresses of all members. Invite people you trust.";

class InviteCreate final : public Command {
public:
    explicit InviteCreate(CLI::App& parser) {
        parser.add_option("--max-uses", uses_, "How many people may join with it (1 to 10000)")
            ->default_str(uses_);
        auto* const hours =
            parser.add_option("--expires-hours", hours_, "Valid for so long (at most 8760)")
                ->default_str(hours_);
        parser.add_flag("--never-expires", never_expires_, "Valid until you revoke it")
            ->excludes(hours);
        parser.add_option("--note", note_, "For your own list: who it is for");
    }

    ExitCode run(Context& context) override {
        auto const request = checked_request();
        if (!request) return usage_error(context, request.error());
        ExitCode code{};
        auto const invite =
            ask(context, Need::daemon_or_local, &api::Control::invite_create, *request, code);
        if (!invite) return code;
        auto const& output = context.output;
        if (never_expires_)
            output.warn(
                "this invite never expires: whoever finds it, even years from now, can join until "
                "you run: kith invite revoke " +
                invite->invite_id().substr(0, 8));
        if (output.json()) output.document(*invite);
        output.line(terminal_safe(invite->token()));
        if (!output.all_written())
            return output.fail({base::Code::io,
                                "the token could not be written; take the invite back with: kith "
                                "invite revoke " +
                                    invite->invite_id().substr(0, 8)});
        output.note(fmt::format(
            "\nShown once, and stored nowhere. {}, expires: {}. Send it over a channel that you "
            "trust;\nthe other side runs:  KITH_INVITE_TOKEN=... kith join",
            invite->max_uses() == 1 ? std::string("1 use")
                                    : std::to_string(invite->max_uses()) + " uses",
            format_time(invite->expires_at())));
        if (invite->warnings().empty()) output.warn(who_sees_prompts);
        for (auto const& warning : invite->warnings()) output.warn(warning);
        return ExitCode::ok;
    }

private:
    base::Result<pb::InviteCreateRequest> checked_request() const {
        pb::InviteCreateRequest request;
        request.set_max_uses(KITH_TRY(parse_uses(uses_)));
        if (never_expires_)
            request.set_never_expires(true);
        else
            request.set_expires_hours(KITH_TRY(parse_hours(hours_)));
        if (characters_count(note_) > invite_note_characters_max)
            return base::fail(base::Code::invalid, "--note takes at most 500 characters");
        request.set_note(note_);
        return request;
    }

    std::string uses_ = "1";
    std::string hours_ = "24";
    bool never_expires_ = false;
    std::string note_;
};

class InviteList final : public Command {
public:
    explicit InviteList(CLI::App&) {}

    ExitCode run(Context& context) override {
        ExitCode code{};
        auto const list = ask(context, Need::daemon_or_local, &api::Control::invite_list,
                              pb::InviteListRequest{}, code);
        if (!list) return code;
        if (context.output.json()) context.output.document(*list);
        std::vector<std::vector<std::string>> rows{
            {"INVITE", "STATUS", "USED", "CREATED", "EXPIRES", "NOTE"}};
        for (auto const& invite : list->invites())
            rows.push_back({invite.invite_id().substr(0, 16), invite.status(),
                            fmt::format("{} of {}", invite.uses(), invite.max_uses()),
                            format_time(invite.created_at()), format_time(invite.expires_at()),
                            invite.note()});
        context.output.table(rows);
        return ExitCode::ok;
    }
};

class InviteRevoke final : public Command {
public:
    explicit InviteRevoke(CLI::App& parser) {
        parser.add_option("invite", prefix_, "At least 8 characters of its id (kith invite list)")
            ->required();
    }

    ExitCode run(Context& context) override {
        if (prefix_.size() < 8)
            return usage_error(context, {base::Code::invalid,
                                         "give at least 8 characters of the invite's id; "
                                         "kith invite list shows them"});
        pb::InviteRevokeRequest request;
        request.set_prefix(prefix_);
        ExitCode code{};
        auto const revoked =
            ask(context, Need::daemon_or_local, &api::Control::invite_revoke, request, code);
        if (!revoked) return code;
        if (context.output.json()) context.output.document(*revoked);
        context.output.line("revoked " + terminal_safe(revoked->invite_id()));
        context.output.note("Who joined with it before stays a member.");
        return ExitCode::ok;
    }

private:
    std::string prefix_;
};

}  // namespace

void add_invite_commands(CLI::App& app, Commands& commands) {
    auto* const invite = add_subcommand(app, "invite", "Invite people: create, list, revoke",
                                        "kith invite create --expires-hours 2");
    invite->require_subcommand(1);
    add_command<InviteCreate>(
        commands, add_subcommand(*invite, "create", "Make an invite token; it is shown once",
                                 "kith invite create --max-uses 1 --expires-hours 24"));
    add_command<InviteList>(
        commands, add_subcommand(*invite, "list", "Invites and their use", "kith invite list"));
    add_command<InviteRevoke>(commands, add_subcommand(*invite, "revoke", "Make an invite useless",
                                                       "kith invite revoke 4f2a90c1"));
}

}  // namespace kith::app
