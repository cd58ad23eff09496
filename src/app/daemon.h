// app/daemon.h: one running node, composed from its parts.
//
// serve: everything runs until stop(). one_shot: only what the commands create, join, invite,
// models and status need; nothing listens. Either way the state directory is locked: a second
// daemon on it is refused with Code::conflict.
#pragma once

#include <functional>
#include <memory>

#include "api/control.h"
#include "app/config.h"
#include "base/result.h"

namespace kith::app {

class Daemon {
public:
    enum class Mode { serve, one_shot, first_use };

    // Opens state, keys and sockets. `settings` is copied.
    static base::Result<std::unique_ptr<Daemon>> create(Settings const& settings, Mode mode);
    ~Daemon();

    // The handlers; call them on the loop thread only (post()).
    api::Control& control();

    // Runs the loop on the calling thread until stop().
    base::Status run();
    // Callable from any thread, also before run(), which then returns at once.
    void stop();
    // Runs the function on the loop thread, in the order posted. Callable from any thread, also
    // before run().
    void post(std::function<void()> action);

private:
    class Implementation;
    explicit Daemon(std::unique_ptr<Implementation> implementation);
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace kith::app
