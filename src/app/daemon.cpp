// app/daemon.cpp: the composition root: which clock, which disk, which sockets the node is built
// on.
#include "app/daemon.h"

#include <unistd.h>

#include <google/protobuf/stubs/logging.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <fstream>
#include <thread>

#include "api/api_key.h"
#include "api/control_handlers.h"
#include "api/http_bind.h"
#include "api/http_door.h"
#include "app/log.h"
#include "app/passphrase.h"
#include "app/reported_rng.h"
#include "app/version.h"
#include "crypto/constant_time.h"
#include "crypto/secret.h"
#include "feature/ask/ask.h"
#include "identity/keystore.h"
#include "identity/secret_file.h"
#include "io/http/http_server.h"
#include "io/nat/port_forwarder.h"
#include "io/net/interfaces.h"
#include "io/net/os.h"
#include "io/net/tcp_driver.h"
#include "io/pool/worker_pool.h"
#include "io/store/secret_files.h"
#include "io/store/sqlite_store.h"
#include "node/node.h"
#include "ports/network_core.h"
#include "wire/multiaddr.h"

namespace kith::app {

using base::Code;
using base::fail;

namespace {

base::Result<identity::Identity> open_identity(Settings const& settings, Daemon::Mode mode,
                                               ports::Rng& rng, io::OsClock const& clock) {
    identity::PassphraseSource passphrases{
        .ask = [&] { return ask_passphrase(settings.passphrases.current); }, .make = {}};
    if (settings.passphrase)
        passphrases.make = [&] { return make_seal(settings.passphrases.current, rng); };
    if (mode == Daemon::Mode::one_shot) {
        auto loaded = identity::load_identity(settings.config_directory, passphrases.ask);
        if (!loaded && loaded.error().code == Code::not_found)
            return fail(Code::not_found,
                        "this machine has no identity yet; it gets one with: kith create NAME, "
                        "kith join, or kith serve");
        return loaded;
    }
    crypto::Secret<identity::identity_random_bytes> random;
    KITH_TRY(rng.fill(random.mutable_view()));
    KITH_TRY(identity::keep_out_of_git(settings.config_directory));
    return identity::load_or_create_identity(settings.config_directory, random, clock.unix_now(),
                                             passphrases);
}

// A command that ran in one shot lets go of the state within this time.
constexpr base::Duration store_patience = std::chrono::seconds(3);

std::uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t pages = 0;
    std::uint64_t resident = 0;
    statm >> pages >> resident;
    return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

bool is_unspecified(std::string const& host) {
    return host == "0.0.0.0" || host == "::";
}

void add_multiaddr(std::vector<std::string>& out, std::string const& host, std::uint16_t port) {
    if (port == 0) return;
    if (auto const address = wire::Multiaddr::tcp(host, port)) out.push_back(address->to_text());
}

// What others are told: the announced endpoints, or every address behind the ones this node listens
// on.
std::vector<std::string> reachable_addresses(Settings const& settings,
                                             std::vector<ports::SocketAddress> const& bound) {
    std::vector<std::string> addresses;
    for (auto const& endpoint : settings.announce)
        add_multiaddr(addresses, endpoint.host, endpoint.port);
    if (!addresses.empty()) return addresses;
    for (auto const& address : bound) {
        if (!is_unspecified(address.ip)) {
            add_multiaddr(addresses, address.ip, address.port);
            continue;
        }
        for (auto const& ip : io::interface_addresses()) add_multiaddr(addresses, ip, address.port);
    }
    return addresses;
}

// Lets the driver send what a question produced at once.
class PumpingService final : public ask::Service {
public:
    PumpingService(ask::Service& inner, std::function<void()> pump)
        : inner_(inner), pump_(std::move(pump)) {}
    [[nodiscard]] bool has_room() const override { return inner_.has_room(); }
    base::Result<ask::QuestionId> ask(ask::Question question, ask::Listener listener) override {
        auto id = inner_.ask(std::move(question), std::move(listener));
        pump_();
        return id;
    }
    void cancel(ask::QuestionId id) override {
        inner_.cancel(id);
        pump_();
    }
    std::vector<ask::ModelCard> models() const override { return inner_.models(); }
    std::optional<ask::RouteView> last_route() const override { return inner_.last_route(); }
    base::Result<ask::RouteView> planned_route(std::string const& model) const override {
        return inner_.planned_route(model);
    }

private:
    ask::Service& inner_;
    std::function<void()> pump_;
};

}  // namespace

class Daemon::Implementation {
public:
    explicit Implementation(Settings settings)
        : settings_(std::move(settings)), log_(settings_.log_level) {}
    ~Implementation() {
        forwarder_.reset();
        if (http_) http_->stop();
        if (driver_) driver_->stop();
    }

