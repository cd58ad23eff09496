#include "feature/ask/refusal_log.h"

#include <doctest/doctest.h>

#include <vector>

using namespace kith;

namespace {

identity::NodeId member(std::size_t number) {
    identity::NodeId node;
    node.bytes[0] = static_cast<std::uint8_t>(number);
    node.bytes[1] = static_cast<std::uint8_t>(number >> 8U);
    return node;
}

}  // namespace

TEST_CASE("refusals of a member are due the 1st, 2nd, 4th, 8th ... time") {
    ask::RefusalLog log;
    std::vector<std::uint64_t> due;
    for (int i = 0; i < 1000; ++i)
        if (auto const count = log.note(member(1))) due.push_back(*count);
    CHECK(due == std::vector<std::uint64_t>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512});
    CHECK(log.note(member(2)) == 1);  // another member's first one is not lost among them
}

TEST_CASE("members beyond the limit are counted together, those within it still alone") {
    ask::RefusalLog log;
    std::size_t lines = 0;
    for (std::size_t i = 0; i < ask::refusals_tracked_max; ++i)
        lines += log.note(member(i)) ? 1U : 0U;
    CHECK(lines == ask::refusals_tracked_max);
    lines = 0;
    for (std::size_t i = 0; i < 1024; ++i)
        lines += log.note(member(ask::refusals_tracked_max + i)) ? 1U : 0U;
    CHECK(lines == 11);  // 1, 2, 4, ... 1024
    CHECK(log.note(member(0)) == 2);
    CHECK_FALSE(log.note(member(ask::refusals_tracked_max)).has_value());
}
