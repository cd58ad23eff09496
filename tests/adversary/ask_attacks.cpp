// Who is handed what: routes, stages, shards.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "base/code_of.h"
#include "base/encoding.h"
#include "hostile.h"
#include "infer/shard.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

constexpr ask::PrivacyFlags none{};
constexpr ask::PrivacyFlags vectors_only{.local_embedding_privacy = true};
constexpr ask::PrivacyFlags boomerang{.encrypted_pipeline = true};

}  // namespace

TEST_CASE(
    "S64: the view of a real question names exactly the machines that were handed something") {
    Boomerang scene(boomerang);
    auto const answer = scene.bench.ask(scene.asker, "who sees this?");
    CHECK(answer.finished.has_value());
    auto const view = scene.asker.ask->last_route();
    REQUIRE(view.has_value());
    REQUIRE(view->hops.size() == 4);
    CHECK(view->hops[0].is_asker);
    CHECK(view->hops[1].node == scene.first.identity.node_id().to_short());
    CHECK(view->hops[2].node == scene.second.identity.node_id().to_short());
    CHECK(view->hops[3].is_asker);
    for (auto const& row : view->rows) {
        if (row.is_asker) continue;
        CHECK(row.token_ids == ask::Sight::recovers);
        CHECK(row.prompt_text == ask::Sight::recovers);
        CHECK(row.activations_in == ask::Sight::yes);
    }
    for (auto* remote : {&scene.first, &scene.second}) {
        CHECK(remote->recorder.token_ids().empty());
        CHECK_FALSE(remote->recorder.forwards().empty());
        CHECK(std::ranges::none_of(remote->recorder.activations, [](auto const& heard) {
            return heard.message.result().has_token();
        }));
    }
}

TEST_CASE("S66: no token id reaches another machine, even when a plan sends the embedding away") {
    SwarmBench bench;
    auto& asker = bench.add_operator(vectors_only);
    auto& remote = bench.add_member(asker);
    bench.add_model(asker);
    REQUIRE(bench.fetch(remote, {}).has_value());
    ask::Plan plan;
    plan.model = SwarmBench::load(asker);
    plan.flags = ask::effective(vectors_only);
    plan.prompt = {65, 66, 67};
    bench.compute_on(remote, asker, plan);
    CHECK(remote.recorder.token_ids().empty());
    CHECK(remote.ask->stage_server().forwards_computed() == 0);
}

TEST_CASE("S17: an announced name is text, wherever it has to be cut") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    Hostile member(bench);
    member.join(victim, bench.invite(victim));
    member.open_session(victim);
    REQUIRE(member.session_ready());
    auto const letters = std::string(127, 'a');
    member.send(announcement(member, std::string(64, '5'), {1}, letters + "\xc3\xa9"));
    auto const models = victim.ask->models();
    REQUIRE(models.size() == 1);
    CHECK(models[0].name == letters);
}

TEST_CASE("S66: a member that does not say it takes vectors is refused, not handed tokens") {
    SwarmBench bench;
    auto& asker = bench.add_operator(vectors_only);
    bench.add_model(asker);
    auto const model = asker.ask->models().at(0).id;
    REQUIRE(bench.drop(asker, {1, 2, 3, 4}).has_value());
    Hostile old(bench);
    old.join(asker, bench.invite(asker));
    old.open_session(asker);
    old.send(announcement(old, model, {1, 2, 3, 4}, "tiny"));  // takes_embeddings is absent
    auto const answer = bench.ask(asker, "hello");
    REQUIRE(answer.error.has_value());
    CHECK(answer.error->code == base::Code::unavailable);
    CHECK(old.activations.empty());
}

