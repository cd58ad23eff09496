#include "feature/ask/step_queue.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace kith;
using namespace kith::ask;
using identity::NodeId;

namespace {

constexpr std::uint32_t best = 1'500'000;

NodeId member(std::uint8_t number) {
    return NodeId{{number}};
}

// The next `count` steps, by sender.
std::vector<int> taken(StepQueue<int>& queue, std::size_t count) {
    std::vector<int> items;
    for (std::size_t i = 0; i < count; ++i)
        if (auto const item = queue.pop()) items.push_back(*item);
    return items;
}

}  // namespace

TEST_CASE("an empty queue has no next step, and the steps of one sender keep their order") {
    StepQueue<int> queue;
    CHECK_FALSE(queue.pop().has_value());
    for (int i = 0; i < 5; ++i) queue.push(member(1), {.work = 9, .weight = 0}, i);
    CHECK(queue.size() == 5);
    CHECK(taken(queue, 9) == std::vector{0, 1, 2, 3, 4});
    CHECK(queue.size() == 0);
}

TEST_CASE("S39: of steps that wait, the one of more standing goes first, whoever came first") {
    StepQueue<int> queue;
    queue.push(member(1), {.work = 4, .weight = 100'000}, 1);
    queue.push(member(2), {.work = 4, .weight = best}, 2);
    queue.push(member(3), {.work = 4, .weight = 500'000}, 3);
    CHECK(taken(queue, 3) == std::vector{2, 3, 1});
}

TEST_CASE("S39: the best standing has four times the steps of none, and not more") {
    StepQueue<int> queue;
    for (int i = 0; i < 100; ++i) {
        queue.push(member(1), {.work = 8, .weight = 0}, 1);
        queue.push(member(2), {.work = 8, .weight = best}, 2);
    }
    auto const order = taken(queue, 100);
    CHECK(std::ranges::count(order, 1) == 20);
    CHECK(std::ranges::count(order, 2) == 80);
}

TEST_CASE("nobody waits for ever: a lane without standing has its turn in any crowd") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        StepQueue<int> queue;
        constexpr int crowd = 10;
        constexpr std::uint64_t work = 16;
        auto const refill = [&](int lane) {
            queue.push(member(static_cast<std::uint8_t>(lane)),
                       {.work = random() % work + 1, .weight = best}, lane);
        };
        for (int lane = 1; lane <= crowd; ++lane)
            for (int i = 0; i < 3; ++i) refill(lane);
        queue.push(member(99), {.work = work, .weight = 0}, 99);
        queue.push(member(99), {.work = work, .weight = 0}, 99);
        // Every lane of the crowd always waits. In work: 4 times that of the step before, and one
        // step more; a step has at least 1.
        std::size_t const steps_max = 1 + crowd * (4 * work + work + 3);
        std::size_t steps = 0, turns = 0;
        while (turns < 2 && steps < 2 * steps_max) {
            auto const lane = queue.pop();
            REQUIRE(lane.has_value());
            ++steps;
            if (*lane == 99)
                ++turns;
            else
                refill(*lane);
        }
        CHECK(turns == 2);
        CHECK(steps <= steps_max);
    }
}

TEST_CASE("a long step is paid for with turns") {
    StepQueue<int> queue;
    queue.push(member(1), {.work = 64, .weight = 0}, 1);
    queue.push(member(1), {.work = 64, .weight = 0}, 1);
    for (int i = 0; i < 80; ++i) queue.push(member(2), {.work = 1, .weight = 0}, 2);
    auto const order = taken(queue, 66);
    CHECK(order.front() == 1);  // the ids break the tie
    CHECK(std::ranges::count(order, 1) <= 2);
    CHECK(std::ranges::count(std::vector(order.begin(), order.begin() + 60), 1) == 1);
}

TEST_CASE("who was away saves up nothing, and who has gone leaves nothing behind") {
    StepQueue<int> queue;
    for (int i = 0; i < 50; ++i) queue.push(member(1), {.work = 1, .weight = 0}, 1);
    CHECK(taken(queue, 50).size() == 50);
    queue.push(member(1), {.work = 1, .weight = 0}, 1);
    for (int i = 0; i < 4; ++i) queue.push(member(2), {.work = 1, .weight = 0}, 2);
    auto const order = taken(queue, 3);
    CHECK(std::ranges::count(order, 1) == 1);
    CHECK(taken(queue, 9).size() == 2);
    queue.push(member(3), {.work = 1, .weight = best}, 3);
    CHECK(taken(queue, 9).size() == 1);
    CHECK(queue.lanes_count() <= 2);
}
