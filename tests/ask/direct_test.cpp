// From a relayed connection to a direct one: what runs between two members goes on.
#include <doctest/doctest.h>

#include "routed.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;
using sim::Network;

namespace {

std::vector<std::string> numbers(std::size_t count) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(std::to_string(i));
    return all;
}

}  // namespace

TEST_CASE(
    "a session moves from a relay to a direct connection: nothing lost, nothing out of turn") {
    Routed world(Network::Router::punchable);
    REQUIRE(world.bench.run_until([&] { return world.is_ready(); }, 120s));
    CHECK(Routed::path(*world.ada, *world.bo) == node::Path::relayed);
    std::size_t said = 0;
    auto const talk_until_direct = [&] {
        Routed::say(*world.ada, *world.bo, said);
        Routed::say(*world.bo, *world.ada, said++);
        return world.is_direct();
    };
    REQUIRE(world.bench.run_until(talk_until_direct, 30s));
    world.bench.run_for(5s);
    CHECK(said > 3);
    CHECK(Routed::heard(*world.bo, *world.ada) == numbers(said));
    CHECK(Routed::heard(*world.ada, *world.bo) == numbers(said));
    CHECK_FALSE(Routed::lost(*world.ada, *world.bo));
    CHECK_FALSE(Routed::lost(*world.bo, *world.ada));
    // The relayed connection goes, the session stays, also over its next key exchange.
    world.bench.run_for(12min);
    CHECK(world.is_ready());
    CHECK(world.is_direct());
    CHECK_FALSE(Routed::lost(*world.ada, *world.bo));
    // One connection to the coordinator and one to each other.
    CHECK(world.bench.network.connections_count(world.ada->address) == 2);
    CHECK(world.bench.network.connections_count(world.bo->address) == 2);
}

TEST_CASE("where no hole can be punched the relayed session stays as it is") {
    Routed world(Network::Router::closed);
    REQUIRE(world.bench.run_until([&] { return world.is_ready(); }, 120s));
    world.bench.run_for(2min);
    CHECK(world.is_ready());
    CHECK(Routed::path(*world.ada, *world.bo) == node::Path::relayed);
    CHECK_FALSE(Routed::lost(*world.ada, *world.bo));
    CHECK_FALSE(Routed::lost(*world.bo, *world.ada));
    CHECK(std::ranges::none_of(
        world.ada->log, [](std::string const& line) { return line.starts_with("pair failed"); }));
}

TEST_CASE("a question that runs while the connection changes gets its whole answer") {
    Routed world(Network::Router::closed);
    auto& bench = world.bench;
    REQUIRE(bench.run_until([&] { return world.is_ready(); }, 120s));
    bench.add_model(*world.ada);
    bench.run_for(5s);
    REQUIRE(bench.fetch(*world.bo, {1, 2, 3, 4}).has_value());
    REQUIRE(bench.drop(*world.ada, {1, 2, 3, 4}).has_value());
    // They meet anew; the first attempt fails, and before the second one the routers change.
    REQUIRE(world.ada->node->forget_peer(world.bo->identity.node_id().to_short(), bench.clock.now())
                .has_value());
    bench.run_for(100ms);
    REQUIRE(bench.run_until([&] { return world.is_ready(); }, 120s));
    bench.run_for(1s);  // what each serves is told; of two dials that crossed one is left
    for (auto const* machine : {world.ada, world.bo})
        bench.network.hide(machine->address, Network::Router::punchable);
    REQUIRE(Routed::path(*world.ada, *world.bo) == node::Path::relayed);
    world.ada->recorder.lost.clear();
    world.bo->recorder.lost.clear();
    Answer answer;
    bool began_relayed = false, goes_on_direct = false;
    ask::Question question{.messages = {{"user", "hello"}}, .tokens_max = 150};
    question.temperature = 0;
    auto const asked = world.ada->ask->ask(question, [&](ask::Update const& update) {
        if (std::holds_alternative<ask::Piece>(update))
            (world.is_direct() ? goes_on_direct : began_relayed) = true;
        if (auto const* done = std::get_if<ask::Finished>(&update)) answer.finished = *done;
        if (auto const* failed = std::get_if<ask::Failed>(&update)) answer.error = failed->error;
    });
    REQUIRE(asked.has_value());
    bench.run_until([&] { return answer.finished || answer.error; }, 120s);
    CHECK_MESSAGE(!answer.error, (answer.error ? answer.error->message : ""));
    CHECK(answer.finished.has_value());
    CHECK(began_relayed);
    CHECK(goes_on_direct);
    CHECK_FALSE(Routed::lost(*world.ada, *world.bo));
    CHECK_FALSE(Routed::lost(*world.bo, *world.ada));
}
