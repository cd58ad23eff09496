#include "api/http_chat.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace kith::api {
namespace {

class ChatExchange final : public HttpExchange {
public:
    ChatExchange(ChatCall const& call, ChatFrame frame, ask::Service& service, HttpReply& reply)
        : delivery_(call.delivery),
          usage_chunk_(call.usage_chunk),
          wants_logprobs_(call.question.top_logprobs.has_value()),
          frame_(std::move(frame)),
          service_(service),
          reply_(reply) {}
    ~ChatExchange() override {
        if (id_ && state_ != State::over) service_.cancel(*id_);
    }
    ChatExchange(ChatExchange const&) = delete;
    ChatExchange& operator=(ChatExchange const&) = delete;

    void ask(ask::Question question) {
        std::string const model = question.model;
        auto id = service_.ask(std::move(question),
                               [this](ask::Update const& update) { on_update(update); });
        if (id) {
            id_ = *id;
        } else if (id.error().code == base::Code::not_found) {
            fail(error_model_not_found(model));
        } else {
            fail(api_error(id.error()));
        }
    }

    [[nodiscard]] bool is_over() const { return state_ == State::over; }

    void on_heartbeat() override {
        if (delivery_ != Delivery::stream || state_ == State::over) return;
        begin_stream();
        reply_.stream(chunk_heartbeat);
    }

private:
    enum class State { waiting, streaming, over };

    void on_update(ask::Update const& update) {
        if (state_ == State::over) return;
        if (auto const* piece = std::get_if<ask::Piece>(&update)) on_piece(*piece);
        if (auto const* end = std::get_if<ask::Finished>(&update)) on_finished(*end);
        if (auto const* failed = std::get_if<ask::Failed>(&update)) fail(api_error(failed->error));
    }

    void on_piece(ask::Piece const& piece) {
        if (delivery_ == Delivery::stream) {
            begin_stream();
            reply_.stream(chunk_piece(frame_, piece));
            return;
        }
        if (text_.size() + piece.text.size() > answer_bytes_max) {
            if (id_) service_.cancel(*id_);
            return fail({.status = 500, .message = "The answer is too long to be sent whole."});
        }
        text_ += piece.text;
        logprobs_.insert(logprobs_.end(), piece.logprobs.begin(), piece.logprobs.end());
    }

    void on_finished(ask::Finished const& end) {
        if (delivery_ == Delivery::stream) {
            begin_stream();
            reply_.stream(chunk_finish(frame_, end, usage_chunk_));
            reply_.end_stream();
        } else {
            reply_.respond(json_response(
                200, chat_completion(frame_, text_, end, wants_logprobs_ ? &logprobs_ : nullptr)));
        }
        state_ = State::over;
    }

    void fail(ApiError const& error) {
        if (state_ == State::streaming) {
            reply_.stream(chunk_error(error));
            reply_.end_stream();
        } else {
            reply_.respond(error_response(error));
        }
        state_ = State::over;
    }

    void begin_stream() {
        if (state_ != State::waiting) return;
        HttpResponse head;
        head.fields.push_back({"content-type", "text/event-stream; charset=utf-8"});
        head.fields.push_back({"x-accel-buffering", "no"});  // proxies must not hold pieces back
        reply_.start_stream(std::move(head));
        reply_.stream(chunk_role(frame_));
        state_ = State::streaming;
    }

    Delivery delivery_;
    UsageChunk usage_chunk_;
    bool wants_logprobs_;
    ChatFrame frame_;
    ask::Service& service_;
    HttpReply& reply_;
    State state_ = State::waiting;
    std::optional<ask::QuestionId> id_;
    std::string text_;                           // of an answer sent whole
    std::vector<ask::TokenLogprob> logprobs_{};  // of it
};

}  // namespace

std::unique_ptr<HttpExchange> start_chat(ChatCall call, ChatFrame frame, ask::Service& service,
                                         HttpReply& reply) {
    auto exchange = std::make_unique<ChatExchange>(call, std::move(frame), service, reply);
    exchange->ask(std::move(call.question));
    if (exchange->is_over()) return nullptr;
    return exchange;
}

}  // namespace kith::api