TEST_CASE("S39: a member that lost trust is passed over for one that can do the same") {
    SwarmBench bench;
    auto& asker = bench.add_operator(vectors_only);
    auto& honest = bench.add_member(asker);
    bench.add_model(asker);
    auto const model = asker.ask->models().at(0).id;
    REQUIRE(bench.fetch(honest, {1, 2, 3, 4}).has_value());
    // One that is preferred to the honest one as long as nothing is known of either.
    std::optional<Hostile> member;
    for (std::uint64_t seed = 99; !member; ++seed) {
        member.emplace(bench, seed);
        if (honest.identity.node_id() < member->identity.node_id()) member.reset();
    }
    member->join(asker, bench.invite(asker));
    member->open_session(asker);
    REQUIRE(member->session_ready());
    auto claim = announcement(*member, model, {1, 2, 3, 4}, "tiny");
    claim.mutable_shard_announce()->set_takes_embeddings(true);
    member->send(claim);
    bench.settle();
    REQUIRE(bench.drop(asker, {1, 2, 3, 4}).has_value());
    auto const middle = [&] { return asker.ask->planned_route(model)->hops.at(1).node; };
    REQUIRE(middle() == member->identity.node_id().to_short());
    // Something in another's name costs it trust.
    auto slander = claim;
    slander.mutable_shard_announce()->set_node_id(base::to_text(honest.identity.node_id().bytes));
    member->send(slander);
    bench.settle();
    REQUIRE(asker.node->trust_in(member->identity.node_id()).to_double() < 0.5);
    CHECK(middle() == honest.identity.node_id().to_short());
}

TEST_CASE("S72: no machine can pass itself off as the hop before") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    bench.add_model(victim);
    auto& skipped = bench.add_member(victim);
    Hostile member(bench);
    member.join(victim, bench.invite(victim));
    member.open_session(victim);
    REQUIRE(member.session_ready());
    auto const model = victim.ask->models().at(0).id;
    // In the name of another asker, and as if the member between had done its part.
    auto as_asker = forward_to(skipped.identity.node_id(), victim.identity.node_id(), model, 0, 1);
    auto const sealed = [&](wire::v1::StageMessage const& message) {
        return seal_content(message.forward(), victim.identity.static_public_key(),
                            base::Bytes(64 * 4));
    };
    member.send(as_asker, sealed(as_asker));
    CHECK(victim.ask->stage_server().forwards_computed() == 0);
    auto as_hop = forward_to(member.identity.node_id(), skipped.identity.node_id(), model, 0, 1);
    auto* last = as_hop.mutable_forward()->add_hops();
    last->set_node_id(base::to_text(victim.identity.node_id().bytes));
    last->set_layers_begin(1);
    last->set_layers_end(2);
    as_hop.mutable_forward()->set_hop(1);
    as_hop.mutable_forward()->set_request_id(std::string(16, 's'));
    member.send(as_hop, base::Bytes(64 * 4));
    CHECK(victim.ask->stage_server().forwards_computed() == 0);
    auto honest = forward_to(member.identity.node_id(), victim.identity.node_id(), model, 0, 1);
    honest.mutable_forward()->set_request_id(std::string(16, 't'));
    member.send(honest, sealed(honest));
    CHECK(victim.ask->stage_server().forwards_computed() == 1);
}

TEST_CASE(
    "S80: without the last shard here encrypted_pipeline is refused, although a member could do "
    "it") {
    Boomerang scene(boomerang);
    REQUIRE(scene.bench.fetch(scene.second, {5}).has_value());
    REQUIRE(scene.bench.drop(scene.asker, {5}).has_value());
    auto const answer = scene.bench.ask(scene.asker, "hello");
    REQUIRE(answer.error.has_value());
    CHECK(answer.error->code == base::Code::forbidden);
    CHECK(scene.first.recorder.forwards().empty());
    CHECK(scene.second.recorder.forwards().empty());
}

TEST_CASE("S81: with encrypted_pipeline alone in the configuration the embedding stays here too") {
    Boomerang scene(boomerang);
    auto const answer = scene.bench.ask(scene.asker, "hello");
    CHECK(answer.finished.has_value());
    auto const view = scene.asker.ask->last_route();
    REQUIRE(view.has_value());
    CHECK(view->flags.local_embedding_privacy);
    REQUIRE_FALSE(scene.first.recorder.forwards().empty());
    for (auto const& heard : scene.first.recorder.forwards())
        CHECK(heard.message.forward().pre_embedded());
    CHECK(scene.first.recorder.token_ids().empty());
}

