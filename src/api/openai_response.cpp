#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/openai.h"
#include "base/encoding.h"

namespace kith::api {
namespace {

namespace json = boost::json;

json::string text_value(std::string_view text) {
    return json::string(text.data(), text.size());
}

char const* finish_word(ask::FinishReason reason) {
    switch (reason) {
        case ask::FinishReason::stop:
            return "stop";
        case ask::FinishReason::length:
            return "length";
    }
    return "stop";
}

json::object usage_of(ask::Finished const& end) {
    json::object usage;
    usage["prompt_tokens"] = end.prompt_tokens;
    usage["completion_tokens"] = end.completion_tokens;
    usage["total_tokens"] = std::uint64_t{end.prompt_tokens} + end.completion_tokens;
    return usage;
}

json::object frame_of(ChatFrame const& frame, char const* kind) {
    json::object out;
    out["id"] = frame.id;
    out["object"] = kind;
    out["created"] = base::seconds(frame.created);
    out["model"] = frame.model;
    return out;
}

std::string event_of(json::object const& object) {
    return "data: " + json::serialize(object) + "\n\n";
}

json::object token_of(ask::TokenLogprob const& entry) {
    json::object out;
    out["token"] = text_value(entry.text);
    out["logprob"] = static_cast<double>(entry.logprob);
    json::array bytes;
    for (char const c : entry.bytes) bytes.emplace_back(static_cast<unsigned char>(c));
    out["bytes"] = std::move(bytes);
    return out;
}

json::value logprobs_of(std::vector<ask::TokenLogprob> const& entries) {
    json::array content;
    for (auto const& entry : entries) {
        auto token = token_of(entry);
        json::array top;
        for (auto const& other : entry.top) top.push_back(token_of(other));
        token["top_logprobs"] = std::move(top);
        content.push_back(std::move(token));
    }
    return json::object{{"content", std::move(content)}, {"refusal", nullptr}};
}

std::string chunk_of(ChatFrame const& frame, json::object delta, json::value finish_reason,
                     json::value logprobs = nullptr) {
    json::object choice;
    choice["index"] = 0;
    choice["delta"] = std::move(delta);
    choice["logprobs"] = std::move(logprobs);
    choice["finish_reason"] = std::move(finish_reason);
    json::object out = frame_of(frame, "chat.completion.chunk");
    out["choices"] = json::array{std::move(choice)};
    return event_of(out);
}

json::object model_of(ask::ModelCard const& card) {
    json::object out;
    out["id"] = card.name;
    out["object"] = "model";
    out["created"] = 0;
    out["owned_by"] = "kith";
    out["kith"] = json::object{{"digest", card.id}, {"answerable", card.answerable}};
    return out;
}

}  // namespace

ChatFrame chat_frame(base::ByteArray<16> const& random, base::UnixTime now, std::string model) {
    return {"chatcmpl-" + base::to_hex(random), now, std::move(model)};
}

std::string chat_completion(ChatFrame const& frame, std::string_view text, ask::Finished const& end,
                            std::vector<ask::TokenLogprob> const* logprobs) {
    json::object message;
    message["role"] = "assistant";
    message["content"] = text_value(text);
    message["refusal"] = nullptr;
    json::object choice;
    choice["index"] = 0;
    choice["message"] = std::move(message);
    choice["logprobs"] = logprobs == nullptr ? json::value(nullptr) : logprobs_of(*logprobs);
    choice["finish_reason"] = finish_word(end.reason);
    json::object out = frame_of(frame, "chat.completion");
    out["choices"] = json::array{std::move(choice)};
    out["usage"] = usage_of(end);
    return json::serialize(out);
}

std::string chunk_role(ChatFrame const& frame) {
    json::object delta;
    delta["role"] = "assistant";
    delta["content"] = "";
    return chunk_of(frame, std::move(delta), nullptr);
}

std::string chunk_piece(ChatFrame const& frame, ask::Piece const& piece) {
    json::object delta;
    delta["content"] = text_value(piece.text);
    return chunk_of(frame, std::move(delta), nullptr,
                    piece.logprobs.empty() ? json::value(nullptr) : logprobs_of(piece.logprobs));
}

std::string chunk_finish(ChatFrame const& frame, ask::Finished const& end, UsageChunk usage) {
    std::string out = chunk_of(frame, {}, finish_word(end.reason));
    if (usage == UsageChunk::include) {
        json::object last = frame_of(frame, "chat.completion.chunk");
        last["choices"] = json::array{};
        last["usage"] = usage_of(end);
        out += event_of(last);
    }
    return out + "data: [DONE]\n\n";
}

std::string chunk_error(ApiError const& error) {
    return "data: " + error_json(error) + "\n\n";
}

std::string models_list(std::vector<ask::ModelCard> const& cards) {
    json::array data;
    for (auto const& card : cards) data.push_back(model_of(card));
    json::object out;
    out["object"] = "list";
    out["data"] = std::move(data);
    return json::serialize(out);
}

ask::ModelCard const* find_model(std::vector<ask::ModelCard> const& cards, std::string_view model) {
    for (auto const& card : cards)
        if (card.id == model || card.name == model) return &card;
    return nullptr;
}

std::string model_object(ask::ModelCard const& card) {
    return json::serialize(model_of(card));
}

}  // namespace kith::api
