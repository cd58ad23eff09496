#include "app/session.h"

#include "app/config_file.h"
#include "app/daemon.h"
#include "io/grpc/control_client.h"

namespace kith::app {

using base::Code;
using base::fail;

base::Result<std::unique_ptr<Session>> Session::open(Settings const& settings, Need need) {
    auto client = io::ControlClient::connect(settings.control_socket);
    if (client) return std::unique_ptr<Session>(new Session(*std::move(client)));
    if (client.error().code != Code::unavailable) return std::unexpected(std::move(client).error());
    if (need == Need::daemon)
        return fail(Code::unavailable,
                    "kith does not run here; start it with: kith serve (configuration: " +
                        settings.config_directory.string() + ")");
    KITH_TRY(prepare_config_directory(settings.config_directory));
    KITH_TRY(prepare_config_directory(settings.state_directory));
    auto const mode =
        need == Need::daemon_or_new ? Daemon::Mode::first_use : Daemon::Mode::one_shot;
    auto daemon = KITH_TRY(Daemon::create(settings, mode));
    return std::unique_ptr<Session>(new Session(std::move(daemon)));
}

Session::Session(std::unique_ptr<io::ControlClient> client) : client_(std::move(client)) {}

Session::Session(std::unique_ptr<Daemon> daemon) : daemon_(std::move(daemon)) {
    loop_ = std::thread([this] {
        (void)daemon_->run();  // why it ended does not help the command that waits
        loop_ended();
    });
}

Session::~Session() {
    if (!loop_.joinable()) return;
    daemon_->stop();
    loop_.join();
}

void Session::cancel() {
    if (client_) return client_->cancel();
    {
        std::lock_guard const lock(mutex_);
        cancelled_ = true;
    }
    // The handler need not answer after a cancel; with the loop stopped nobody can answer late.
    daemon_->post([this] {
        if (cancel_) cancel_();
        daemon_->stop();
    });
}

void Session::start(std::function<api::Cancel(api::Control&)> begin) {
    {
        std::lock_guard const lock(mutex_);
        finished_ = false;
    }
    if (client_) {
        (void)begin(*client_);  // answered when it returns
        return;
    }
    daemon_->post([this, begin = std::move(begin)] { cancel_ = begin(daemon_->control()); });
}

void Session::finish() {
    std::lock_guard const lock(mutex_);
    finished_ = true;
    changed_.notify_all();
}

base::Status Session::wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finished_ || loop_ended_; });
    if (finished_) return {};
    if (cancelled_) return fail(Code::cancelled, "interrupted");
    return fail(Code::internal, "kith stopped before it answered");
}

void Session::loop_ended() {
    std::lock_guard const lock(mutex_);
    loop_ended_ = true;
    changed_.notify_all();
}

}  // namespace kith::app