TEST_CASE("S87: a shard with one bit changed on its way is neither kept nor used") {
    SwarmBench bench;
    auto& source = bench.add_operator();
    auto& ada = bench.add_member(source);
    bench.add_model(source);
    auto const path = source.model_folder() / "shard_002.gguf";
    REQUIRE(std::filesystem::exists(path));
    auto bytes = file_bytes(path);
    bytes.at(bytes.size() - 5) = static_cast<std::uint8_t>(bytes.at(bytes.size() - 5) ^ 1);
    std::ofstream(path, std::ios::binary)
        .write(base::as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
    auto const fetched = bench.fetch(ada, {2});
    CHECK_FALSE(fetched.has_value());
    CHECK(ada.ask->models().at(0).shards_local.empty());
    CHECK_FALSE(std::filesystem::exists(ada.model_folder() / "shard_002.gguf"));
}

TEST_CASE("S87: a manifest with one bit changed is not taken for the model that was asked for") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    auto& maker = bench.add_machine();
    bench.add_model(maker);
    auto const model = maker.ask->models().at(0).id;
    auto manifest = base::to_text(file_bytes(maker.model_folder() / "manifest.json"));
    auto const hash = manifest.find("blake3");
    REQUIRE(hash != std::string::npos);
    auto const digit = manifest.find_first_of("0123456789", hash + 8);
    manifest[digit] = static_cast<char>(manifest[digit] ^ 1);
    REQUIRE(infer::parse_manifest(base::as_bytes(manifest)).has_value());

    Hostile member(bench);
    member.join(victim, bench.invite(victim));
    member.open_session(victim);
    wire::v1::Control reply;
    reply.mutable_manifest_reply()->set_model(model);
    reply.mutable_manifest_reply()->set_manifest(manifest);
    member.send(announcement(member, model, {1}, "tiny"));
    victim.ask->fetch_model(
        "tiny", {1}, [](auto const&) {}, [](auto const&) {});
    bench.settle();
    REQUIRE(std::ranges::any_of(member.controls,
                                [](auto const& heard) { return heard.has_manifest_request(); }));
    member.send(reply);
    for (auto const& card : victim.ask->models()) CHECK(card.shards_count == 0);
    for (auto const& heard : member.controls) CHECK_FALSE(heard.has_chunk_request());
}

TEST_CASE("S57: a manifest of a member cannot name a file outside the model's folder") {
    infer::Manifest manifest{
        .name = "m",
        .architecture = "llama",
        .layers_count = 1,
        .hidden_size = 64,
        .vocabulary_size = 512,
        .context_length = 64,
        .total_bytes = 1,
        .shards = {
            {.file = "", .layers = {0, 1}, .has_embedding = true, .has_head = true, .size = 1}}};
    for (std::string const name : {"../shard_001.gguf", "/etc/passwd", "..", ".hidden", "a/b",
                                   "a\\\\b", "con", "shard.", "-rf", ""}) {
        CHECK(base::code_of(infer::sanitize_path_component(name)) == base::Code::invalid);
        manifest.shards[0].file = name;
        auto const json = infer::write_manifest(manifest);
        CHECK_FALSE(infer::parse_manifest(base::as_bytes(json)).has_value());
    }
    manifest.shards[0].file = "shard_001.gguf";
    CHECK(infer::parse_manifest(base::as_bytes(infer::write_manifest(manifest))).has_value());
    CHECK(infer::sanitize_path_component("shard_001.gguf").has_value());
}

namespace {

// A member with a session to a machine that holds a model, and one honest step that it computed.
struct Asking {
    explicit Asking(std::uint32_t hops_count) {
        bench.add_model(victim);
        member.join(victim, bench.invite(victim));
        member.open_session(victim);
        REQUIRE(member.session_ready());
        first = forward_to(member.identity.node_id(), victim.identity.node_id(),
                           victim.ask->models().at(0).id, 0, 1);
        for (std::uint32_t i = 1; i < hops_count; ++i)
            *first.mutable_forward()->add_hops() = first.forward().hops(0);
        step(first);
        REQUIRE(victim.ask->stage_server().forwards_computed() >= 1);
    }
    wire::v1::StageMessage next() const {
        auto message = first;
        message.mutable_forward()->set_step(1);
        message.mutable_forward()->set_position(1);
        return message;
    }
    void step(wire::v1::StageMessage const& message, std::size_t bytes = 64 * 4) {
        member.send(message, seal_content(message.forward(), victim.identity.static_public_key(),
                                          base::Bytes(bytes)));
        bench.settle();
    }
    SwarmBench bench;
    Machine& victim = bench.add_operator();
    Hostile member{bench};
    wire::v1::StageMessage first;
};

}  // namespace

