// api/http_message.h: HTTP/1.1 requests and responses as values, and how a response is written.
//
// Pure. Bytes become a request in http_parser.h; which headers every answer of ours carries is
// decided here, in one place, so that no error path can forget them (S47-S50).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kith::api {

struct HeaderField {
    std::string name;  // lower case in requests
    std::string value;
};

// A request up to the empty line. Made by HttpParser only, which has checked its framing.
struct HttpHead {
    std::string method;  // as sent; methods are case-sensitive (RFC 9110 9.1)
    std::string target;  // origin-form, undecoded, with the query
    std::vector<HeaderField> fields;

    [[nodiscard]] std::size_t count(std::string_view name_lower) const;
    // The first field of that name; nullopt when there is none. Lives as long as the head.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name_lower) const;
    // The target up to '?', undecoded. Lives as long as the head.
    [[nodiscard]] std::string_view path() const;
};

// The two ends of the connection a request came in on, as the operating system reports them.
// Nothing here is taken from header fields such as X-Forwarded-For.
struct HttpPeer {
    std::string local_ip;  // "127.0.0.1" or "::1", without brackets
    std::uint16_t local_port = 0;
    std::string remote_ip;
};

enum class AfterAnswer { keep, close };  // what becomes of the connection

struct HttpResponse {
    unsigned status = 200;
    std::vector<HeaderField> fields;  // trusted: made of our own constants and numbers
    std::string body;
    AfterAnswer after = AfterAnswer::keep;
};

HttpResponse json_response(unsigned status, std::string body);
HttpResponse text_response(unsigned status, std::string body);

// "OK", "Not Found"; "Error" for a status we never send.
std::string_view reason_phrase(unsigned status);

// S47-S50, C12: the policy is at least as strict as the seed's in each directive (connect-src has
// no ws:).
inline constexpr std::string_view content_security_policy =
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'";

enum class BodyPart {
    send,
    omit
};  // omit: the answer to HEAD, with the length of what GET would get

// The complete bytes of a response with a known length.
std::string render_response(HttpResponse const& response, BodyPart part);
// The head of a response whose body follows in chunks (RFC 9112 7.1); `response.body` is ignored.
std::string render_stream_head(HttpResponse const& response);
// One chunk; empty data gives empty bytes, never the last chunk.
std::string render_chunk(std::string_view data);
inline constexpr std::string_view stream_end = "0\r\n\r\n";

// ASCII only, as header names and hosts are compared.
std::string lower_ascii(std::string_view text);
// Without spaces and tabs at both ends.
std::string_view trimmed(std::string_view text);

}  // namespace kith::api
