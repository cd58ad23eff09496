// A question on the asker's machine: what is said at once, what the worker says later, and in which
// order.
#include <doctest/doctest.h>

#include "base/code_of.h"
#include "swarm_bench.h"

using namespace kith;
using namespace kith::adversary;

namespace {

// One machine that holds the whole model (context 256), and what its questions came to.
struct Alone {
    SwarmBench bench;
    Machine& machine = bench.add_operator();
    std::vector<std::string> heard;  // "2 too_large", in the order it was said

    Alone() { bench.add_model(machine); }
    base::Result<ask::QuestionId> put(std::string const& text, std::string const& label) {
        ask::Question question{.messages = {{"user", text}}, .tokens_max = 1};
        question.temperature = 0;
        return machine.ask->ask(question, [this, label](ask::Update const& update) {
            if (std::holds_alternative<ask::Finished>(update)) heard.push_back(label + " done");
            if (auto const* failed = std::get_if<ask::Failed>(&update))
                heard.push_back(label + " " + std::string(base::code_name(failed->error.code)));
        });
    }
};

}  // namespace

TEST_CASE("a text that no tokens could make fit is refused before anybody tokenises it") {
    Alone alone;
    auto const asked = alone.put(std::string(std::size_t{256} * 1024, 'x'), "1");
    CHECK(base::code_of(asked) == base::Code::too_large);
    CHECK(alone.heard.empty());
    CHECK_FALSE(alone.machine.pool.run_one());  // nothing was handed to the worker
}

TEST_CASE("the worker tokenises, so a conversation that is too long is told as an update") {
    Alone alone;
    REQUIRE(alone.put(std::string(1000, 'x'), "1").has_value());
    CHECK(alone.heard.empty());
    alone.bench.settle();
    CHECK(alone.heard == std::vector<std::string>{"1 too_large"});
}

TEST_CASE("the conversation fits with as many tokens as the context has, less one") {
    Alone alone;
    std::size_t fits = 0;
    std::size_t refused = 0;
    for (std::size_t bytes = 200; bytes < 256; ++bytes) {
        alone.heard.clear();
        REQUIRE(alone.put(std::string(bytes, 'x'), "1").has_value());
        alone.bench.settle();
        REQUIRE(alone.heard.size() == 1);
        (alone.heard[0] == "1 done" ? fits : refused) += 1;
        if (refused > 0) CHECK(alone.heard[0] == "1 too_large");  // and from there on always
    }
    CHECK(fits > 0);
    CHECK(refused > 0);
}

TEST_CASE("questions start in the order they were asked, and one that cannot passes the turn on") {
    Alone alone;
    std::vector<std::string> expected;
    for (int i = 0; i < 7; ++i) {
        bool const too_long = i % 3 == 1;
        auto const label = std::to_string(i);
        REQUIRE(alone.put(std::string(too_long ? 1000 : 5, 'x'), label).has_value());
    }
    alone.bench.settle();
    std::vector<std::string> done;
    for (auto const& line : alone.heard)
        if (line.ends_with("done")) done.push_back(line);
    CHECK(done == std::vector<std::string>{"0 done", "2 done", "3 done", "5 done", "6 done"});
    CHECK(alone.heard.size() == 7);
}

TEST_CASE("a question that is cancelled while the worker has its text says nothing any more") {
    Alone alone;
    auto const first = alone.put("hello", "1");
    auto const second = alone.put(std::string(1000, 'x'), "2");
    REQUIRE((first && second));
    alone.machine.ask->cancel(*first);
    alone.machine.ask->cancel(*second);
    alone.bench.settle();
    CHECK(alone.heard.empty());
    REQUIRE(alone.put("hello", "3").has_value());
    alone.bench.settle();
    CHECK(alone.heard == std::vector<std::string>{"3 done"});
}

