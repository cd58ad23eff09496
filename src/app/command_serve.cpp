// serve: the daemon in the foreground, until SIGINT or SIGTERM.
#include <fmt/format.h>

#include "app/command_support.h"
#include "app/config_file.h"
#include "app/daemon.h"
#include "app/signals.h"
#include "io/grpc/control_server.h"

namespace kith::app {
namespace {

namespace pb = api::pb;

// Lets a signal that comes while the daemon is still being opened stop it as soon as it exists.
class Stopper {
public:
    void attach(Daemon* daemon) {
        std::lock_guard const lock(mutex_);
        daemon_ = daemon;
        if (stopped_ && daemon_ != nullptr) daemon_->stop();
    }
    void stop() {
        std::lock_guard const lock(mutex_);
        stopped_ = true;
        if (daemon_ != nullptr) daemon_->stop();
    }

private:
    std::mutex mutex_;
    Daemon* daemon_ = nullptr;
    bool stopped_ = false;
};

class Serve final : public Command {
public:
    explicit Serve(CLI::App& parser) {
        add_flag(parser, "--listen", "node.listen",
                 "HOST:PORT for other members (repeatable; port 0: any)");
        add_flag(parser, "--announce", "node.announce",
                 "HOST:PORT told to members instead (repeatable)");
        add_flag(parser, "--http-host", "api.host", "Where the OpenAI endpoint listens");
        add_flag(parser, "--http-port", "api.port", "Its port (0: any free one)");
        add_flag(parser, "--api-key", "api.key",
                 "Its bearer key; others can see it here, so prefer KITH_API_KEY or config.toml");
        add_flag(parser, "--encrypted-pipeline", "inference.encrypted_pipeline",
                 "true: no other machine is handed text");
        add_flag(parser, "--local-embedding-privacy", "inference.local_embedding_privacy",
                 "true: token ids stay on this machine");
        add_flag(parser, "--threads", "inference.threads", "0: one per core");
        add_flag(parser, "--log-level", "log.level", "error, warning, info or debug");
    }

    ExitCode run(Context& context) override {
        auto const& output = context.output;
        collect_flags(context);
        auto const settings = context.settings();
        if (!settings) return ExitCode::bad_config;
        Stopper stopper;
        auto const watcher = SignalWatcher::start([&] { stopper.stop(); });
        if (!watcher) return output.fail(watcher.error());
        for (auto const& directory : {settings->config_directory, settings->state_directory})
            if (auto const made = prepare_config_directory(directory); !made)
                return output.fail(made.error());
        auto const daemon = Daemon::create(*settings, Daemon::Mode::serve);
        if (!daemon) return output.fail(daemon.error());
        auto const server = io::ControlServer::start(
            settings->control_socket, (*daemon)->control(),
            [raw = daemon->get()](std::function<void()> action) { raw->post(std::move(action)); });
        if (!server) return output.fail(server.error());
        (*daemon)->post([&] { announce(output, **daemon); });
        stopper.attach(daemon->get());
        auto const ended = (*daemon)->run();
        stopper.attach(nullptr);
        (*server)->stop();
        if (!ended) return output.fail(ended.error());
        output.note("stopped");
        return ExitCode::ok;
    }

private:
    struct ServeFlag {
        std::string key;
        CLI::Option* option;
    };

    void add_flag(CLI::App& parser, char const* name, std::string const& key,
                  std::string const& help) {
        auto* const option = parser.add_option(name, help);
        if (key == "node.listen" || key == "node.announce")
            option->take_all()->type_name("HOST:PORT");
        else
            option->type_name("VALUE");
        flags_.push_back({key, option});
    }

    void collect_flags(Context& context) const {
        for (auto const& flag : flags_)
            if (flag.option->count() > 0)
                context.sources.flags.push_back({flag.key, flag.option->results()});
    }

    // Loop thread, once everything listens: what this node is, so that scripts can wait for it.
    static void announce(Output const& output, Daemon& daemon) {
        daemon.control().status({}, [&output](base::Result<pb::StatusResponse> const& status) {
            if (!status) return output.warn(status.error().message);
            for (auto const& warning : status->warnings()) output.warn(warning);
            if (output.json()) return output.document(*status);
            output.line("kith " + terminal_safe(status->version()) + " runs as " +
                        terminal_safe(status->address()));
            for (auto const& address : status->listening())
                output.line("members:         " + terminal_safe(address));
            output.line("OpenAI endpoint: " + terminal_safe(status->api_url()));
            if (!status->has_swarm())
                output.note("In no swarm yet: kith create NAME, or kith join with an invite.");
            output.note("Ctrl-C stops it.");
        });
    }

    std::vector<ServeFlag> flags_;
};

}  // namespace

void add_serve_command(CLI::App& app, Commands& commands) {
    add_command<Serve>(commands,
                       add_subcommand(app, "serve", "Run this node until Ctrl-C", "kith serve"));
}

}  // namespace kith::app
