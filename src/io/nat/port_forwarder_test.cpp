#include "io/nat/port_forwarder.h"

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <future>

using namespace kith::io;
using kith::base::Instant;
using namespace std::chrono_literals;

namespace {

struct FixedClock final : kith::ports::Clock {
    [[nodiscard]] Instant now() const override { return Instant{}; }
    [[nodiscard]] kith::base::UnixTime unix_now() const override { return {}; }
};

}  // namespace

TEST_CASE("the loop hears the port that the router gave, and it is given back at the end") {
    boost::asio::io_context context;
    auto const work = boost::asio::make_work_guard(context);  // run() waits for the thread's answer
    FixedClock const clock;
    std::promise<PortMapping> released;
    std::optional<std::uint16_t> heard;
    auto forwarder = std::make_unique<PortForwarder>(
        context, clock, 8810,
        PortMapper{.map = [](PortMapping const& wanted) -> kith::base::Result<PortMapping> {
                       return PortMapping{wanted.internal_port, 40'000, wanted.lease};
                   },
                   .release = [&](PortMapping const& mapping) { released.set_value(mapping); }},
        [&](std::optional<std::uint16_t> port) {
            heard = port;
            context.stop();
        });
    context.run();
    CHECK(heard == 40'000);
    forwarder.reset();
    auto const mapping = released.get_future().get();
    CHECK(mapping.internal_port == 8810);
    CHECK(mapping.external_port == 40'000);
}

TEST_CASE("a router that refuses is heard of by nobody, and nothing is given back") {
    boost::asio::io_context context;
    FixedClock const clock;
    std::promise<void> asked;
    bool released = false, heard = false;
    {
        PortForwarder const forwarder(
            context, clock, 8810,
            {.map = [&](PortMapping const&) -> kith::base::Result<PortMapping> {
                 asked.set_value();
                 return kith::base::fail(kith::base::Code::unavailable, "no");
             },
             .release = [&](PortMapping const&) { released = true; }},
            [&](std::optional<std::uint16_t>) { heard = true; });
        asked.get_future().get();
        context.poll();
    }
    context.poll();
    CHECK_FALSE(released);
    CHECK_FALSE(heard);
}

TEST_CASE("a router that never answers does not keep the node from stopping") {
    std::promise<void> asked, answer;
    auto const answered = answer.get_future().share();
    std::promise<void> over;
    {
        boost::asio::io_context context;
        FixedClock const clock;
        PortForwarder const forwarder(
            context, clock, 8810,
            {.map = [&, answered](PortMapping const& wanted) -> kith::base::Result<PortMapping> {
                 asked.set_value();
                 answered.wait();
                 return wanted;
             },
             .release = [&](PortMapping const&) { over.set_value(); },
             .farewell = 0ms},
            [](std::optional<std::uint16_t>) {});
        asked.get_future().get();
    }
    // The answer comes when forwarder and context are gone: the mapping is still given back.
    answer.set_value();
    over.get_future().get();
}