TEST_CASE("S72: a step that asks for something else than the first of its request is refused") {
    Asking asking(1);
    auto longer = asking.next();
    longer.mutable_forward()->set_positions_max(15);
    asking.step(longer);
    CHECK(asking.victim.ask->stage_server().forwards_computed() == 1);
    asking.step(asking.next());
    CHECK(asking.victim.ask->stage_server().forwards_computed() == 2);
}

TEST_CASE(
    "S72: a route that grows, shrinks or turns into another in its second step ends nothing") {
    {
        Asking asking(
            2);  // the answer would be sealed by a channel that the first step did not make
        auto shorter = asking.next();
        shorter.mutable_forward()->mutable_hops()->RemoveLast();
        asking.step(shorter);
    }
    Asking asking(1);
    auto embeds = asking.next();
    embeds.mutable_forward()->mutable_hops(0)->set_does_embedding(true);
    embeds.mutable_forward()->set_pre_embedded(false);
    embeds.mutable_forward()->set_hidden(1);
    asking.step(embeds, 4);
    auto head = asking.next();
    head.mutable_forward()->mutable_hops(0)->set_does_head(true);
    asking.step(head);
    CHECK(asking.victim.ask->stage_server().forwards_computed() == 1);
    CHECK(asking.victim.ask->kv_bytes() > 0);  // the request itself goes on
}

TEST_CASE("S72: a member that holds two separate parts of a model is two hops of one route") {
    SwarmBench bench;
    auto& asker = bench.add_operator(boomerang);
    auto& first = bench.add_member(asker);
    auto& second = bench.add_member(asker);
    bench.add_model(asker);
    auto const whole = bench.ask(asker, "the same question");
    REQUIRE(whole.finished.has_value());
    REQUIRE(bench.fetch(first, {1, 3}).has_value());
    REQUIRE(bench.fetch(second, {2, 4}).has_value());
    REQUIRE(bench.drop(asker, {1, 2, 3, 4}).has_value());
    bool const linked = bench.run_until(
        [&] { return first.node->is_ready(second.identity.node_id()); }, std::chrono::seconds(30));
    REQUIRE(linked);
    auto const split = bench.ask(asker, "the same question");
    CHECK(split.finished.has_value());
    CHECK(split.text == whole.text);
    CHECK(asker.ask->last_route()->hops.size() == 6);
    bench.run_for(std::chrono::seconds(1));
    CHECK(first.ask->kv_bytes() == 0);
}

TEST_CASE("S72: refused forwards trouble neither the log nor a machine that they name as asker") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    bench.add_model(victim);
    auto& named = bench.add_member(victim);
    Hostile member(bench);
    member.join(victim, bench.invite(victim));
    member.open_session(victim);
    REQUIRE(member.session_ready());
    auto const model = victim.ask->models().at(0).id;
    auto const failures_at = [](auto const& controls) {
        return std::ranges::count_if(
            controls, [](wire::v1::Control const& heard) { return heard.has_stage_failed(); });
    };
    auto const lines_before = victim.log.size();
    constexpr int times = 100;
    for (int i = 0; i < times; ++i) {
        member.send(forward_to(named.identity.node_id(), victim.identity.node_id(), model, 0, 1),
                    base::Bytes(64 * 4));
        bench.settle();
    }
    CHECK(victim.log.size() - lines_before == 7);  // 1, 2, 4, 8, 16, 32, 64
    CHECK(std::ranges::none_of(named.recorder.controls,
                               [](auto const& heard) { return heard.message.has_stage_failed(); }));
    CHECK(failures_at(member.controls) == times);
    // Its own request, refused: the route is proved, so the asker hears it.
    member.controls.clear();
    auto other = forward_to(member.identity.node_id(), victim.identity.node_id(), model, 0, 1);
    other.mutable_forward()->set_rows(0);
    member.send(other, base::Bytes(64 * 4));
    bench.settle();
    REQUIRE(failures_at(member.controls) == 1);
}
