#include "api/http_message.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kith::api {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> security_fields{{
    {"content-security-policy", content_security_policy},
    {"x-content-type-options", "nosniff"},
    {"x-frame-options", "DENY"},
    {"referrer-policy", "no-referrer"},
    // Answers hold prompts and states: no cache on the way or in the browser keeps them.
    {"cache-control", "no-store"},
}};

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

std::string render_common(HttpResponse const& response) {
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + " ";
    out.append(reason_phrase(response.status)).append("\r\n");
    for (auto const& [name, value] : security_fields) append_field(out, name, value);
    for (auto const& field : response.fields) append_field(out, field.name, field.value);
    if (response.after == AfterAnswer::close) append_field(out, "connection", "close");
    return out;
}

HttpResponse response_of_type(unsigned status, std::string type, std::string body) {
    HttpResponse response;
    response.status = status;
    response.fields.push_back({"content-type", std::move(type)});
    response.body = std::move(body);
    return response;
}

}  // namespace

std::size_t HttpHead::count(std::string_view name_lower) const {
    auto const same = [&](HeaderField const& field) { return field.name == name_lower; };
    return static_cast<std::size_t>(std::ranges::count_if(fields, same));
}

std::optional<std::string_view> HttpHead::find(std::string_view name_lower) const {
    auto const same = [&](HeaderField const& field) { return field.name == name_lower; };
    auto const found = std::ranges::find_if(fields, same);
    if (found == fields.end()) return std::nullopt;
    return std::string_view(found->value);
}

std::string_view HttpHead::path() const {
    return std::string_view(target).substr(0, target.find('?'));
}

HttpResponse json_response(unsigned status, std::string body) {
    return response_of_type(status, "application/json", std::move(body));
}

HttpResponse text_response(unsigned status, std::string body) {
    return response_of_type(status, "text/plain; charset=utf-8", std::move(body));
}

std::string_view reason_phrase(unsigned status) {
    static constexpr std::array<std::pair<unsigned, std::string_view>, 20> phrases{{
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    }};
    for (auto const& [number, phrase] : phrases)
        if (number == status) return phrase;
    return "Error";
}

std::string render_response(HttpResponse const& response, BodyPart part) {
    std::string out = render_common(response);
    append_field(out, "content-length", std::to_string(response.body.size()));
    out.append("\r\n");
    if (part == BodyPart::send) out.append(response.body);
    return out;
}

std::string render_stream_head(HttpResponse const& response) {
    std::string out = render_common(response);
    append_field(out, "transfer-encoding", "chunked");
    return out.append("\r\n");
}

std::string render_chunk(std::string_view data) {
    if (data.empty()) return {};
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string size;
    for (std::size_t rest = data.size(); rest != 0; rest >>= 4U) size.push_back(digits[rest & 15U]);
    std::ranges::reverse(size);
    return size.append("\r\n").append(data).append("\r\n");
}

std::string lower_ascii(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::string_view trimmed(std::string_view text) {
    auto const first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace kith::api
