// peers, peers pair, peers forget, peers kick, nickname.
#include <fmt/format.h>

#include "app/command_support.h"
#include "identity/nickname.h"

namespace kith::app {
namespace {

using Need = Session::Need;
namespace pb = api::pb;

std::string join_words(google::protobuf::RepeatedPtrField<std::string> const& words) {
    std::string text;
    for (auto const& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

class Peers final : public Command {
public:
    explicit Peers(CLI::App& parser) {
        parser.add_flag("--whole-ids", whole_ids_,
                        "Whole node ids, to compare with what kith status shows on each machine");
    }

    ExitCode run(Context& context) override {
        ExitCode code{};
        auto const peers =
            ask(context, Need::daemon, &api::Control::peers, pb::PeersRequest{}, code);
        if (!peers) return code;
        auto const& output = context.output;
        if (output.json()) output.document(*peers);
        std::vector<std::vector<std::string>> rows{{"ADDRESS", "NODE", "NAME", "STATE", "PATH",
                                                    "RTT", "SESSION", "ROLE", "BALANCE", "SERVES",
                                                    "LAST ERROR"}};
        for (auto const& peer : peers->peers())
            rows.push_back({peer.address(), shown_id(peer.node_id()), peer.nickname(), peer.state(),
                            peer.path().empty() ? "-" : peer.path(), round_trip(peer),
                            peer.session() ? "encrypted" : "-",
                            peer.is_operator() ? "operator" : "member",
                            fmt::format("{:+}", peer.balance()), join_words(peer.serving()),
                            peer.last_error()});
        output.table(rows);
        for (auto const& failed : peers->pair_failed()) show(output, failed);
        return ExitCode::ok;
    }

private:
    [[nodiscard]] std::string shown_id(std::string const& node_id) const {
        return whole_ids_ ? node_id : node_id.substr(0, 16);
    }
    static std::string round_trip(pb::Peer const& peer) {
        if (peer.round_trip_us() == 0) return "-";
        return fmt::format("{:.1f} ms", static_cast<double>(peer.round_trip_us()) / 1000);
    }
    static void show(Output const& output, pb::PairFailed const& failed) {
        auto const who =
            failed.node_id().empty() ? "" : " (" + failed.node_id().substr(0, 16) + ")";
        auto const times =
            failed.times() > 1 ? fmt::format(", {} times, the last", failed.times()) : "";
        output.line(fmt::format("pair failed: {}: {}{}{} {}: {}", terminal_safe(failed.reason()),
                                terminal_safe(failed.address()), terminal_safe(who), times,
                                format_time(failed.time()), terminal_safe(failed.detail())));
    }

    bool whole_ids_ = false;
};

class PeersPair final : public Command {
public:
    explicit PeersPair(CLI::App& parser) {
        parser.add_option("address", address_, "As kith status shows it on that machine")
            ->required();
    }

    ExitCode run(Context& context) override {
        pb::PairPeerRequest request;
        request.set_address(address_);
        ExitCode code{};
        auto const paired = ask(context, Need::daemon, &api::Control::pair_peer, request, code);
        if (!paired) return code;
        if (context.output.json()) context.output.document(*paired);
        context.output.table({{"node id", paired->node_id()}, {"peer id", paired->peer_id()}});
        context.output.note(
            "Compare the node id with what kith status shows on that machine, by another way than "
            "this network.");
        return ExitCode::ok;
    }

private:
    std::string address_;
};

class PeersForget final : public Command {
public:
    explicit PeersForget(CLI::App& parser) {
        parser
            .add_option("short_id", short_id_,
                        "At least 8 characters of its node id (kith peers), or the peer id")
            ->required();
    }

    ExitCode run(Context& context) override {
        pb::ForgetPeerRequest request;
        request.set_short_id(short_id_);
        ExitCode code{};
        auto const gone = ask(context, Need::daemon, &api::Control::forget_peer, request, code);
        if (!gone) return code;
        if (context.output.json()) context.output.document(*gone);
        context.output.line(fmt::format("forgot {}: {} pinned keys, {} connections cut",
                                        terminal_safe(gone->node_id()), gone->pins_count(),
                                        gone->connections_cut()));
        context.output.note("A member of the swarm connects again by itself.");
        return ExitCode::ok;
    }

private:
    std::string short_id_;
};

class PeersKick final : public Command {
public:
    explicit PeersKick(CLI::App& parser) {
        parser
            .add_option("member", who_,
                        "Its address, its peer id, or at least 8 characters of its node id (kith "
                        "peers)")
            ->required();
    }

    ExitCode run(Context& context) override {
        if (who_.size() < 8)
            return usage_error(context, {base::Code::invalid,
                                         "give an address, or at least 8 characters of a node id; "
                                         "kith peers shows them"});
        pb::KickPeerRequest request;
        request.set_who(who_);
        ExitCode code{};
        auto const kicked = ask(context, Need::daemon, &api::Control::kick_peer, request, code);
        if (!kicked) return code;
        auto const& output = context.output;
        if (output.json()) output.document(*kicked);
        output.line(
            fmt::format("removed {} from the swarm, for good", terminal_safe(kicked->address())));
        output.note(fmt::format(
            "The swarm has a new secret. Members that have it: {}; that get it when they connect "
            "next: {}.\n"
            "Whoever cannot hear of this stops serving it within 30 s. Invites stay as they are: "
            "if it may know one, run: kith invite list, kith invite revoke",
            kicked->told_count(), kicked->left_count()));
        return ExitCode::ok;
    }

private:
    std::string who_;
};

class Nickname final : public Command {
public:
    explicit Nickname(CLI::App& parser) {
        parser.add_option("name", name_, "1 to 32 characters")->required();
    }

    ExitCode run(Context& context) override {
        if (auto const checked = identity::check_nickname(name_); !checked)
            return usage_error(context, checked.error());
        pb::SetNicknameRequest request;
        request.set_name(name_);
        ExitCode code{};
        auto const set =
            ask(context, Need::daemon_or_local, &api::Control::set_nickname, request, code);
        if (!set) return code;
        if (context.output.json()) context.output.document(*set);
        context.output.line("members see this node as \"" + terminal_safe(set->name()) + "\"");
        return ExitCode::ok;
    }

private:
    std::string name_;
};

}  // namespace

void add_peers_commands(CLI::App& app, Commands& commands) {
    auto* const peers = add_subcommand(
        app, "peers", "Who is here, what they serve, and who was refused", "kith peers");
    // Before their parent, which counts as parsed with each of them.
    add_command<PeersPair>(commands,
                           add_subcommand(*peers, "pair", "Link with a peer outside the swarm",
                                          "kith peers pair /ip4/192.0.2.7/tcp/8810"));
    add_command<PeersForget>(
        commands, add_subcommand(*peers, "forget", "Forget a peer's pinned key and cut it off",
                                 "kith peers forget 1f0a9c3b77d2e604"));
    add_command<PeersKick>(
        commands,
        add_subcommand(*peers, "kick", "Remove a member for good and give the others a new secret",
                       "kith peers kick 1f0a9c3b77d2e604"));
    add_command<Peers>(commands, peers);
    add_command<Nickname>(commands, add_subcommand(app, "nickname", "What members call this node",
                                                   "kith nickname ada"));
}

}  // namespace kith::app