    base::Status open(Mode mode);
    base::Status listen();
    base::Status open_http();
    void map_port(std::vector<ports::SocketAddress> const& bound);
    base::Status change_identity(identity::KeyChange change);
    void changed();
    base::Status run() {
        context_.run();
        return {};
    }
    void stop() {
        boost::asio::post(context_, [this] {
            work_.reset();
            context_.stop();
        });
    }
    void post(std::function<void()> action) { boost::asio::post(context_, std::move(action)); }
    api::Control& control() { return *handlers_; }

private:
    Settings settings_;
    Log log_;
    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        context_.get_executor()};
    io::OsRng os_rng_;
    ReportedRng rng_{os_rng_, [this](std::string const& line) { log_.line(line); }};
    io::OsClock clock_;
    std::optional<identity::Identity> identity_;
    std::unique_ptr<io::SqliteStore> store_;
    std::optional<io::SecretFiles> secrets_;
    std::unique_ptr<io::WorkerPool> pool_;
    std::unique_ptr<node::Node> node_;
    std::unique_ptr<ask::Ask> ask_;
    std::unique_ptr<io::TcpDriver> driver_;
    std::unique_ptr<io::PortForwarder> forwarder_;
    std::unique_ptr<PumpingService> service_;
    std::unique_ptr<api::ControlHandlers> handlers_;
    std::unique_ptr<api::HttpDoor> door_;
    std::unique_ptr<io::HttpServer> http_;
};

base::Status Daemon::Implementation::open(Mode mode) {
    // libprotobuf prints complaints about what peers send to stderr; the dispatcher says all that
    // is to be said.
    google::protobuf::SetLogHandler(nullptr);
    KITH_TRY(identity::ensure_private_directory(settings_.config_directory));
    KITH_TRY(identity::ensure_private_directory(settings_.state_directory));
    identity_.emplace(KITH_TRY(open_identity(settings_, mode, rng_, clock_)));
    if (settings_.passphrase && !identity_->has_seal())
        log_.line(
            "identity.key has no passphrase although config.toml asks for one; run: kith "
            "identity passphrase set");
    store_ =
        KITH_TRY(io::SqliteStore::open(settings_.state_directory / "state.db", store_patience));
    secrets_.emplace(settings_.config_directory);
    pool_ = std::make_unique<io::WorkerPool>(context_, [this] { changed(); });
    node_ = KITH_TRY(node::Node::create(
        {.identity = *identity_,
         .rng = rng_,
         .clock = clock_,
         .store = *store_,
         .secrets = *secrets_,
         .log = [this](std::string const& line) { log_.line(line); },
         .trust = settings_.trust,
         .services = settings_.services,
         .change_identity = [this](identity::KeyChange change) { return change_identity(change); }},
        clock_.now()));
    auto const threads = settings_.threads != 0 ? settings_.threads
                                                : std::max(1U, std::thread::hardware_concurrency());
    ask_ = KITH_TRY(
        ask::Ask::create({.flags = {.local_embedding_privacy = settings_.local_embedding_privacy,
                                    .encrypted_pipeline = settings_.encrypted_pipeline},
                          .threads = std::min<std::size_t>(threads, infer::threads_count_max),
                          .models_directory = settings_.models_directory},
                         *node_, *pool_));
    node_->attach(*ask_);
    driver_ = std::make_unique<io::TcpDriver>(context_, *node_, clock_, [] {});
    service_ = std::make_unique<PumpingService>(*ask_, [this] { changed(); });
    handlers_ = std::make_unique<api::ControlHandlers>(
        api::ControlHandlers::Context{.node = *node_,
                                      .ask = *ask_,
                                      .version = version,
                                      .api_url = {},
                                      .changed = [this] { changed(); },
                                      .shut_down = [this] { stop(); },
                                      .resident_bytes = resident_bytes});
    if (mode == Mode::serve) {
        KITH_TRY(listen());
        KITH_TRY(open_http());
    } else {
        std::vector<ports::SocketAddress> configured;
        configured.reserve(settings_.listen.size());
        for (auto const& endpoint : settings_.listen)
            configured.push_back({endpoint.host, endpoint.port});
        node_->set_listen_addresses(reachable_addresses(settings_, configured));
    }
    driver_->pump();
    return {};
}

