#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/openai.h"

namespace kith::api {
namespace {

namespace json = boost::json;

struct Row {
    unsigned status;
    char const* type;
    char const* code;
    unsigned retry_after_s;  // 0: trying again does not help
};

Row row_of(base::Code code) {
    switch (code) {
        case base::Code::invalid:
            return {400, "invalid_request_error", "invalid", 0};
        case base::Code::unsupported:
            return {400, "invalid_request_error", "unsupported", 0};
        case base::Code::unauthorized:
            return {401, "authentication_error", "invalid_api_key", 0};
        case base::Code::forbidden:
            return {403, "permission_error", "forbidden", 0};
        case base::Code::not_found:
            return {404, "invalid_request_error", "model_not_found", 0};
        case base::Code::conflict:
            return {409, "invalid_request_error", "conflict", 0};
        case base::Code::too_large:
            return {400, "invalid_request_error", "context_length_exceeded", 0};
        case base::Code::unavailable:
            return {503, "server_error", "unavailable", 2};
        case base::Code::cancelled:
            return {503, "server_error", "cancelled", 2};
        case base::Code::timeout:
            return {504, "server_error", "timeout", 0};
        case base::Code::corrupt:
            return {500, "server_error", "corrupt", 0};
        case base::Code::io:
            return {500, "server_error", "io", 0};
        case base::Code::internal:
            return {500, "server_error", "internal", 0};
    }
    return {500, "server_error", "internal", 0};
}

json::value text_or_null(std::optional<std::string> const& text) {
    if (!text) return nullptr;
    return json::value(json::string(*text));
}

}  // namespace

ApiError api_error(base::Error const& error) {
    Row const row = row_of(error.code);
    ApiError out{.status = row.status, .message = error.message, .type = row.type};
    out.code = row.code;
    if (error.code == base::Code::not_found) out.param = "model";
    if (error.code == base::Code::too_large) out.param = "messages";
    if (row.retry_after_s > 0) out.retry_after_s = row.retry_after_s;
    return out;
}

ApiError error_queue_full() {
    ApiError out{.status = 429, .type = "rate_limit_error"};
    out.message = "Too many questions wait already; try again later.";
    out.code = "queue_full";
    out.retry_after_s = 1;
    return out;
}

ApiError error_model_not_found(std::string_view model) {
    ApiError out{.status = 404};
    out.message = "The model '" + std::string(model) + "' does not exist here.";
    out.param = "model";
    out.code = "model_not_found";
    return out;
}

std::string error_json(ApiError const& error) {
    json::object inner;
    inner["message"] = error.message;
    inner["type"] = error.type;
    inner["param"] = text_or_null(error.param);
    inner["code"] = text_or_null(error.code);
    json::object outer;
    outer["error"] = std::move(inner);
    return json::serialize(outer);
}

HttpResponse error_response(ApiError const& error) {
    HttpResponse response = json_response(error.status, error_json(error));
    if (error.retry_after_s)
        response.fields.push_back({"retry-after", std::to_string(*error.retry_after_s)});
    if (error.status == 401) response.fields.push_back({"www-authenticate", "Bearer"});
    return response;
}

}  // namespace kith::api
