#include "base/turn_queue.h"

#include <doctest/doctest.h>

#include <string>

using kith::base::TurnQueue;

namespace {

template <std::size_t lanes_count>
std::string drained(TurnQueue<char, lanes_count>& queue) {
    std::string order;
    while (auto const item = queue.pop()) order += *item;
    return order;
}

}  // namespace

TEST_CASE("lanes take turns, however long one of them is") {
    TurnQueue<char, 2> queue;
    for (char const c : {'a', 'b', 'c', 'd', 'e'}) queue.push(0, c);
    for (char const c : {'x', 'y'}) queue.push(1, c);
    CHECK(drained(queue) == "axbycde");
    CHECK(queue.empty());
}

TEST_CASE("what comes late to an empty lane is next but one at most") {
    TurnQueue<char, 3> queue;
    for (char const c : {'a', 'b', 'c', 'd'}) queue.push(0, c);
    CHECK(queue.pop() == 'a');
    queue.push(2, 'z');
    CHECK(queue.pop() == 'z');
    CHECK(queue.pop() == 'b');
    queue.push(1, 'm');
    queue.push(2, 'n');
    CHECK(drained(queue) == "mncd");
    queue.push(1, 'o');
    queue.clear();
    CHECK(queue.empty());
    CHECK_FALSE(queue.pop().has_value());
}
