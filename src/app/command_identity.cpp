// identity rotate.
#include "app/command_support.h"

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

}  // namespace

void add_identity_commands(CLI::App& app, Commands& commands) {
    auto* const identity =
        add_subcommand(app, "identity", "This machine's keys: rotate", "kith identity rotate");
    identity->require_subcommand(1);
    add_command<IdentityRotate>(
        commands, add_subcommand(*identity, "rotate", "New keys under the same address",
                                 "kith identity rotate"));
}

}  // namespace kith::app
