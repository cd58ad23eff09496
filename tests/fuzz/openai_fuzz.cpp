// tests/fuzz/openai_fuzz.cpp: what strangers can send to the HTTP door: a request (framing, head,
// chunks) and the JSON in it. The first byte says which; besides not crashing, what is accepted
// must be inside its limits, and how bytes are cut must not matter.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "api/http_auth.h"
#include "api/http_origin.h"
#include "api/http_parser.h"
#include "api/http_routes.h"
#include "api/openai.h"

namespace {

using namespace kith;

void require(bool holds) {
    if (!holds) std::abort();
}

constexpr std::size_t body_limit = 4096;

struct Outcome {
    api::HttpParser::State state = api::HttpParser::State::head;
    std::string target;
    std::string body;
    std::size_t used = 0;
};

Outcome parse_request(std::string_view bytes, std::size_t piece) {
    using State = api::HttpParser::State;
    api::HttpParser parser;
    Outcome out;
    while (out.used < bytes.size()) {
        auto const fed = parser.feed(bytes.substr(out.used, piece));
        out.used += fed;
        if (parser.state() == State::head_ready) {
            out.target = parser.head().target;
            parser.accept_body(body_limit);
        }
        if (parser.state() == State::done) out.body = parser.take_body();
        if (parser.untouched() || parser.state() == State::refused) break;
    }
    out.state = parser.state();
    return out;
}

void check_head(std::string_view bytes) {
    api::HttpParser parser;
    parser.feed(bytes);
    if (parser.state() != api::HttpParser::State::head_ready) return;
    auto const& head = parser.head();
    require(head.fields.size() <= api::fields_count_max);
    require(head.target.size() <= api::target_bytes_max && head.target.front() == '/');
    require(head.count("host") == 1);
    api::HttpPeer const peer{"127.0.0.1", 8800, "127.0.0.1"};
    static_cast<void>(api::host_allowed(*head.find("host"), peer, {"kith.example"}));
    static_cast<void>(api::origin_allowed(head, peer, {"kith.example"}));
    static auto const key = api::ApiKey::create("0123456789abcdef");
    if (api::authenticate(head, *key)) {
        require(head.count("authorization") + head.count("x-api-key") == 1);
    }
    auto const match = api::find_route(head.method, head.path());
    if (auto const* found = std::get_if<api::FoundRoute>(&match))
        require(api::needs_key(head.path()) == (found->route.access == api::Access::key));
}

void check_request(std::string_view bytes) {
    check_head(bytes);
    auto const whole = parse_request(bytes, bytes.size());
    require(whole.body.size() <= body_limit);
    for (std::size_t const piece : {std::size_t{1}, std::size_t{7}}) {
        auto const cut = parse_request(bytes, piece);
        require(cut.state == whole.state && cut.target == whole.target && cut.body == whole.body);
        require(cut.used == whole.used);
    }
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
        require(message.role == "system" || message.role == "user" || message.role == "assistant");
    auto const frame = api::chat_frame({}, base::UnixTime{0}, question.model);
    auto const event = api::chunk_piece(frame, question.messages.front().content);
    require(event.find("\n\n") == event.size() - 2);  // one event, whatever the text
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    std::string_view const rest(reinterpret_cast<char const*>(data) + 1, size - 1);
    if (data[0] % 2 == 0) {
        check_request(rest);
    } else {
        check_chat(rest);
    }
    return 0;
}
