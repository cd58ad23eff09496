#include "feature/ask/privacy.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace kith::ask;

namespace {

// The route of the seed's table: Requester -> A (layers 0-10) -> B (11-21) -> C (22-27, final).
std::vector<Hop> seed_route(PrivacyFlags flags) {
    std::vector<Hop> hops;
    if (flags.local_embedding_privacy)
        hops.push_back({.node = "me", .is_asker = true, .does_embedding = true});
    hops.push_back({.node = "A",
                    .layers_begin = 0,
                    .layers_end = 11,
                    .does_embedding = !flags.local_embedding_privacy});
    hops.push_back({.node = "B", .layers_begin = 11, .layers_end = 22});
    hops.push_back({.node = "C",
                    .layers_begin = 22,
                    .layers_end = 28,
                    .does_head = !flags.encrypted_pipeline});
    if (flags.encrypted_pipeline)
        hops.push_back({.node = "me",
                        .is_asker = true,
                        .layers_begin = 28,
                        .layers_end = 28,
                        .does_head = true});
    return hops;
}

SightRow const& row(RouteView const& view, std::string const& node) {
    auto const found = std::ranges::find(view.rows, node, &SightRow::node);
    REQUIRE(found != view.rows.end());
    return *found;
}

bool handed_over(Sight sight) {
    return sight == Sight::yes || sight == Sight::author;
}

}  // namespace

TEST_CASE(
    "S64: without flags the first stage sees the prompt, the last one the answer, the middle only "
    "activations") {
    auto const view = who_sees_what("m", seed_route({}), {});
    REQUIRE(view.rows.size() == 4);
    CHECK(view.rows.front().is_asker);
    CHECK(view.rows.front().prompt_text == Sight::author);
    CHECK(view.rows.front().answer_text == Sight::author);
    CHECK(row(view, "A").prompt_text == Sight::yes);
    CHECK(row(view, "A").token_ids == Sight::yes);
    CHECK(row(view, "A").activations_in == Sight::yes);
    CHECK(row(view, "A").activations_out == Sight::yes);
    CHECK_FALSE(handed_over(row(view, "A").answer_tokens));
    CHECK_FALSE(handed_over(row(view, "B").prompt_text));
    CHECK_FALSE(handed_over(row(view, "B").token_ids));
    CHECK(row(view, "B").activations_in == Sight::yes);
    CHECK(row(view, "B").activations_out == Sight::yes);
    CHECK_FALSE(handed_over(row(view, "B").answer_text));
    CHECK_FALSE(handed_over(row(view, "C").prompt_text));
    CHECK(row(view, "C").activations_in == Sight::yes);
    CHECK(row(view, "C").activations_out == Sight::no);
    CHECK(row(view, "C").answer_tokens == Sight::yes);
    CHECK(row(view, "C").answer_text == Sight::yes);
}

TEST_CASE(
    "S71: local_embedding_privacy hides the tokens from everybody, the answer not from the last "
    "stage") {
    PrivacyFlags const flags{.local_embedding_privacy = true};
    auto const view = who_sees_what("m", seed_route(flags), flags);
    for (auto const* node : {"A", "B", "C"}) {
        CHECK_FALSE(handed_over(row(view, node).prompt_text));
        CHECK_FALSE(handed_over(row(view, node).token_ids));
    }
    CHECK(row(view, "C").answer_text == Sight::yes);
}

TEST_CASE(
    "S71: with encrypted_pipeline no other machine is handed prompt or answer, and the honest word "
    "stays") {
    auto const flags = effective({.encrypted_pipeline = true});
    auto const view = who_sees_what("m", seed_route(flags), flags);
    for (auto const* node : {"A", "B", "C"}) {
        CHECK(row(view, node).prompt_text == Sight::recovers);
        CHECK(row(view, node).answer_text == Sight::recovers);
        CHECK(row(view, node).activations_in == Sight::yes);
    }
    CHECK(std::ranges::any_of(view.sentences, [](auto const& text) {
        return text.find("attacks") != std::string::npos;
    }));
}

TEST_CASE("a wholly local route is said to be one") {
    auto const view = who_sees_what("m",
                                    {{.node = "me",
                                      .is_asker = true,
                                      .layers_end = 8,
                                      .does_embedding = true,
                                      .does_head = true}},
                                    {});
    CHECK(view.rows.size() == 1);
    CHECK(view.sentences.size() == 1);
}

TEST_CASE("S81: encrypted_pipeline switches local_embedding_privacy on") {
    CHECK(effective({.encrypted_pipeline = true}).local_embedding_privacy);
    CHECK_FALSE(effective({}).local_embedding_privacy);
}

TEST_CASE(
    "S72: a route that leaves an end to somebody else is refused under the flags that forbid it") {
    PrivacyFlags const boomerang{.local_embedding_privacy = true, .encrypted_pipeline = true};
    PrivacyFlags const embedding_here{.local_embedding_privacy = true};
    CHECK(check_route(seed_route({}), {}).has_value());
    CHECK_FALSE(check_route(seed_route({}), embedding_here).has_value());
    CHECK(check_route(seed_route(embedding_here), embedding_here).has_value());
    CHECK_FALSE(check_route(seed_route(embedding_here), boomerang).has_value());
    CHECK(check_route(seed_route(boomerang), boomerang).has_value());
    CHECK_FALSE(check_route({}, {}).has_value());
}
