// tests/nat/router_peer.cpp: asks the router of this machine as the product does (io/nat), steered
// by lines on standard input and answering in JSON lines on standard output.
//
//   <- map INTERNAL EXTERNAL SECONDS   -> mapped {internal, external, seconds} | refused {code}
//   <- release INTERNAL EXTERNAL       -> released
//   <- forward PORT                    -> forwarded {port}: what PortForwarder told the loop
//   <- stop                            -> stopped: the forwarder is gone
//   end of input: exit
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <iostream>
#include <memory>
#include <sstream>
#include <thread>

#include "io/nat/port_forwarder.h"
#include "io/nat/router_process.h"
#include "io/net/os.h"

using namespace kith;

namespace {

void say(std::string const& event, std::string const& fields = {}) {
    std::cout << "{\"event\":\"" << event << "\"" << (fields.empty() ? "" : ",") << fields << "}"
              << std::endl;
}

void map(io::PortMapper const& mapper, io::PortMapping const& wanted) {
    auto const answer = mapper.map(wanted);
    if (!answer)
        return say("refused",
                   std::string("\"code\":\"") + base::code_name(answer.error().code) + "\"");
    auto const seconds = std::chrono::duration_cast<std::chrono::seconds>(answer->lease).count();
    say("mapped", "\"internal\":" + std::to_string(answer->internal_port) +
                      ",\"external\":" + std::to_string(answer->external_port) +
                      ",\"seconds\":" + std::to_string(seconds));
}

class Forwarding {
public:
    explicit Forwarding(std::uint16_t port)
        : forwarder_(std::make_unique<io::PortForwarder>(
              context_, clock_, port, io::router_port_mapper(),
              [this](std::optional<std::uint16_t> heard) {
                  say("forwarded", "\"port\":" + std::to_string(heard.value_or(0)));
                  context_.stop();
              })) {
        auto const work = boost::asio::make_work_guard(context_);
        context_.run();  // until the loop has heard of a port
    }

private:
    io::OsClock clock_;
    boost::asio::io_context context_;
    std::unique_ptr<io::PortForwarder> forwarder_;
};

}  // namespace

int main(int argc, char** argv) {
    if (auto const code = io::router_main({argv + 1, argv + argc})) return *code;
    auto const mapper = io::router_port_mapper();
    std::unique_ptr<Forwarding> forwarding;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string verb;
        std::uint16_t internal = 0, external = 0;
        unsigned seconds = 0;
        words >> verb >> internal >> external >> seconds;
        io::PortMapping const mapping{.internal_port = internal,
                                      .external_port = external,
                                      .lease = std::chrono::seconds(seconds)};
        if (verb == "map") map(mapper, mapping);
        if (verb == "release") {
            mapper.release(mapping);
            say("released");
        }
        if (verb == "forward") forwarding = std::make_unique<Forwarding>(internal);
        if (verb == "stop") {
            forwarding.reset();
            say("stopped");
        }
    }
    return 0;
}
