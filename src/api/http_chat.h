// api/http_chat.h: one chat question on its way from the HTTP door to the ask feature and back.
//
//   waiting ---first piece, or a heartbeat (stream only)---> streaming
//      |                                                        |
//      +------ Finished, Failed, answer too long ---------------+---> over (final)
//
// As long as nothing was sent, a failure is answered with its own HTTP status, which clients know
// how to handle (retry-after); after that it is an error event in the stream.
#pragma once

#include <memory>

#include "api/http_door.h"
#include "api/openai.h"

namespace kith::api {

inline constexpr std::size_t answer_bytes_max = 8U * 1024 * 1024;  // of an answer sent whole

// Asks the service. nullptr when the answer to `reply` is complete already. `service` and `reply`
// must outlive the exchange; destroying it cancels the question.
std::unique_ptr<HttpExchange> start_chat(ChatCall call, ChatFrame frame, ask::Service& service,
                                         HttpReply& reply);

}  // namespace kith::api