TEST_CASE("as many questions as may run and wait are taken, and not one more") {
    Alone alone;
    auto const limit = ask::questions_running_max + ask::questions_waiting_max;
    for (std::size_t i = 0; i < limit; ++i) {
        REQUIRE(alone.machine.ask->has_room());
        REQUIRE(alone.put("x", "x").has_value());
    }
    CHECK_FALSE(alone.machine.ask->has_room());
    auto const more = alone.put("x", "x");
    CHECK(base::code_of(more) == base::Code::unavailable);
    CHECK(alone.heard.empty());
}

TEST_CASE("an answer of a given form is of that form, or cut short by its length") {
    Alone alone;
    ask::Question question{.messages = {{"user", "hello"}}, .tokens_max = 200};
    question.form = ask::AnswerForm::json_schema;
    question.schema = R"({"type":"object","properties":{"ok":{"type":"boolean"},
        "word":{"type":"string","maxLength":5}},"required":["ok","word"]})";
    question.seed = 7;
    question.top_logprobs = 2;
    std::string text;
    std::size_t logprobs = 0;
    std::optional<ask::Finished> finished;
    auto const asked = alone.machine.ask->ask(question, [&](ask::Update const& update) {
        if (auto const* piece = std::get_if<ask::Piece>(&update)) {
            text += piece->text;
            logprobs += piece->logprobs.size();
            for (auto const& each : piece->logprobs) {
                CHECK(each.logprob <= 0);
                CHECK(each.top.size() == 2);
            }
        }
        if (auto const* end = std::get_if<ask::Finished>(&update)) finished = *end;
    });
    REQUIRE(asked.has_value());
    alone.bench.settle();
    REQUIRE(finished.has_value());
    CAPTURE(text);
    CHECK(text.starts_with("{"));
    CHECK(text.find("\"ok\"") != std::string::npos);
    CHECK(logprobs == finished->completion_tokens);
    if (finished->reason == ask::FinishReason::stop) CHECK(text.ends_with("}"));

    question.schema = R"({"type":"string","pattern":"a(?=b)c"})";
    auto const refused = alone.machine.ask->ask(question, [](ask::Update const&) {});
    CHECK(base::code_of(refused) == base::Code::unsupported);
    CHECK(refused.error().message.find("pattern") != std::string::npos);
}

TEST_CASE("a machine that does not choose the tokens says what it cannot do, at once") {
    SwarmBench bench;
    auto& asker = bench.add_operator();
    auto& remote = bench.add_member(asker);
    bench.add_model(asker);
    REQUIRE(bench.fetch(remote, {}).has_value());
    REQUIRE(bench.drop(asker, {1, 2, 3, 4, 5}).has_value());
    ask::Question question{.messages = {{"user", "hello"}}, .tokens_max = 1};
    question.frequency_penalty = 0.5F;
    auto const refused = asker.ask->ask(question, [](ask::Update const&) {});
    CHECK(base::code_of(refused) == base::Code::unsupported);
    CHECK(refused.error().message.find("penalties") != std::string::npos);
    question.frequency_penalty = 0;
    CHECK(asker.ask->ask(question, [](ask::Update const&) {}).has_value());
}

TEST_CASE("a prompt without any token is an error, not the end of the program") {
    Alone alone;
    auto const asked = alone.machine.ask->ask({.messages = {}}, [&](ask::Update const& update) {
        alone.heard.push_back(std::holds_alternative<ask::Failed>(update) ? "failed" : "other");
    });
    REQUIRE(asked.has_value());
    alone.bench.settle();
    CHECK(alone.heard == std::vector<std::string>{"failed"});
    ask::Plan plan;
    plan.model = SwarmBench::load(alone.machine);
    plan.stages = {{.node = alone.machine.identity.node_id(),
                    .is_self = true,
                    .layers = {0, 4},
                    .does_embedding = true,
                    .does_head = true}};
    plan.tokens_max = 1;
    auto const pipeline = ask::Pipeline::create(
        *alone.machine.node, alone.machine.pool, plan, {{1}}, [](auto const&) {}, [] {});
    CHECK(base::code_of(pipeline) == base::Code::invalid);
}
