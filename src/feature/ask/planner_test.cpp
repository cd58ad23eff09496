#include "feature/ask/planner.h"

#include <doctest/doctest.h>

#include "base/code_of.h"

using namespace kith::ask;
using kith::base::Code;
using kith::base::code_of;

namespace {

kith::identity::NodeId node(std::uint8_t value) {
    kith::identity::NodeId id;
    id.bytes.fill(value);
    return id;
}

Holder holder(std::uint8_t id, std::vector<Span> spans, bool embedding = false, bool head = false) {
    return {.node = node(id),
            .is_self = id == 0,
            .spans = std::move(spans),
            .has_embedding = embedding,
            .has_head = head};
}

PrivacyFlags constexpr none{};
PrivacyFlags constexpr embedding_here{.local_embedding_privacy = true};
PrivacyFlags constexpr boomerang{.local_embedding_privacy = true, .encrypted_pipeline = true};

}  // namespace

TEST_CASE("a machine that holds everything asks nobody") {
    auto const stages =
        plan(8, {holder(0, {{0, 8}}, true, true), holder(1, {{0, 8}}, true, true)}, none);
    REQUIRE(stages.has_value());
    REQUIRE(stages->size() == 1);
    CHECK(stages->front().is_self);
    CHECK(stages->front().does_embedding);
    CHECK(stages->front().does_head);
}

TEST_CASE("S69: local shards come first, also when a member holds the whole model") {
    auto const stages = plan(8, {holder(0, {{0, 2}}, true), holder(1, {{0, 8}}, true, true)}, none);
    REQUIRE(stages.has_value());
    REQUIRE(stages->size() == 2);
    CHECK(stages->at(0).is_self);
    CHECK(stages->at(0).layers.end == 2);
    CHECK(stages->at(1).layers.begin == 2);
    CHECK(stages->at(1).does_head);
}

TEST_CASE("S72: the boomerang begins and ends here and covers the middle in the fewest stages") {
    auto const stages = plan(8,
                             {holder(0, {}, true, true), holder(1, {{0, 2}, {2, 4}}),
                              holder(2, {{4, 8}}), holder(3, {{0, 1}})},
                             boomerang);
    REQUIRE(stages.has_value());
    REQUIRE(stages->size() == 4);
    CHECK(stages->front().is_self);
    CHECK(stages->at(1).node == node(1));
    CHECK(stages->at(1).layers.end == 4);
    CHECK(stages->at(2).node == node(2));
    CHECK(stages->back().is_self);
    CHECK(stages->back().does_head);
}

TEST_CASE("S80: the boomerang is refused without the last shard here, and never downgraded") {
    auto const missing_head =
        plan(8, {holder(0, {}, true), holder(1, {{0, 8}}, true, true)}, boomerang);
    CHECK(code_of(missing_head) == Code::forbidden);
    auto const missing_embedding =
        plan(8, {holder(0, {}, false, true), holder(1, {{0, 8}}, true, true)}, boomerang);
    CHECK(code_of(missing_embedding) == Code::forbidden);
    CHECK(code_of(plan(8, {holder(0, {}, false, true), holder(1, {{0, 8}}, true, true)},
                       embedding_here)) == Code::forbidden);
    CHECK(plan(8, {holder(0, {}), holder(1, {{0, 8}}, true, true)}, none).has_value());
}

TEST_CASE(
    "S66: a member that does not understand pre-embedded input is passed over, not served tokens") {
    auto old = holder(1, {{0, 8}});
    old.takes_embeddings = false;
    CHECK(code_of(plan(8, {holder(0, {}, true, true), old}, boomerang)) == Code::unavailable);
    auto const stages = plan(8, {holder(0, {}, true, true), old, holder(2, {{0, 8}})}, boomerang);
    REQUIRE(stages.has_value());
    CHECK(stages->at(1).node == node(2));
    CHECK(plan(8, {holder(0, {}, true, true), old}, none).has_value());
}

TEST_CASE("a gap names the layer that nobody serves") {
    auto const gap =
        plan(8, {holder(0, {}, true, true), holder(1, {{0, 3}}), holder(2, {{5, 8}})}, none);
    REQUIRE_FALSE(gap.has_value());
    CHECK(code_of(gap) == Code::unavailable);
    CHECK(gap.error().message.find("layer 3") != std::string::npos);
}

TEST_CASE("the same facts give the same route in whatever order they come") {
    std::vector<Holder> holders{holder(0, {}, true, true), holder(3, {{0, 8}}), holder(1, {{0, 8}}),
                                holder(2, {{0, 8}})};
    auto const first = plan(8, holders, none).value();
    std::reverse(holders.begin(), holders.end());
    auto const second = plan(8, holders, none).value();
    REQUIRE(first.size() == second.size());
    for (std::size_t i = 0; i < first.size(); ++i) CHECK(first[i].node == second[i].node);
    CHECK(first[1].node == node(1));
}

TEST_CASE("S39: of two members that could take the same part, the less trusted loses it") {
    auto const middle_of = [](std::uint32_t first_rtt, std::uint32_t first_weight,
                              std::uint32_t second_rtt, std::uint32_t second_weight) {
        auto first = holder(1, {{0, 8}});
        first.round_trip_us = first_rtt;
        first.weight = first_weight;
        auto second = holder(2, {{0, 8}});
        second.round_trip_us = second_rtt;
        second.weight = second_weight;
        auto const stages = plan(8, {holder(0, {}, true, true), first, second}, boomerang);
        REQUIRE(stages.has_value());
        REQUIRE(stages->size() == 3);
        return stages->at(1).node;
    };
    // Equally near, whatever that is: nothing is too near to be weighed.
    for (std::uint32_t const rtt : {0U, 1U, 700U, round_trip_unknown_us})
        CHECK(middle_of(rtt, 900'000, rtt, 1'000'000) == node(2));
    CHECK(middle_of(700, 1'000'000, 700, 1'000'000) == node(1));
    // Half the weight is twice the way.
    CHECK(middle_of(501, 500'000, 1000, 1'000'000) == node(2));
    CHECK(middle_of(499, 500'000, 1000, 1'000'000) == node(1));
    CHECK(middle_of(1000, 0, round_trip_unknown_us, 1'000'000) == node(2));
}

TEST_CASE("the nearer of two members takes the part that both could") {
    auto far = holder(1, {{0, 8}});
    far.round_trip_us = 40'000;
    auto near = holder(2, {{0, 8}});
    near.round_trip_us = 300;
    auto const unknown = holder(3, {{0, 8}});
    auto const stages = plan(8, {holder(0, {}, true, true), far, near, unknown}, boomerang);
    REQUIRE(stages.has_value());
    REQUIRE(stages->size() == 3);
    CHECK(stages->at(1).node == node(2));
}
