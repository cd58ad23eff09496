// tests/fuzz/openai_fuzz.cpp: the JSON of a chat request. What is accepted must be inside its
// limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/openai.h"

namespace {

using namespace kith;

void require(bool holds) {
    if (!holds) std::abort();
}

void check_chat(std::string_view bytes) {
    auto const call = api::parse_chat_request(base::as_bytes(bytes));
    if (!call) {
        require(call.error().status == 400 && !call.error().message.empty());
        static_cast<void>(api::error_response(call.error()));
        return;
    }
    auto const& question = call->question;
    require(!question.model.empty() && question.model.size() <= 4 * api::model_characters_max);
    require(question.model.find('\0') == std::string::npos);
    require(!question.messages.empty() && question.messages.size() <= api::messages_count_max);
    require(question.tokens_max >= 1 && question.tokens_max <= api::tokens_max_limit);
    require(question.temperature >= 0 && question.temperature <= 2);
    require(question.top_p > 0 && question.top_p <= 1);
    require(question.stop.size() <= api::stops_count_max);
    for (auto const& stop : question.stop) require(!stop.empty());
    for (auto const& message : question.messages)
        require(message.role == "system" || message.role == "user" || message.role == "assistant" ||
                message.role == "tool");
    require(question.logit_bias.size() <= api::logit_biases_max);
    require(question.top_logprobs.value_or(0) <= api::top_logprobs_max);
    auto const frame = api::chat_frame({}, base::UnixTime{0}, question.model);
    auto const event = api::chunk_piece(frame, {question.messages.front().content});
    require(event.find("\n\n") == event.size() - 2);  // one event, whatever the text
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    check_chat({reinterpret_cast<char const*>(data), size});
    return 0;
}
