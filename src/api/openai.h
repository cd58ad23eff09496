// api/openai.h: the OpenAI chat dialect, both ways. Pure: bytes in, values out; values in, bytes
// out.
//
// Source: the OpenAI API reference for /v1/chat/completions and /v1/models, as the official clients
// speak it. A field that is unknown or only a hint is ignored. A field that asks for something this
// program does not do yet, so that ignoring it would silently change the answer, is refused with a
// sentence that names it.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http_message.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "feature/ask/service.h"

namespace kith::api {

inline constexpr std::size_t model_characters_max = 256;  // S52: Unicode code points
inline constexpr std::size_t tools_count_max = 128;       // S53
inline constexpr std::size_t stops_count_max = 16;        // S54
inline constexpr std::size_t stop_bytes_max = 1'024;
inline constexpr std::size_t logit_biases_max = 1'024;
inline constexpr std::size_t top_logprobs_max = 20;
inline constexpr std::size_t messages_count_max = 4'096;
inline constexpr std::size_t parts_count_max = 4'096;  // of one message
inline constexpr std::uint32_t tokens_max_limit = 32'768;

// What a client is told in OpenAI's shape {"error": {message, type, param, code}}.
struct ApiError {
    unsigned status = 400;
    std::string message{};
    std::string type = "invalid_request_error";
    std::optional<std::string> param{};
    std::optional<std::string> code{};
    std::optional<unsigned> retry_after_s{};
};

template <class T>
struct [[nodiscard]] ApiResult : std::expected<T, ApiError> {
    using std::expected<T, ApiError>::expected;
};

// The one table from our codes to HTTP. too_large from the service means that the conversation does
// not fit the model's context: OpenAI's context_length_exceeded, 400.
ApiError api_error(base::Error const& error);
ApiError error_queue_full();                             // 429; has_room() of the service is false
ApiError error_model_not_found(std::string_view model);  // `model` must be valid UTF-8
HttpResponse error_response(ApiError const& error);
std::string error_json(ApiError const& error);

enum class Delivery { whole, stream };
enum class UsageChunk { omit, include };

struct ChatCall {
    ask::Question question;
    Delivery delivery = Delivery::whole;
    UsageChunk usage_chunk = UsageChunk::omit;
};

ApiResult<ChatCall> parse_chat_request(base::ByteView body);

// What is the same in every line of one answer.
struct ChatFrame {
    std::string id;  // "chatcmpl-" and 32 hex digits
    base::UnixTime created{};
    std::string model;  // as asked for
};
ChatFrame chat_frame(base::ByteArray<16> const& random, base::UnixTime now, std::string model);

// The body of a whole answer.
// `logprobs`: of all its tokens, nullptr where none were asked for.
std::string chat_completion(ChatFrame const& frame, std::string_view text, ask::Finished const& end,
                            std::vector<ask::TokenLogprob> const* logprobs = nullptr);

// The events of a streamed answer in order: role, any number of pieces, then finish (which ends
// with [DONE]), or an error (without [DONE]). Each is a complete server-sent event, or several.
std::string chunk_role(ChatFrame const& frame);
std::string chunk_piece(ChatFrame const& frame, ask::Piece const& piece);
std::string chunk_finish(ChatFrame const& frame, ask::Finished const& end, UsageChunk usage);
std::string chunk_error(ApiError const& error);
inline constexpr std::string_view chunk_heartbeat = ": waiting\n\n";

std::string models_list(std::vector<ask::ModelCard> const& cards);
// By id or by name; nullptr when there is none.
ask::ModelCard const* find_model(std::vector<ask::ModelCard> const& cards, std::string_view model);
std::string model_object(ask::ModelCard const& card);

}  // namespace kith::api
