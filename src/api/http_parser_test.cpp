#include "api/http_parser.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace kith::api {
namespace {

using State = HttpParser::State;

constexpr char const* plain = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

// The status a request is refused with, whole or byte by byte; 0 if its head is accepted.
unsigned refused(std::string const& bytes) {
    HttpParser parser;
    auto const used = parser.feed(bytes);
    HttpParser slow;
    std::size_t at = 0;
    while (at < bytes.size() && slow.feed({bytes.data() + at, 1}) == 1) ++at;
    CHECK(slow.state() == parser.state());
    CHECK(at == used);
    if (parser.state() == State::refused) {
        CHECK(slow.refusal().message == parser.refusal().message);
        return parser.refusal().status;
    }
    CHECK(parser.state() == State::head_ready);
    return 0;
}

unsigned refused_field(std::string const& field) {
    return refused("GET / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n");
}

struct Outcome {
    State state = State::head;
    unsigned status = 0;
    std::string body;
};

Outcome post(std::string const& fields, std::string const& body, std::size_t limit,
             std::size_t piece) {
    HttpParser parser;
    std::string const all = "POST /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n" + body;
    for (std::size_t at = 0; at < all.size();) {
        auto const used = parser.feed(std::string_view(all).substr(at, piece));
        at += used;
        if (parser.state() == State::head_ready) parser.accept_body(limit);
        if (parser.state() == State::refused) return {State::refused, parser.refusal().status, {}};
        if (parser.state() == State::done) return {State::done, 0, parser.take_body()};
    }
    return {parser.state(), 0, {}};
}

}  // namespace

TEST_CASE("a request is parsed whole or byte by byte, to the same head") {
    HttpParser parser;
    for (char const* c = plain; *c != '\0'; ++c) CHECK(parser.feed({c, 1}) == 1);
    REQUIRE(parser.state() == State::head_ready);
    CHECK(parser.head().method == "GET");
    CHECK(parser.head().target == "/health");
    CHECK(parser.head().find("host") == "localhost");
    parser.accept_body(0);
    CHECK(parser.state() == State::done);
    CHECK(parser.take_body().empty());
    CHECK(parser.untouched());
}

TEST_CASE("bytes after a request are left for the next one") {
    HttpParser parser;
    std::string const two = std::string(plain) + plain;
    auto const used = parser.feed(two);
    CHECK(used == std::string(plain).size());
    parser.accept_body(0);
    parser.take_body();
    CHECK(parser.feed(std::string_view(two).substr(used)) == used);
    CHECK(parser.state() == State::head_ready);
}

TEST_CASE("request lines that could be read in two ways are refused") {
    for (char const* line :
         {"GET /", "GET", "", " GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /a b HTTP/1.1",
          "GET http://localhost/ HTTP/1.1", "GET * HTTP/1.1", "CONNECT a:1 HTTP/1.1",
          "GET /#x HTTP/1.1", "GET /\\..\\x HTTP/1.1", "GET /\x80 HTTP/1.1", "G(T / HTTP/1.1",
          "GET / http/1.1", "GET / HTTP/1.1 ", "GET\t/\tHTTP/1.1"}) {
        INFO(std::string(line));
        CHECK(refused(std::string(line) + "\r\nHost: a\r\n\r\n") == 400);
    }
    CHECK(refused("GET / HTTP/1.0\r\nHost: a\r\n\r\n") == 505);
    CHECK(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 400);
    CHECK(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 400);
    CHECK(refused("ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\nHost: a\r\n\r\n") == 501);
}

