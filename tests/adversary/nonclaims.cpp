// What kith does NOT protect: each attack is carried out here and must succeed.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/code_of.h"
#include "base/encoding.h"
#include "feature/ask/request_content.h"
#include "hostile.h"
#include "infer/kv_cache.h"
#include "infer/stage.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

constexpr ask::PrivacyFlags boomerang{.encrypted_pipeline = true};
constexpr std::size_t hidden_size = 64;

// The rows that a machine was handed for the prompt, in order.
std::vector<float> prompt_rows(Recorder const& recorder) {
    std::vector<float> rows;
    for (auto const& heard : recorder.forwards()) {
        auto const& forward = heard.message.forward();
        if (forward.position() != rows.size() / hidden_size) break;
        auto const more = ask::decode_tensor(heard.tensor, forward.rows(), hidden_size).value();
        rows.insert(rows.end(), more.begin(), more.end());
        if (forward.last_row_only()) break;  // the prompt is through
    }
    return rows;
}

double distance(std::span<float const> a, std::span<float const> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += (static_cast<double>(a[i]) - static_cast<double>(b[i])) *
               (static_cast<double>(a[i]) - static_cast<double>(b[i]));
    return sum;
}

// The attack of N1: with the weights, which are public, try every token of the vocabulary at each
// position, after those that were found before, and keep the one that comes nearest to the row.
std::vector<infer::TokenId> invert(std::shared_ptr<infer::Model const> const& model,
                                   std::vector<float> const& rows, std::size_t depth) {
    auto stage = infer::Stage::create(model).value();
    auto const count = rows.size() / hidden_size;
    std::optional<infer::KvCache> cache;
    if (depth > 0)
        cache.emplace(infer::KvCache::create(model->hparams(), {0, depth}, count).value());
    std::vector<infer::TokenId> found;
    for (std::size_t position = 0; position < count; ++position) {
        auto const wanted = std::span(rows).subspan(position * hidden_size, hidden_size);
        auto const row_of = [&](infer::TokenId token) {
            std::vector<float> row(hidden_size);
            REQUIRE(stage.embed(std::span(&token, 1), row).has_value());
            if (!cache) return row;
            cache->truncate(position);
            REQUIRE(stage.forward(*cache, row, position, {0, depth}).has_value());
            return row;
        };
        infer::TokenId best = 0;
        double nearest = INFINITY;
        for (infer::TokenId token = 0;
             token < static_cast<infer::TokenId>(model->info().vocabulary_size); ++token) {
            auto const far = distance(row_of(token), wanted);
            if (far < nearest) {
                nearest = far;
                best = token;
            }
        }
        (void)row_of(best);  // so that the cache holds what was found
        found.push_back(best);
    }
    return found;
}

infer::Tokenizer tokenizer_of(infer::Model const& model) {
    return infer::Tokenizer::create(*model.tokenizer_file()).value();
}

std::shared_ptr<infer::Model const> public_weights(SwarmBench& bench) {
    auto& reader = bench.add_machine();  // anybody can download the same file
    bench.add_model(reader);
    return SwarmBench::weights(reader);
}

}  // namespace

TEST_CASE(
    "N1: a member with the public weights recovers the prompt from the activations behind layer "
    "0") {
    std::string const secret = "my secret plan";
    SwarmBench bench;
    auto& asker = bench.add_operator(boomerang);
    auto& remote = bench.add_member(asker);
    bench.add_model(asker);
    REQUIRE(bench.fetch(remote, {2, 3, 4}).has_value());
    REQUIRE(bench.drop(asker, {2, 3, 4}).has_value());
    CHECK(bench.ask(asker, secret, 1).finished.has_value());
    CHECK(remote.recorder.token_ids().empty());  // encrypted_pipeline is on, and it does not help

    auto const model = public_weights(bench);
    auto const rows = prompt_rows(remote.recorder);
    auto const found = invert(model, rows, 1);
    auto const tokenizer = tokenizer_of(*model);
    auto const chat =
        infer::ChatTemplate::create(infer::read_words(*model->tokenizer_file()).value(), tokenizer)
            .value();
    auto const prompt =
        chat.encode(tokenizer, {.messages = {{infer::ChatRole::user, secret}}}, infer::Answer::open)
            .value();
    REQUIRE(found.size() == prompt.size());
    std::size_t right = 0;
    for (std::size_t i = 0; i < prompt.size(); ++i)
        if (found[i] == prompt[i]) ++right;
    MESSAGE(right << " of " << prompt.size() << " prompt tokens recovered");
    CHECK(right * 10 >= prompt.size() * 9);
    CHECK(tokenizer.decode(found).find(secret) != std::string::npos);
}

TEST_CASE("N2: without privacy flags the machine that embeds is handed the prompt's token ids") {
    SwarmBench bench;
    auto& asker = bench.add_operator();
    auto& remote = bench.add_member(asker);
    bench.add_model(asker);
    REQUIRE(bench.fetch(remote, {}).has_value());
    auto const model = SwarmBench::load(asker);
    ask::Plan plan;
    plan.model = model;
    plan.prompt = model->tokenizer->encode("my secret plan", infer::Specials::as_text).value();
    bench.compute_on(remote, asker, plan);
    std::vector<infer::TokenId> seen;
    for (auto const id : remote.recorder.token_ids())
        seen.push_back(static_cast<infer::TokenId>(id));
    CHECK(seen == plan.prompt);
    CHECK(model->tokenizer->decode(seen) == "my secret plan");
}

