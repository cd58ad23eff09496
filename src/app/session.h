// app/session.h: where a command's requests go: to the running daemon, or to the same handlers in
// this process.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "api/control.h"
#include "app/config.h"
#include "base/result.h"

namespace kith::io {
class ControlClient;
}

namespace kith::app {

class Daemon;

class Session {
public:
    // daemon: the command makes sense only with `kith serve` running. daemon_or_local: without one,
    // the handlers run here (Daemon::Mode::one_shot), with the state directory locked.
    // daemon_or_new: as well, and this machine may get its identity by it (create, join, login).
    enum class Need { daemon, daemon_or_local, daemon_or_new };

    // Code::unavailable: a daemon is needed and none answers.
    static base::Result<std::unique_ptr<Session>> open(Settings const& settings, Need need);
    ~Session();
    Session(Session const&) = delete;
    Session& operator=(Session const&) = delete;

    // One request, one answer. Blocks; one call at a time.
    template <class Request, class Response>
    base::Result<Response> call(void (api::Control::*method)(Request const&, api::Done<Response>),
                                Request const& request) {
        std::optional<base::Result<Response>> answer;
        start([&](api::Control& control) {
            (control.*method)(request, [&](base::Result<Response> result) {
                answer = std::move(result);
                finish();
            });
            return api::Cancel{};
        });
        KITH_TRY(wait());
        return *std::move(answer);
    }

    // A request answered by a stream. `update` runs on another thread while this one waits.
    template <class Request, class Message>
    base::Status follow(api::Cancel (api::Control::*method)(Request const&, api::OnUpdate<Message>,
                                                            api::StreamDone),
                        Request const& request, api::OnUpdate<Message> update) {
        std::optional<base::Status> answer;
        start([&](api::Control& control) {
            return (control.*method)(request, update, [&](base::Status status) {
                answer = std::move(status);
                finish();
            });
        });
        KITH_TRY(wait());
        return *std::move(answer);
    }

    // Ends the call in progress with Code::cancelled. Callable from any thread. No call works
    // afterwards.
    void cancel();

private:
    explicit Session(std::unique_ptr<io::ControlClient> client);
    explicit Session(std::unique_ptr<Daemon> daemon);

    // Runs `begin` where the handlers live: right here for a client, on the loop thread for a
    // daemon of our own.
    void start(std::function<api::Cancel(api::Control&)> begin);
    void finish();
    base::Status wait();  // an error when the loop ended without an answer
    void loop_ended();

    std::unique_ptr<io::ControlClient> client_;  // one of these two is set
    std::unique_ptr<Daemon> daemon_;

    std::mutex mutex_;  // guards what follows, up to the loop thread's own
    std::condition_variable changed_;
    bool finished_ = false;
    bool loop_ended_ = false;
    bool cancelled_ = false;

    api::Cancel cancel_;  // loop thread
    std::thread loop_;
};

}  // namespace kith::app
