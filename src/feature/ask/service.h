// feature/ask/service.h: what every door (OpenAI HTTP, control API, tests) asks of the ask feature.
//
// All calls and all updates happen on the loop thread. The doors decide nothing: limits of fields
// are checked in api/, everything about models, routes and privacy is decided behind this
// interface.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "feature/ask/privacy.h"

namespace kith::ask {

// What an assistant wanted to be called.
struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // JSON, as the model wrote it
};

struct Message {
    // "system", "user", "assistant" or "tool"; "developer" is mapped to "system" by the doors
    std::string role;
    std::string content;
    std::vector<ToolCall> calls{};  // of an assistant
    std::string call_id{};          // of a tool: the call it answers
};

// What the answer must be, by a grammar (docs/grammar.md).
enum class AnswerForm { text, json_object, json_schema };

struct LogitBias {
    std::uint32_t token = 0;
    float bias = 0;  // -100 to 100
};

struct Question {
    std::string model;  // a model id (hex), a unique prefix of one, or its name; empty: the only
                        // model there is
    std::vector<Message> messages;
    std::uint32_t tokens_max = 512;  // generated tokens; 1 to 32768
    float temperature = 1.0F;        // 0 is greedy; 0 to 2
    float top_p = 1.0F;              // 0 < top_p <= 1
    std::uint32_t top_k = 0;         // 0: off
    std::optional<std::uint64_t> seed;
    std::vector<std::string> stop;  // at most 16, none empty
    // The following need the machine that asks to compute the output head; Code::unsupported where
    // another one does.
    float min_p = 0.0F;                         // 0 <= min_p < 1; 0: off
    float frequency_penalty = 0.0F;             // -2 to 2
    float presence_penalty = 0.0F;              // -2 to 2
    float repetition_penalty = 1.0F;            // above 0 to 10; 1: off
    std::vector<LogitBias> logit_bias;          // at most 1024
    std::optional<std::uint32_t> top_logprobs;  // at most 20; nullopt: no logprobs
    AnswerForm form = AnswerForm::text;
    std::string schema;  // JSON, of AnswerForm::json_schema
};

enum class FinishReason { stop, length };

// How likely the model by itself held a token to be.
struct TokenLogprob {
    std::string text;   // valid UTF-8; U+FFFD for what is a part of a character
    std::string bytes;  // exactly; none for control tokens
    float logprob = 0;
    std::vector<TokenLogprob> top{};  // the likeliest in its place, likeliest first
};

struct Piece {  // a run of whole characters of the answer
    std::string text;
    std::vector<TokenLogprob> logprobs{};  // of the tokens that ended in it, where asked for
};
struct Finished {
    FinishReason reason = FinishReason::stop;
    std::uint32_t prompt_tokens = 0;
    std::uint32_t completion_tokens = 0;
};
struct Failed {
    base::Error error;
};
// Any number of Pieces, then exactly one Finished or Failed.
using Update = std::variant<Piece, Finished, Failed>;
using Listener = std::function<void(Update const&)>;

using QuestionId = std::uint64_t;

struct ModelCard {
    std::string id;    // BLAKE3 of the manifest, hex
    std::string name;  // as in the manifest, for people and as the OpenAI model name
    std::string architecture;
    std::uint32_t layers_count = 0;
    std::uint32_t shards_count = 0;
    std::vector<std::uint32_t> shards_local;   // held and verified on this machine
    std::vector<std::uint32_t> shards_remote;  // announced by at least one connected member
    std::uint64_t bytes = 0;                   // of the whole model
    bool answerable = false;          // a route exists right now under the configured privacy
    bool encrypted_pipeline = false;  // the flag in force for this model
};

class Service {
public:
    virtual ~Service() = default;

    // S61: whether a question that is asked now is taken, at once or when it is its turn. Otherwise
    // ask() returns Code::unavailable.
    [[nodiscard]] virtual bool has_room() const = 0;
    // Starts answering. Errors that are known at once (unknown model, no route, refused privacy
    // mode, queue full) are returned and the listener is never called; everything later arrives as
    // updates. Code::too_large, either way: the conversation is longer than the model's context.
    virtual base::Result<QuestionId> ask(Question question, Listener listener) = 0;
    // The listener is not called any more once this returns; unknown ids are ignored.
    virtual void cancel(QuestionId id) = 0;

    virtual std::vector<ModelCard> models() const = 0;
    // The route the last answered question really took and who saw what on it; nullopt before the
    // first.
    virtual std::optional<RouteView> last_route() const = 0;
    // The route a question to this model would take now.
    virtual base::Result<RouteView> planned_route(std::string const& model) const = 0;
};

}  // namespace kith::ask
