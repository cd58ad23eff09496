#include "feature/ask/question.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "infer/grammar/json_schema.h"

namespace kith::ask {

using base::Code;
using base::fail;

infer::SamplerOptions sampling_of(Question const& question) {
    infer::SamplerOptions out{.temperature = question.temperature,
                              .top_k = question.top_k,
                              .top_p = question.top_p,
                              .min_p = question.min_p,
                              .repetition_penalty = question.repetition_penalty,
                              .frequency_penalty = question.frequency_penalty,
                              .presence_penalty = question.presence_penalty};
    for (auto const& [token, bias] : question.logit_bias)
        if (token <= static_cast<std::uint32_t>(std::numeric_limits<infer::TokenId>::max()))
            out.logit_bias.push_back({static_cast<infer::TokenId>(token), bias});
    if (question.top_logprobs) out.top_logprobs = *question.top_logprobs;
    return out;
}

base::Status check_head(std::vector<Stage> const& stages, Question const& question) {
    bool const is_remote = std::ranges::any_of(
        stages, [](Stage const& stage) { return stage.does_head && !stage.is_self; });
    bool const is_plain = question.form == AnswerForm::text && sampling_of(question).is_plain();
    if (is_plain || !is_remote) return {};
    return fail(Code::unsupported,
                "another machine chooses the tokens of this model, and it cannot do penalties, "
                "logit_bias, min_p, logprobs or a response_format; fetch the model's last shard to "
                "choose them here");
}

base::Result<std::optional<infer::grammar::Grammar>> grammar_of(Question const& question) {
    std::optional<infer::grammar::Grammar> out;
    if (question.form == AnswerForm::json_object)
        out = KITH_TRY(infer::grammar::grammar_of_json_object());
    if (question.form == AnswerForm::json_schema) {
        auto grammar = infer::grammar::grammar_of_schema(question.schema);
        // Code::too_large would be taken for that of the conversation.
        if (!grammar)
            return fail(
                grammar.error().code == Code::too_large ? Code::unsupported : grammar.error().code,
                "response_format: " + grammar.error().message);
        out = *std::move(grammar);
    }
    return out;
}

infer::ChatMessage chat_message(Message message) {
    auto const& role = message.role;
    infer::ChatMessage out{.role = role == "system"      ? infer::ChatRole::system
                                   : role == "assistant" ? infer::ChatRole::assistant
                                   : role == "tool"      ? infer::ChatRole::tool
                                                         : infer::ChatRole::user,
                           .content = std::move(message.content),
                           .call_id = std::move(message.call_id)};
    for (auto& call : message.calls)
        out.calls.push_back({.id = std::move(call.id),
                             .name = std::move(call.name),
                             .arguments = std::move(call.arguments)});
    return out;
}

}  // namespace kith::ask
