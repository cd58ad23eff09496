#include "feature/ask/question.h"

#include <doctest/doctest.h>

namespace kith::ask {
namespace {

using base::Code;

std::vector<Stage> route(bool head_is_here) {
    Stage first;
    first.is_self = true;
    first.does_embedding = true;
    Stage last;
    last.is_self = head_is_here;
    last.does_head = true;
    return {first, last};
}

TEST_CASE("what another machine cannot do is refused where it chooses the tokens") {
    Question plain;
    plain.temperature = 0.5F;
    plain.top_k = 3;
    plain.top_p = 0.5F;
    plain.seed = 1;
    CHECK(check_head(route(false), plain).has_value());
    auto const refused = [](auto change) {
        Question question;
        change(question);
        CHECK(check_head(route(true), question).has_value());
        auto const status = check_head(route(false), question);
        return !status && status.error().code == Code::unsupported;
    };
    CHECK(refused([](Question& q) { q.min_p = 0.1F; }));
    CHECK(refused([](Question& q) { q.frequency_penalty = 0.1F; }));
    CHECK(refused([](Question& q) { q.presence_penalty = -0.1F; }));
    CHECK(refused([](Question& q) { q.repetition_penalty = 1.1F; }));
    CHECK(refused([](Question& q) { q.logit_bias = {{1, 1.0F}}; }));
    CHECK(refused([](Question& q) { q.top_logprobs = 0; }));
    CHECK(refused([](Question& q) { q.form = AnswerForm::json_object; }));
}

TEST_CASE("a response format is a grammar, or an error that is about it") {
    Question question;
    CHECK_FALSE(grammar_of(question).value().has_value());
    question.form = AnswerForm::json_object;
    CHECK(grammar_of(question).value().has_value());
    question.form = AnswerForm::json_schema;
    question.schema = R"({"type":"integer"})";
    CHECK(grammar_of(question).value().has_value());
    question.schema = R"({"type":"string","pattern":"a(?=b)c"})";
    auto const refused = grammar_of(question).error();
    CHECK(refused.code == Code::unsupported);
    CHECK(refused.message.find("pattern") != std::string::npos);
    question.schema = R"({"type":"string","maxLength":5000})";
    CHECK(grammar_of(question).error().code == Code::unsupported);  // not too long a conversation
}

TEST_CASE("roles and tool calls arrive in the engine's words") {
    auto const tool = chat_message({.role = "tool", .content = "R", .call_id = "c"});
    CHECK(tool.role == infer::ChatRole::tool);
    CHECK(tool.call_id == "c");
    auto const call =
        chat_message({.role = "assistant", .content = "", .calls = {{"c", "f", "{}"}}});
    CHECK(call.role == infer::ChatRole::assistant);
    REQUIRE(call.calls.size() == 1);
    CHECK(call.calls[0].name == "f");
    CHECK(chat_message({.role = "system", .content = ""}).role == infer::ChatRole::system);
    CHECK(chat_message({.role = "user", .content = ""}).role == infer::ChatRole::user);
}

}  // namespace
}  // namespace kith::ask
