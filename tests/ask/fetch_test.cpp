// Fetching in a real swarm: what a name means, and what is hashed when.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/code_of.h"
#include "base/encoding.h"
#include "hostile.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

// What is said at once.
std::optional<base::Result<ask::ModelCard>> fetch_by(Machine& machine, std::string const& name) {
    auto const outcome = std::make_shared<std::optional<base::Result<ask::ModelCard>>>();
    machine.ask->fetch_model(
        name, {1}, [](auto const&) {}, [outcome](auto card) { *outcome = std::move(card); });
    return *outcome;
}

}  // namespace

TEST_CASE("a name that fits several models is refused whoever announced it first, an id is not") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    auto& honest = bench.add_member(victim);
    bench.add_model(honest);
    auto const real = honest.ask->models().at(0).id;
    Hostile member(bench);
    member.join(victim, bench.invite(victim));
    member.open_session(victim);
    REQUIRE(member.session_ready());
    // The real one under another name and one of its own under the real one's, with ids that sort
    // before and behind it.
    for (std::string const digit : {"0", "f"}) {
        auto const forged = std::string(64, digit[0]);
        auto announce = announcement(member, real, {1}, "something else");
        auto* more = announce.mutable_shard_announce()->add_models();
        more->set_model_id(base::to_text(base::from_hex(forged).value()));
        more->set_name("tiny");
        more->add_shards(1);
        member.send(announce);
        auto const outcome = fetch_by(victim, "tiny");
        REQUIRE(outcome.has_value());
        REQUIRE(base::code_of(*outcome) == base::Code::conflict);
        auto const& sentence = outcome->error().message;
        CHECK(sentence.find(real + " (" + honest.identity.node_id().to_short()) !=
              std::string::npos);
        CHECK(sentence.find(forged + " (" + member.identity.node_id().to_short()) !=
              std::string::npos);
    }
    CHECK(std::ranges::none_of(member.controls,
                               [](auto const& heard) { return heard.has_manifest_request(); }));
    // A name that looks like the id of another model does not stand in the way of that one.
    member.send(announcement(member, std::string(64, 'f'), {1}, real));
    auto const outcome = std::make_shared<std::optional<base::Result<ask::ModelCard>>>();
    victim.ask->fetch_model(
        real, {1}, [](auto const&) {}, [outcome](auto card) { *outcome = std::move(card); });
    bench.run_until([&] { return outcome->has_value(); }, 30s);
    REQUIRE(outcome->has_value());
    REQUIRE((*outcome)->has_value());
    CHECK((**outcome)->id == real);
    // Held here now: the forged one of the same name is still a question for a person.
    member.send(announcement(member, std::string(64, 'f'), {1}, "tiny"));
    auto const again = fetch_by(victim, "tiny");
    REQUIRE(again.has_value());
    CHECK(base::code_of(*again) == base::Code::conflict);
}

TEST_CASE("a model that is announced under another name than its own is not fetched by that name") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    auto& maker = bench.add_machine();
    bench.add_model(maker);
    auto const model = maker.ask->models().at(0).id;
    Hostile member(bench);
    member.join(victim, bench.invite(victim));
    member.open_session(victim);
    member.send(announcement(member, model, {1}, "famous-7b"));
    std::optional<base::Result<ask::ModelCard>> outcome;
    victim.ask->fetch_model(
        "famous-7b", {1}, [](auto const&) {}, [&](auto card) { outcome = std::move(card); });
    bench.settle();
    wire::v1::Control reply;
    reply.mutable_manifest_reply()->set_model(model);
    reply.mutable_manifest_reply()->set_manifest(
        base::to_text(file_bytes(maker.model_folder() / "manifest.json")));
    member.send(reply);
    bench.settle();
    REQUIRE(outcome.has_value());
    CHECK(base::code_of(*outcome) == base::Code::conflict);
    CHECK(std::ranges::none_of(member.controls,
                               [](auto const& heard) { return heard.has_chunk_request(); }));
    for (auto const& card : victim.ask->models()) CHECK(card.shards_count == 0);
}

TEST_CASE("a model that members announce under several names is listed with all of them") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    Hostile one(bench, 98);
    Hostile two(bench, 99);
    for (auto* member : {&one, &two}) {
        member->join(victim, bench.invite(victim));
        member->open_session(victim);
    }
    one.send(announcement(one, std::string(64, '5'), {1}, "one"));
    two.send(announcement(two, std::string(64, '5'), {1}, "two"));
    REQUIRE(victim.ask->models().size() == 1);
    CHECK(victim.ask->models()[0].name == "one or two");
}