base::Status Daemon::Implementation::change_identity(identity::KeyChange change) {
    crypto::Secret<identity::rotation_random_bytes> random;
    KITH_TRY(rng_.fill(random.mutable_view()));
    return identity::change_identity(settings_.config_directory, *identity_, change, random,
                                     clock_.unix_now());
}

base::Status Daemon::Implementation::listen() {
    std::vector<ports::SocketAddress> bound;
    bound.reserve(settings_.listen.size());
    for (auto const& endpoint : settings_.listen) {
        auto const address = driver_->listen({endpoint.host, endpoint.port});
        if (!address)
            return base::fail(address.error().code, "node.listen: " + address.error().message);
        bound.push_back(*address);
    }
    node_->set_listen_addresses(reachable_addresses(settings_, bound));
    map_port(bound);
    return {};
}

// One port is mapped, the first that others in the network can reach. Whoever announces addresses
// of his own has seen to that himself.
void Daemon::Implementation::map_port(std::vector<ports::SocketAddress> const& bound) {
    if (settings_.port_mapping == PortMappingMode::off || !settings_.announce.empty()) return;
    auto const open = std::ranges::find_if(
        bound, [](auto const& at) { return !at.ip.starts_with("127.") && at.ip != "::1"; });
    if (open == bound.end()) return;
    forwarder_ = std::make_unique<io::PortForwarder>(
        context_, clock_, open->port, io::router_port_mapper(),
        [this](std::optional<std::uint16_t> port) {
            log_.line(port ? "router: port " + std::to_string(*port) + " leads to this node"
                           : std::string("router: no port leads to this node any more"));
            node_->set_mapped_port(port, clock_.now());
            changed();
        });
}

base::Status Daemon::Implementation::open_http() {
    auto const bind = KITH_TRY(api::check_bind({.host = settings_.http.host,
                                                .port = settings_.http.port,
                                                .api_key_given = settings_.api_key}));
    std::optional<api::ApiKey> key;
    if (settings_.api_key) {
        key.emplace(KITH_TRY(api::ApiKey::create(*settings_.api_key)));
    } else {
        base::ByteArray<api::api_key_random_bytes> random;
        KITH_TRY(rng_.fill(random));
        auto const stored = api::load_or_create_api_key(settings_.config_directory, random);
        crypto::wipe(random);
        if (!stored) return std::unexpected(stored.error());
        key.emplace(KITH_TRY(api::ApiKey::create(base::as_text(stored->text.view()))));
    }
    door_ = std::make_unique<api::HttpDoor>(std::move(*key), settings_.api_hosts, *service_, clock_,
                                            rng_);
    http_ = std::make_unique<io::HttpServer>(
        context_, *door_, io::HttpServerOptions{}, [this](auto const& line) {
            log_.line("http " + line.method + " " + line.path + " " + std::to_string(line.status) +
                      " " + std::to_string(line.duration_ms) + " ms");
        });
    auto const at = KITH_TRY(http_->start(bind));
    auto const host = at.ip.find(':') == std::string::npos ? at.ip : "[" + at.ip + "]";
    handlers_->set_api_url("http://" + host + ":" + std::to_string(at.port) + "/v1");
    return {};
}

void Daemon::Implementation::changed() {
    node_->pump(clock_.now());
    driver_->pump();
}

base::Result<std::unique_ptr<Daemon>> Daemon::create(Settings const& settings, Mode mode) {
    auto implementation = std::make_unique<Implementation>(settings);
    KITH_TRY(implementation->open(mode));
    return std::unique_ptr<Daemon>(new Daemon(std::move(implementation)));
}

Daemon::Daemon(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Daemon::~Daemon() = default;

api::Control& Daemon::control() {
    return implementation_->control();
}
base::Status Daemon::run() {
    return implementation_->run();
}
void Daemon::stop() {
    implementation_->stop();
}
void Daemon::post(std::function<void()> action) {
    implementation_->post(std::move(action));
}

}  // namespace kith::app
