// What members of a route can do to the content of a question that is not for them (Tier 2).
#include <doctest/doctest.h>

#include "feature/ask/pipeline.h"
#include "feature/ask/request_content.h"
#include "hostile.h"

using namespace kith;
using namespace kith::adversary;
using namespace std::chrono_literals;

namespace {

// asker -> first (embedding, layers 0 and 1) -> middle (layer 2) -> last (layer 3, head), without
// any privacy flag: the route in which the most is handed over.
struct Chain {
    SwarmBench bench;
    Machine& asker = bench.add_operator();
    Machine& first = bench.add_member(asker);
    Machine& middle = bench.add_member(asker);
    Machine& last = bench.add_member(asker);
    ask::LoadedModelPtr model;
    std::string answer;

    Chain() {
        bench.add_model(asker);
        for (auto* machine : {&first, &middle, &last})
            REQUIRE(bench.fetch(*machine, {}).has_value());
        bench.run_until(
            [&] {
                return first.node->is_ready(middle.identity.node_id()) &&
                       middle.node->is_ready(last.identity.node_id());
            },
            30s);
        model = SwarmBench::load(asker);
    }
    void ask(std::string const& text) {
        ask::Plan plan;
        plan.model = model;
        plan.stages = {{.node = first.identity.node_id(), .layers = {0, 2}, .does_embedding = true},
                       {.node = middle.identity.node_id(), .layers = {2, 3}},
                       {.node = last.identity.node_id(), .layers = {3, 4}, .does_head = true}};
        plan.prompt = model->tokenizer->encode(text, infer::Specials::as_text).value();
        plan.tokens_max = 3;
        auto const listener = [this](ask::Update const& update) {
            if (auto const* piece = std::get_if<ask::Piece>(&update)) answer += piece->text;
        };
        auto const pipeline =
            ask::Pipeline::create(*asker.node, asker.pool, plan, {{1}}, listener, [] {}).value();
        asker.recorder.on_result = [&](node::AuthenticatedActivation const& message) {
            pipeline->on_result(message.sender(), message->message.result(), message->tensor,
                                bench.clock.now());
        };
        pipeline->start(bench.clock.now());
        bench.settle();
        asker.recorder.on_result = nullptr;
    }
    // What `who` can make of the answers with its own keys.
    std::size_t answers_opened_by(Machine const& who, Machine const& sealed_by) {
        std::size_t opened = 0;
        for (auto const& heard : asker.recorder.activations) {
            auto const& result = heard.message.result();
            auto subject = ask::seal_subject(first.recorder.forwards().at(0).message.forward(), 2);
            REQUIRE(subject->stage == sealed_by.identity.node_id());
            auto channel = proto::seal::Channel::at_stage(who.identity.static_private_key(),
                                                          request_key_of(first.recorder), *subject,
                                                          proto::seal::Direction::answer);
            if (channel->open(result.step(), ask::bound_fields(result), heard.as_sent)) ++opened;
        }
        return opened;
    }
};

}  // namespace

TEST_CASE("S7: the sealed content of one request, put into another, is refused before any layer") {
    SwarmBench bench;
    auto& victim = bench.add_operator();
    bench.add_model(victim);
    auto& other = bench.add_member(victim);
    Hostile member(bench);
    member.join(victim, bench.invite(victim));
    member.open_session(victim);
    REQUIRE(member.session_ready());
    auto const model = victim.ask->models().at(0).id;
    auto const computed = [&] { return victim.ask->stage_server().forwards_computed(); };
    auto const& key = victim.identity.static_public_key();
    base::Bytes const content(64 * 4);
    auto const message = [&](char id) {
        auto made = forward_to(member.identity.node_id(), victim.identity.node_id(), model, 0, 1);
        made.mutable_forward()->set_request_id(std::string(16, id));
        return made;
    };
    member.send(message('a'), seal_content(message('b').forward(), key, content));
    auto for_other =
        seal_content(message('c').forward(), other.identity.static_public_key(), content);
    member.send(message('c'), for_other);
    auto moved = message('d');
    auto const sealed = seal_content(moved.forward(), key, content);
    moved.mutable_forward()->set_positions_max(17);  // what was sealed is bound to its shape
    member.send(moved, sealed);
    CHECK(computed() == 0);
    CHECK(victim.ask->kv_bytes() == 0);  // and no memory is held for it
    member.send(message('e'), seal_content(message('e').forward(), key, content));
    CHECK(computed() == 1);
}

TEST_CASE(
    "S9: the last stage seals the answer's tokens for the asker, and nobody else opens them") {
    Chain chain;
    chain.ask("a question for three machines");
    REQUIRE(chain.asker.recorder.activations.size() >= 3);
    std::size_t tokens = 0;
    for (auto const& heard : chain.asker.recorder.activations) {
        CHECK(heard.sender == chain.last.identity.node_id());
        REQUIRE_FALSE(heard.as_sent.empty());
        CHECK(heard.as_sent.front() == 0x10);
        if (heard.message.result().has_token()) ++tokens;
    }
    CHECK(tokens == 3);
    CHECK(chain.answers_opened_by(chain.last, chain.last) ==
          chain.asker.recorder.activations.size());
    CHECK(chain.answers_opened_by(chain.first, chain.last) == 0);
    CHECK(chain.answers_opened_by(chain.middle, chain.last) == 0);
}

TEST_CASE("S10: a machine in the middle is handed neither the prompt nor the answer") {
    Chain chain;
    chain.ask("a question for three machines");
    REQUIRE(chain.asker.recorder.activations.size() >= 3);
    CHECK_FALSE(chain.first.recorder.token_ids().empty());  // this route hands them to the first
    auto const& heard = chain.middle.recorder.activations;
    REQUIRE_FALSE(heard.empty());
    for (auto const& activation : heard) {
        CHECK(activation.sender == chain.first.identity.node_id());
        CHECK(activation.message.has_forward());
        // Vectors of its own layers and nothing else: no ids, no sealed content of others.
        CHECK(activation.as_sent.size() ==
              std::size_t{activation.message.forward().rows()} * 64 * sizeof(float));
    }
    CHECK(chain.middle.recorder.token_ids().empty());
}
