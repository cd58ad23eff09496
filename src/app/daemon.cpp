#include "app/daemon.h"

#include "base/check.h"

// The composition of the node comes with the integration; until then every command that needs one
// says so.
namespace kith::app {

class Daemon::Implementation {};

base::Result<std::unique_ptr<Daemon>> Daemon::create(Settings const&, Mode) {
    return base::fail(base::Code::unsupported, "this build has no node yet");
}

Daemon::Daemon(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Daemon::~Daemon() = default;

api::Control& Daemon::control() {
    base::assertion_failed("no daemon without create()", __FILE__, __LINE__);
}
base::Status Daemon::run() {
    return {};
}
void Daemon::stop() {}
void Daemon::post(std::function<void()>) {}

}  // namespace kith::app