TEST_CASE("bare line feeds, carriage returns and NUL are refused at once") {
    CHECK(refused("GET / HTTP/1.1\nHost: a\n\n") == 400);
    CHECK(refused("GET / HTTP/1.1\r\nHost: a\n") == 400);
    CHECK(refused("GET / HTTP/1.1\r\nHost: a\rx") == 400);
    CHECK(refused(std::string("GET / HTTP/1.1\r\nHost: a\0b", 25)) == 400);
    CHECK(refused("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
}

TEST_CASE("malformed header fields are refused") {
    CHECK(refused_field("X: ok") == 0);
    CHECK(refused_field("X:ok") == 0);
    CHECK(refused_field("X:") == 0);
    CHECK(refused_field("X : space before the colon") == 400);
    CHECK(refused_field(" X: folded") == 400);
    CHECK(refused_field("X: a\r\n b") == 400);
    CHECK(refused_field("X: a\r\n\tb") == 400);
    CHECK(refused_field("no colon") == 400);
    CHECK(refused_field(": no name") == 400);
    CHECK(refused_field("X: a\x01z") == 400);
    CHECK(refused_field("X\x80: a") == 400);
}

TEST_CASE("there is exactly one Host and at most one length of the body") {
    CHECK(refused("GET / HTTP/1.1\r\n\r\n") == 400);
    CHECK(refused_field("Host: b") == 400);
    CHECK(refused_field("hOST: a") == 400);
    CHECK(refused_field("Content-Length: 5") == 0);
    CHECK(refused_field("Content-Length: 5\r\nContent-Length: 5") == 400);
    CHECK(refused_field("Content-Length: 5\r\nTransfer-Encoding: chunked") == 400);
    CHECK(refused_field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") == 400);
    CHECK(refused_field("Transfer-Encoding: gzip, chunked") == 501);
    CHECK(refused_field("Transfer-Encoding: identity") == 501);
    CHECK(refused_field("Transfer-Encoding: xchunked") == 501);
    CHECK(refused_field("Transfer-Encoding: Chunked") == 0);
    for (char const* value :
         {"-1", "+5", "5, 5", "0x10", "", "5 5", "18446744073709551616", "1e3"}) {
        INFO(std::string(value));
        CHECK(refused_field(std::string("Content-Length: ") + value) == 400);
    }
}

TEST_CASE("the head is bounded in bytes, fields and target, exactly") {
    auto const of_size = [](std::size_t size) {
        std::string const start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        return start + std::string(size - start.size() - 4, 'x') + "\r\n\r\n";
    };
    CHECK(refused(of_size(head_bytes_max)) == 0);
    CHECK(refused(of_size(head_bytes_max + 1)) == 431);
    auto const with_target = [](std::size_t size) {
        return "GET /" + std::string(size - 1, 't') + " HTTP/1.1\r\nHost: a\r\n\r\n";
    };
    CHECK(refused(with_target(target_bytes_max)) == 0);
    CHECK(refused(with_target(target_bytes_max + 1)) == 414);
    auto const with_fields = [](std::size_t count) {
        std::string out = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (std::size_t i = 1; i < count; ++i) out += "a: b\r\n";
        return out + "\r\n";
    };
    CHECK(refused(with_fields(fields_count_max)) == 0);
    CHECK(refused(with_fields(fields_count_max + 1)) == 431);
}

TEST_CASE("a body of known length arrives whole, however it is cut") {
    for (std::size_t const piece : {1U, 2U, 3U, 100U}) {
        auto const outcome = post("Content-Length: 5", "helloGET", 5, piece);
        CHECK(outcome.state == State::done);
        CHECK(outcome.body == "hello");
    }
}

TEST_CASE("a chunked body arrives whole, however it is cut") {
    for (std::size_t const piece : {1U, 2U, 3U, 100U}) {
        auto const outcome = post("Transfer-Encoding: chunked",
                                  "5\r\nhello\r\n0000000A\r\n, world...\r\n0\r\n\r\n", 15, piece);
        CHECK(outcome.state == State::done);
        CHECK(outcome.body == "hello, world...");
    }
}

TEST_CASE("an empty chunked body ends the request, however it is cut") {
    for (std::size_t const piece : {1U, 2U, 3U, 4U, 100U}) {
        auto const outcome = post("Transfer-Encoding: chunked", "0\r\n\r\nGET", 0, piece);
        CHECK(outcome.state == State::done);
        CHECK(outcome.body.empty());
    }
}

TEST_CASE("the bytes between two chunks are bounded, exactly") {
    auto const padded = [](std::size_t size) {
        auto const body = std::string(size - 3, '0') + "5\r\nhello\r\n0\r\n\r\n";
        return post("Transfer-Encoding: chunked", body, 5, 100);
    };
    CHECK(padded(chunk_line_bytes_max).body == "hello");
    CHECK(padded(chunk_line_bytes_max + 1).status == 400);
}

TEST_CASE("S46: a body at the limit passes, one byte more is 413 before it is stored") {
    CHECK(post("Content-Length: 8", "12345678", 8, 100).state == State::done);
    CHECK(post("Content-Length: 9", "", 8, 100).status == 413);
    CHECK(post("Content-Length: 18446744073709551615", "", 8, 100).status == 413);
    CHECK(post("Transfer-Encoding: chunked", "4\r\n1234\r\n4\r\n1234\r\n0\r\n\r\n", 8, 100).state ==
          State::done);
    CHECK(post("Transfer-Encoding: chunked", "4\r\n1234\r\n5\r\n", 8, 100).status == 413);
    CHECK(post("Transfer-Encoding: chunked", "FFFFFFFF\r\n", 8, 100).status == 413);
    CHECK(post("Transfer-Encoding: chunked", "FFFFFFFFFFFFFFFF\r\n", 8, 100).status == 413);
}

TEST_CASE("malformed chunks, chunk extensions and trailers are refused") {
    for (char const* body :
         {"\r\n", "g\r\n", "-1\r\n", "+5\r\nhello\r\n", "0x5\r\n", " 5\r\n", "5 \r\n", "5;a=b\r\n",
          "5\nhello", "5\r\nhelloX", "5\r\nhello\rX", "5\r\nhello0\r\n\r\n",
          "10000000000000000\r\n", "0\r\nX: y\r\n\r\n", "0\r\nAB\r\n\r\n", "0\n"}) {
        for (std::size_t const piece : {1U, 2U, 100U}) {
            INFO(std::string(body));
            auto const outcome = post("Transfer-Encoding: chunked", body, 100, piece);
            CHECK(outcome.state == State::refused);
            CHECK(outcome.status == 400);
        }
    }
}

TEST_CASE("a refusal is final and consumes nothing more") {
    HttpParser parser;
    parser.feed("BAD\r\n\r\n");
    REQUIRE(parser.state() == State::refused);
    CHECK(parser.feed(plain) == 0);
    CHECK(parser.state() == State::refused);
}

TEST_CASE("a refused request does not show the head of the one before") {
    HttpParser parser;
    parser.feed("HEAD /secret HTTP/1.1\r\nHost: a\r\n\r\n");
    parser.accept_body(0);
    parser.take_body();
    CHECK(parser.head().method == "HEAD");
    parser.feed("G(T\r\n\r\n");
    CHECK(parser.state() == State::refused);
    CHECK(parser.head().method.empty());
}

TEST_CASE("S47-S50: every response carries the security fields") {
    for (auto const& text :
         {render_response(json_response(200, "{}"), BodyPart::send),
          render_response(text_response(413, "x"), BodyPart::omit), render_stream_head({})}) {
        CHECK(text.find("\r\ncontent-security-policy: default-src 'self'; script-src 'self'; "
                        "style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' "
                        "data: blob:; frame-ancestors 'none'; base-uri 'self'; form-action "
                        "'self'\r\n") != std::string::npos);
        CHECK(text.find("\r\nx-content-type-options: nosniff\r\n") != std::string::npos);
        CHECK(text.find("\r\nx-frame-options: DENY\r\n") != std::string::npos);
        CHECK(text.find("\r\nreferrer-policy: no-referrer\r\n") != std::string::npos);
    }
}

TEST_CASE("a chunk has its size in hex; nothing to say is no chunk") {
    CHECK(render_chunk("hello") == "5\r\nhello\r\n");
    CHECK(render_chunk(std::string(26, 'x')).starts_with("1a\r\n"));
    CHECK(render_chunk("").empty());
}

}  // namespace kith::api
