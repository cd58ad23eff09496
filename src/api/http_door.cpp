#include "api/http_door.h"

#include <utility>

#include "api/http_chat.h"
#include "api/openai.h"

namespace kith::api {
namespace {

constexpr std::string_view page_text =
    "This is kith: people who trust each other pool their machines.\n"
    "\n"
    "This address answers OpenAI's chat API: use http://<this address>/v1 as the base URL of any "
    "client,\n"
    "with the key in the file api.key of the state folder (kith status shows where it is).\n"
    "The manual: kith help, and the folder docs/ of the source. Health: /health\n";

HttpResponse closing(HttpResponse response) {
    response.after = AfterAnswer::close;
    return response;
}

HttpResponse refused(unsigned status, std::string message, char const* code) {
    ApiError error{.status = status, .message = std::move(message)};
    error.code = code;
    return error_response(error);
}

// A body that a browser form can send, or one that must be unpacked first, is not looked at.
std::optional<HttpResponse> check_media(HttpHead const& head, Route const& route) {
    bool const announced =
        head.count("transfer-encoding") > 0 || head.find("content-length").value_or("0") != "0";
    if (route.body_bytes_max == 0) {
        if (announced) return refused(400, "This path takes no body.", "invalid");
        return std::nullopt;
    }
    if (head.find("content-encoding").value_or("identity") != "identity")
        return refused(415, "A compressed body is not accepted.", "unsupported_encoding");
    auto const type = head.find("content-type").value_or("");
    if (head.count("content-type") != 1 ||
        lower_ascii(trimmed(type.substr(0, type.find(';')))) != "application/json")
        return refused(415, "The body must be sent as application/json.", "unsupported_media_type");
    return std::nullopt;
}

std::optional<HttpResponse> check_expect(HttpHead const& head) {
    auto const expected = head.find("expect");
    if (!expected || lower_ascii(*expected) == "100-continue") return std::nullopt;
    return refused(417, "The only expectation known here is 100-continue.", "invalid");
}

}  // namespace

HttpDoor::HttpDoor(ApiKey key, HostNames hosts, ask::Service& service, ports::Clock const& clock,
                   ports::Rng& rng)
    : key_(std::move(key)), hosts_(std::move(hosts)), service_(service), clock_(clock), rng_(rng) {
    hosts_.resize(std::min(hosts_.size(), hosts_count_max));
}

std::expected<Admitted, HttpResponse> HttpDoor::admit(HttpHead const& head,
                                                      HttpPeer const& peer) const {
    auto const host = head.find("host").value_or("");
    if (!host_allowed(host, peer, hosts_))
        return std::unexpected(
            closing(refused(403, "This host name is not one of this server's.", "foreign_host")));
    if (!origin_allowed(head, peer, hosts_))
        return std::unexpected(
            closing(refused(403, "Other web pages may not use this server.", "foreign_origin")));
    if (needs_key(head.path())) {
        if (auto const status = authenticate(head, key_); !status)
            return std::unexpected(closing(error_response(api_error(status.error()))));
    }
    auto match = find_route(head.method, head.path());
    if (std::holds_alternative<UnknownPath>(match))
        return std::unexpected(closing(refused(404, "There is no such path.", "unknown_path")));
    if (std::holds_alternative<BadParameter>(match))
        return std::unexpected(closing(refused(400, "The path is malformed.", "invalid")));
    if (auto const* wrong = std::get_if<WrongMethod>(&match)) {
        auto response = refused(405, "This path does not know that method.", "wrong_method");
        response.fields.push_back({"allow", wrong->allowed});
        return std::unexpected(closing(std::move(response)));
    }
    auto& found = std::get<FoundRoute>(match);
    if (auto refusal = check_media(head, found.route))
        return std::unexpected(closing(std::move(*refusal)));
    if (auto refusal = check_expect(head)) return std::unexpected(closing(std::move(*refusal)));
    return Admitted(std::move(found));
}

std::unique_ptr<HttpExchange> HttpDoor::handle(Admitted const& admitted, std::string const& body,
                                               HttpReply& reply) {
    switch (admitted.route_.route.id) {
        case RouteId::page:
            reply.respond(text_response(200, std::string(page_text)));
            break;
        case RouteId::health:
            reply.respond(json_response(200, R"({"status":"ok"})"));
            break;
        case RouteId::models:
            reply.respond(json_response(200, models_list(service_.models())));
            break;
        case RouteId::model:
            reply.respond(model_response(admitted.route_.parameter));
            break;
        case RouteId::chat_completions:
            return handle_chat(body, reply);
    }
    return nullptr;
}

std::unique_ptr<HttpExchange> HttpDoor::handle_chat(std::string const& body, HttpReply& reply) {
    if (!service_.has_room()) {  // before anything is made of a body of up to 32 MiB
        reply.respond(error_response(error_queue_full()));
        return nullptr;
    }
    auto call = parse_chat_request(base::as_bytes(body));
    if (!call) {
        reply.respond(error_response(call.error()));
        return nullptr;
    }
    base::ByteArray<16> random{};
    if (auto const filled = rng_.fill(random); !filled) {
        reply.respond(error_response(api_error(filled.error())));
        return nullptr;
    }
    auto frame = chat_frame(random, clock_.unix_now(), call->question.model);
    return start_chat(std::move(*call), std::move(frame), service_, reply);
}

HttpResponse HttpDoor::model_response(std::string const& name) const {
    auto const cards = service_.models();
    if (auto const* card = find_model(cards, name)) return json_response(200, model_object(*card));
    // The name is not repeated: it came from the path and may not be UTF-8.
    ApiError error{.status = 404, .message = "There is no such model here."};
    error.param = "model";
    error.code = "model_not_found";
    return error_response(error);
}

HttpResponse refusal_response(unsigned status, std::string const& message) {
    return closing(refused(status, message, status == 413 ? "request_too_large" : "bad_request"));
}

}  // namespace kith::api
