// tests/fuzz/http_fuzz.cpp: what strangers can send to the HTTP door: requests, one after the other
// on one connection (head, framing, chunks). What is accepted must be inside its limits and without
// doubt about where it ends, and how the bytes are cut must not matter.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/http_auth.h"
#include "api/http_origin.h"
#include "api/http_parser.h"
#include "api/http_routes.h"

namespace {

using namespace kith;

void require(bool holds) {
    if (!holds) std::abort();
}

constexpr std::size_t body_limit = 4096;

// All that a connection saw, as text, and how far it was read.
struct Outcome {
    api::HttpParser::State state = api::HttpParser::State::head;
    std::string seen;
    std::size_t used = 0;

    bool operator==(Outcome const&) const = default;
};

void check_head(api::HttpHead const& head) {
    require(!head.method.empty() && head.method.size() <= api::method_bytes_max);
    require(head.target.size() <= api::target_bytes_max && head.target.front() == '/');
    require(head.fields.size() <= api::fields_count_max);
    require(head.count("host") == 1);
    require(head.count("content-length") + head.count("transfer-encoding") <= 1);
    require(api::lower_ascii(head.find("transfer-encoding").value_or("chunked")) == "chunked");
    for (auto const& [name, value] : head.fields)
        require((name + value).find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    api::HttpPeer const peer{"127.0.0.1", 8800, "127.0.0.1"};
    static_cast<void>(api::host_allowed(*head.find("host"), peer, {"kith.example"}));
    static_cast<void>(api::origin_allowed(head, peer, {"kith.example"}));
    static auto const key = api::ApiKey::create("0123456789abcdef");
    if (api::authenticate(head, *key))
        require(head.count("authorization") + head.count("x-api-key") == 1);
    auto const match = api::find_route(head.method, head.path());
    if (auto const* found = std::get_if<api::FoundRoute>(&match))
        require(api::needs_key(head.path()) == (found->route.access == api::Access::key));
}

Outcome parse(std::string_view bytes, std::size_t piece) {
    using State = api::HttpParser::State;
    api::HttpParser parser;
    Outcome out;
    while (out.used < bytes.size() && parser.state() != State::refused) {
        auto const fed = parser.feed(bytes.substr(out.used, piece));
        require(fed > 0 || parser.state() == State::refused);
        out.used += fed;
        if (parser.state() == State::head_ready) {
            check_head(parser.head());
            out.seen += parser.head().method + " " + parser.head().target + "\n";
            for (auto const& [name, value] : parser.head().fields)
                out.seen += name + ":" + value + "\n";
            parser.accept_body(body_limit);
        }
        if (parser.state() == State::done) {
            auto const announced = parser.head().find("content-length");
            auto const body = parser.take_body();
            require(body.size() <= body_limit);
            if (announced) require(std::stoull(std::string(*announced)) == body.size());
            require(parser.untouched());
            out.seen += body + "\n";
        }
    }
    out.state = parser.state();
    if (out.state == State::refused) out.seen += parser.refusal().message;
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const bytes(reinterpret_cast<char const*>(data), size);
    auto const whole = parse(bytes, size);
    for (std::size_t const piece : {1U, 2U, 7U}) require(parse(bytes, piece) == whole);
    return 0;
}
