#include "io/pool/worker_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <future>
#include <string>
#include <thread>

using namespace kith;
using ports::Lane;

namespace {

// The loop, and a gate in front of what is submitted behind it.
struct Bench {
    boost::asio::io_context context;
    std::promise<void> begun, gate;
    std::shared_future<void> opened{gate.get_future().share()};
    io::WorkerPool pool{context, [] {}};

    void hold(Lane lane) {
        pool.submit(
            lane,
            [this] {
                begun.set_value();
                opened.wait();
            },
            [] {});
        begun.get_future().wait();
    }
    void run_until(bool const& reached) {
        auto const guard = boost::asio::make_work_guard(context);
        while (!reached) context.run_one();
    }
};

}  // namespace

TEST_CASE("own work and members' work take turns, whoever submitted more of it") {
    Bench bench;
    std::string order;
    bool finished = false;
    bench.hold(Lane::members);
    for (int i = 0; i < 4; ++i)
        bench.pool.submit(
            Lane::members, [&order] { order += 'm'; }, [] {});
    for (int i = 0; i < 2; ++i)
        bench.pool.submit(
            Lane::own, [&order] { order += 'o'; }, [] {});
    bench.pool.submit(
        Lane::members, [] {}, [&finished] { finished = true; });
    bench.gate.set_value();
    bench.run_until(finished);
    CHECK(order == "omommm");
}

TEST_CASE("a long job on files holds up neither questions nor members") {
    Bench bench;
    bench.hold(Lane::files);
    int through = 0;
    bool both = false;
    for (auto const lane : {Lane::own, Lane::members})
        bench.pool.submit(
            lane, [] {}, [&] { both = ++through == 2; });
    bench.run_until(both);
    CHECK(both);
    bench.gate.set_value();
}

TEST_CASE("a pool that goes away drops every `done` that has not run") {
    boost::asio::io_context context;
    std::atomic<int> worked = 0;
    bool told = false;
    {
        io::WorkerPool pool(context, [] {});
        for (auto const lane : {Lane::own, Lane::members, Lane::files})
            pool.submit(
                lane, [&worked] { ++worked; }, [&told] { told = true; });
        while (worked == 0) std::this_thread::yield();
    }
    context.run();
    CHECK_FALSE(told);
}