TEST_CASE(
    "N3: the machine that computes the head picks the tokens of the answer, so it reads them") {
    SwarmBench bench;
    auto& asker = bench.add_operator();
    auto& remote = bench.add_member(asker);
    bench.add_model(asker);
    REQUIRE(bench.fetch(remote, {1, 2, 3, 4, 5}).has_value());
    REQUIRE(bench.drop(asker, {1, 2, 3, 4, 5}).has_value());
    auto const answer = bench.ask(asker, "hello", 4);
    REQUIRE(answer.finished.has_value());
    std::vector<infer::TokenId> picked;
    for (auto const& heard : asker.recorder.activations) {
        CHECK(heard.sender == remote.identity.node_id());
        if (!heard.message.result().has_token()) continue;
        // What it has sealed for the asker it can read with its own key.
        auto channel = proto::seal::Channel::at_stage(
            remote.identity.static_private_key(), request_key_of(remote.recorder),
            ask::seal_subject(remote.recorder.forwards().at(0).message.forward(), 0).value(),
            proto::seal::Direction::answer);
        REQUIRE(channel.has_value());
        auto const opened = channel->open(heard.message.result().step(),
                                          ask::bound_fields(heard.message.result()), heard.as_sent);
        REQUIRE(opened.has_value());
        picked.push_back(ask::decode_tokens(opened->bytes(), 1).value().front());
    }
    REQUIRE(picked.size() >= answer.finished->completion_tokens);
    auto const model = SwarmBench::load(asker);
    infer::StreamingDecoder decoder(*model->tokenizer);
    std::string read;
    for (auto const token : picked) read += decoder.push(token);
    CHECK((read + decoder.finish()).starts_with(answer.text));
}

TEST_CASE("N4: a member learns the addresses of every other member") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    auto& ada = bench.add_member(op);
    auto& bo = bench.add_member(op);
    bench.run_for(20s);
    auto const addresses_of = [&](Machine const& who, Machine const& about) {
        for (auto const& peer : who.node->peers(bench.clock.now()))
            if (peer.node == about.identity.node_id()) return peer.addresses;
        return std::vector<std::string>{};
    };
    auto const at_coordinator =
        op.multiaddr() + "/p2p/" + op.identity.peer_id().to_text() + "/p2p-circuit";
    CHECK(addresses_of(ada, bo) == std::vector{bo.multiaddr(), at_coordinator});
    CHECK(addresses_of(bo, ada) == std::vector{ada.multiaddr(), at_coordinator});
}

TEST_CASE("N5: whoever administers a stage reads the activations in its memory in clear") {
    Boomerang scene(boomerang);
    CHECK(scene.bench.ask(scene.asker, "hello", 1).finished.has_value());
    auto const model = public_weights(scene.bench);
    auto stage = infer::Stage::create(model).value();
    auto const rows = prompt_rows(scene.first.recorder);
    REQUIRE_FALSE(rows.empty());
    // The first row is exactly the embedding of the first prompt token, a public vector.
    auto const nearest = invert(model, {rows.begin(), rows.begin() + hidden_size}, 0);
    std::vector<float> row(hidden_size);
    REQUIRE(stage.embed(nearest, row).has_value());
    CHECK(std::equal(row.begin(), row.end(), rows.begin()));
}

TEST_CASE("N6: a newcomer with an invite is on the route of the next question") {
    Boomerang scene(boomerang);
    auto& newcomer = scene.bench.add_member(scene.asker);
    REQUIRE(scene.bench.fetch(newcomer, {1, 2, 3, 4}).has_value());
    CHECK(scene.bench.ask(scene.asker, "hello", 1).finished.has_value());
    CHECK_FALSE(prompt_rows(newcomer.recorder).empty());
}

TEST_CASE("N7: from the size of the traffic alone an eavesdropper tells how long a prompt is") {
    Boomerang scene(boomerang);
    auto const size_of = [&](std::string const& text) {
        auto const& tape = scene.bench.network.tape(scene.asker.address, scene.first.address);
        auto const before = tape.size();
        auto const answer = scene.bench.ask(scene.asker, text, 1);
        REQUIRE(answer.finished.has_value());
        auto const bytes =
            scene.bench.network.tape(scene.asker.address, scene.first.address).size();
        return std::pair{static_cast<double>(bytes - before),
                         static_cast<double>(answer.finished->prompt_tokens)};
    };
    auto const [short_bytes, short_tokens] = size_of("hi");
    auto const [long_bytes, long_tokens] = size_of("a question that is rather longer");
    auto const guessed = (long_bytes - short_bytes) / (hidden_size * sizeof(float));
    MESSAGE("guessed " << guessed << " more tokens, true " << long_tokens - short_tokens);
    CHECK(std::abs(guessed - (long_tokens - short_tokens)) < 1.5);
}

TEST_CASE("N8: a copied identity.key, with the swarm.key beside it, is served as the same member") {
    SwarmBench bench;
    auto& op = bench.add_operator();
    bench.add_model(op);
    auto& victim = bench.add_member(op);
    bench.network.unplug(victim.address);
    auto const stolen = victim.identity.to_file_bytes();
    Hostile thief(bench, identity::Identity::from_file_bytes(stolen.view(), {}).value(), 77);
    CHECK(thief.identity.node_id() == victim.identity.node_id());
    bench.run_for(4s);  // a newer connection of the same member replaces the one before
    thief.take_part(*victim.node->swarm(), victim.node->registry()->list()->encoded());
    thief.open_session(op);
    CHECK(thief.session_ready());
    CHECK(std::ranges::any_of(thief.controls, [](auto const& heard) {
        return heard.shard_announce().models_size() == 1 &&
               heard.shard_announce().models(0).name() == "tiny";
    }));
}
