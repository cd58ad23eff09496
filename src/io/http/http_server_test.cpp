// Attacks a real server over real sockets on a free loopback port. Nothing here asserts a duration:
// where a deadline is tested it is set short and the test waits for what must happen.
#include "io/http/http_server.h"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <future>
#include <thread>
#include <type_traits>
#include <vector>

#include "api/http_bind.h"
#include "io/http/http_test_bench.h"
#include "io/http/http_test_client.h"

namespace kith::io {
namespace {

constexpr char const* ask_stream =
    R"({"model":"guide","stream":true,"messages":[{"role":"user","content":"hi"}]})";
constexpr char const* ask_whole =
    R"({"model":"guide","messages":[{"role":"user","content":"hi"}]})";

std::string const bearer = std::string("Authorization: Bearer ") + key_text + "\r\n";

// For each of the two limits.
std::array<HttpServerOptions, 2> rooms_for_three() {
    HttpServerOptions per_client;
    per_client.connections_per_client_max = 3;
    HttpServerOptions in_all;
    in_all.connections_max = 3;
    return {per_client, in_all};
}

void check_security_fields(std::string const& response) {
    for (char const* field :
         {"content-security-policy: default-src 'self';", "x-content-type-options: nosniff",
          "x-frame-options: DENY", "referrer-policy: no-referrer"})
        CHECK(response.find(field) != std::string::npos);
    CHECK(response.find("access-control-") == std::string::npos);
}

}  // namespace

static_assert(!std::is_constructible_v<api::CheckedBind, std::string, std::uint16_t>);

TEST_CASE("hostile requests get the right status, the security fields and no second answer") {
    Bench bench;
    std::string const host = "Host: " + bench.host() + "\r\n";
    std::string const start = "GET /health HTTP/1.1\r\n";
    struct Probe {
        char const* what;
        std::string bytes;
        unsigned status;
    };
    std::vector<Probe> const probes{
        {"control: health", start + host + "\r\n", 200},
        {"control: models with the key", "GET /v1/models HTTP/1.1\r\n" + host + bearer + "\r\n",
         200},
        {"rebinding: foreign host", start + "Host: evil.example\r\n\r\n", 403},
        {"rebinding: right port",
         start + "Host: evil.example:" + std::to_string(bench.port) + "\r\n\r\n", 403},
        {"rebinding: nip.io",
         start + "Host: 127.0.0.1.nip.io:" + std::to_string(bench.port) + "\r\n\r\n", 403},
        {"rebinding: trailing dot",
         start + "Host: localhost.:" + std::to_string(bench.port) + "\r\n\r\n", 403},
        {"rebinding: wrong port", start + "Host: localhost:1\r\n\r\n", 403},
        {"rebinding: no host", start + "\r\n", 400},
        {"rebinding: X-Forwarded-Host",
         start + "Host: evil.example\r\nX-Forwarded-Host: " + bench.host() + "\r\n\r\n", 403},
        {"two hosts", start + host + "Host: evil.example\r\n\r\n", 400},
        {"origin: foreign", start + host + "Origin: http://evil.example\r\n\r\n", 403},
        {"origin: null", start + host + "Origin: null\r\n\r\n", 403},
        {"origin: preflight",
         "OPTIONS /v1/chat/completions HTTP/1.1\r\n" + host +
             "Origin: http://evil.example\r\nAccess-Control-Request-Method: "
             "POST\r\nAccess-Control-Request-Private-Network: true\r\n\r\n",
         403},
        {"csrf: form",
         "POST /v1/chat/completions HTTP/1.1\r\n" + host + bearer +
             "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
         415},
        {"websocket upgrade",
         start + host +
             "Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://evil.example\r\n\r\n",
         403},
        {"h2c upgrade is ignored",
         start + host +
             "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n",
         200},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        {"auth: none", "GET /v1/models HTTP/1.1\r\n" + host + "\r\n", 401},
        {"auth: wrong", "GET /v1/models HTTP/1.1\r\n" + host + "Authorization: Bearer x\r\n\r\n",
         401},
        {"auth: twice", "GET /v1/models HTTP/1.1\r\n" + host + bearer + bearer + "\r\n", 401},
        {"auth: in the query",
         "GET /v1/models?api_key=" + std::string(key_text) + " HTTP/1.1\r\n" + host + "\r\n", 401},
        {"auth: in a cookie",
         "GET /v1/models HTTP/1.1\r\n" + host + "Cookie: key=" + key_text + "\r\n\r\n", 401},
        {"auth: method override",
         "GET /v1/models HTTP/1.1\r\n" + host + "X-HTTP-Method-Override: POST\r\n\r\n", 401},
        {"auth: HEAD", "HEAD /v1/models HTTP/1.1\r\n" + host + "\r\n", 401},
        {"path: //v1", "GET //v1/models HTTP/1.1\r\n" + host + "\r\n", 404},
        {"path: encoded", "GET /%76%31/models HTTP/1.1\r\n" + host + "\r\n", 404},
        {"path: dots", "GET /health/../v1/models HTTP/1.1\r\n" + host + "\r\n", 404},
        {"path: traversal", "GET /..%2f..%2fetc/passwd HTTP/1.1\r\n" + host + "\r\n", 404},
        {"path: NUL in a model", "GET /v1/models/a%00b HTTP/1.1\r\n" + host + bearer + "\r\n", 400},
        {"path: absolute form", "GET http://localhost/health HTTP/1.1\r\n" + host + "\r\n", 400},
        {"method: TRACE", "TRACE /health HTTP/1.1\r\n" + host + "\r\n", 405},
        {"method: lower case", "get /health HTTP/1.1\r\n" + host + "\r\n", 405},
        {"method: CONNECT", "CONNECT localhost:1 HTTP/1.1\r\n" + host + "\r\n", 400},
        {"version: 1.0", "GET /health HTTP/1.0\r\n" + host + "\r\n", 505},
        {"version: 0.9", "GET /health\r\n\r\n", 400},
        {"framing: bare LF", "GET /health HTTP/1.1\n" + host, 400},
        {"framing: bare CR", "GET /health HTTP/1.1\rHost: x\r\n", 400},
        {"framing: folded line", start + host + "X: a\r\n b\r\n\r\n", 400},
        {"framing: space before the colon", start + host + "X : a\r\n\r\n", 400},
        {"framing: NUL in a value", start + host + std::string("X: a\0b\r\n\r\n", 10), 400},
        {"framing: TLS hello", std::string("\x16\x03\x01\x00\x05hello\r\n\r\n", 14), 400},
        {"framing: leading line", "\r\n" + start + host + "\r\n", 400},
        {"smuggling: CL and TE",
         bench.post_head("Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n" +
             bench.get("/health"),
         400},
        {"smuggling: two CL",
         bench.post_head("Content-Length: 0\r\nContent-Length: 44") + bench.get("/health"), 400},
        {"smuggling: CL list", bench.post_head("Content-Length: 2, 2") + "{}", 400},
        {"smuggling: CL with a sign", bench.post_head("Content-Length: +2") + "{}", 400},
        {"smuggling: negative CL", bench.post_head("Content-Length: -1"), 400},
        {"smuggling: TE xchunked", bench.post_head("Transfer-Encoding: xchunked") + "0\r\n\r\n",
         501},
        {"smuggling: two TE",
         bench.post_head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity") + "0\r\n\r\n",
         400},
        {"smuggling: GET with a body",
         "GET /health HTTP/1.1\r\n" + host + "Content-Length: 30\r\n\r\n" + bench.get("/v1/models"),
         400},
        {"chunks: size of 2^64",
         bench.post_head("Transfer-Encoding: chunked") + "10000000000000000\r\n", 400},
        {"chunks: 4 GiB announced", bench.post_head("Transfer-Encoding: chunked") + "FFFFFFFF\r\n",
         413},
        {"chunks: extension",
         bench.post_head("Transfer-Encoding: chunked") + "2;x=y\r\n{}\r\n0\r\n\r\n", 400},
        {"chunks: trailer",
         bench.post_head("Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\nAuthorization: x\r\n\r\n",
         400},
        {"limits: head", start + host + "X: " + std::string(20'000, 'x') + "\r\n\r\n", 431},
        {"limits: fields",
         start + host +
             [] {
                 std::string s;
                 for (int i = 0; i < 120; ++i) s += "a: b\r\n";
                 return s;
             }() +
             "\r\n",
         431},
        {"limits: target", "GET /" + std::string(9'000, 't') + " HTTP/1.1\r\n" + host + "\r\n",
         414},
        {"limits: announced body", bench.post_head("Content-Length: 33554433"), 413},
        {"limits: body of 10^17", bench.post_head("Content-Length: 100000000000000000"), 413},
        {"limits: deep JSON", bench.chat(std::string(100'000, '['), "Connection: close\r\n"), 400},
        {"limits: gzip",
         bench.post_head("Content-Encoding: gzip\r\nContent-Length: 3") + "\x1f\x8b\x08", 415},
        {"limits: model of 257",
         bench.chat(R"({"model":")" + std::string(257, 'm') +
                        R"(","messages":[{"role":"user","content":"x"}]})",
                    "Connection: close\r\n"),
         400},
        {"expectation", bench.post_head("Expect: magic\r\nContent-Length: 2") + "{}", 417},
    };
    for (auto const& probe : probes) {
        INFO(std::string(probe.what));
        TestClient client(bench.port);
        REQUIRE(client.connected());
        client.send(probe.bytes);
        bool const closes = probe.status >= 400;
        auto const response = closes ? client.receive_all() : client.receive_response();
        CHECK(status_of(response) == probe.status);
        check_security_fields(response);
        CHECK(response.find(key_text) == std::string::npos);
        // One answer, whatever was smuggled behind.
        CHECK(response.rfind("content-length: ") == response.find("content-length: "));
    }
    CHECK(bench.healthy());
    bench.on_loop([&] { CHECK(bench.service.open.empty()); });
}

TEST_CASE(
    "S46: a body of 32 MiB and one byte is 413, and the client sees it although it was sending") {
    Bench bench;
    std::string const big(32U * 1024 * 1024 + 1, ' ');
    {
        TestClient client(bench.port);
        client.send(bench.post_head("Content-Length: " + std::to_string(big.size())));
        client.send(big);
        CHECK(status_of(client.receive_response()) == 413);
    }
    TestClient client(bench.port);
    client.send(bench.post_head("Transfer-Encoding: chunked"));
    client.send("2000000\r\n");
    client.send(std::string_view(big).substr(1));
    client.send("\r\n1\r\n \r\n0\r\n\r\n");
    CHECK(status_of(client.receive_response()) == 413);
    CHECK(bench.healthy());
}

TEST_CASE("S46: a body of exactly 32 MiB reaches the parser") {
    Bench bench;
    std::string body = ask_whole;
    body.resize(32U * 1024 * 1024, ' ');
    bench.service.on_ask = [&](ask::QuestionId id) {
        bench.service.say(id, ask::Piece{"ok"});
        bench.service.say(id, ask::Finished{});
    };
    CHECK(status_of(bench.first_response(bench.chat(body))) == 200);
}

TEST_CASE("an announced body is waited for only after a 100 Continue") {
    Bench bench;
    TestClient client(bench.port);
    client.send(bench.post_head("Expect: 100-continue\r\nContent-Length: 2"));
    CHECK(client.receive_until("HTTP/1.1 100 Continue\r\n\r\n"));
    client.received.clear();
    client.send("{}");
    CHECK(status_of(client.receive_response()) == 400);
}

TEST_CASE("one connection serves many requests, also when they arrive together") {
    Bench bench;
    TestClient client(bench.port);
    std::string many;
    constexpr int requests_count = 500;
    for (int i = 0; i < requests_count; ++i) many += bench.get("/health");
    std::thread sender([&] { client.send(many); });
    for (int i = 0; i < requests_count; ++i) CHECK(status_of(client.receive_response()) == 200);
    sender.join();
    client.send(bench.get("/health", "Connection: close\r\n"));
    auto const last = client.receive_all();
    CHECK(status_of(last) == 200);
    CHECK(last.find("connection: close\r\n") != std::string::npos);
}

TEST_CASE("HEAD has the head of GET and no body") {
    Bench bench;
    TestClient client(bench.port);
    client.send("HEAD /health HTTP/1.1\r\nHost: " + bench.host() + "\r\nConnection: close\r\n\r\n");
    auto const all = client.receive_all();
    CHECK(status_of(all) == 200);
    CHECK(all.find("content-length: 15\r\n") != std::string::npos);
    CHECK(all.ends_with("\r\n\r\n"));
}

TEST_CASE("a streamed answer arrives in chunks, and the connection serves on") {
    Bench bench;
    bench.service.on_ask = [&](ask::QuestionId id) {
        bench.post([&bench, id] {
            for (char const* text : {"one ", "two ", "three"})
                bench.service.say(id, ask::Piece{text});
            bench.service.say(id, ask::Finished{ask::FinishReason::stop, 1, 3});
        });
    };
    TestClient client(bench.port);
    client.send(bench.chat(ask_stream));
    REQUIRE(client.receive_until("\r\n0\r\n\r\n"));
    check_security_fields(client.received);
    CHECK(client.received.find("content-type: text/event-stream") != std::string::npos);
    CHECK(client.received.find("three") != std::string::npos);
    CHECK(client.received.find("data: [DONE]\n\n") != std::string::npos);
    client.received.clear();
    client.send(bench.get("/health"));
    CHECK(status_of(client.receive_response()) == 200);
}

TEST_CASE("a client that goes away cancels its question, streamed or not") {
    for (char const* body : {ask_stream, ask_whole}) {
        INFO(std::string(body));
        Bench bench;
        std::promise<void> asked;
        bench.service.on_ask = [&](ask::QuestionId) { asked.set_value(); };
        {
            TestClient client(bench.port);
            client.send(bench.chat(body));
            REQUIRE(asked.get_future().wait_for(patience) == std::future_status::ready);
        }
        CHECK(bench.question_is_cancelled());
        CHECK(bench.healthy());
    }
}

TEST_CASE("S62: a reader that stops reading is dropped long before all is queued for it") {
    HttpServerOptions options;
    options.write_deadline = std::chrono::seconds(30);  // a slow machine pours all of it in time
    Bench bench(options);
    constexpr int pieces_max = 512;  // 32 MiB, far more than the kernel holds for a socket
    int pieces = 0;
    std::function<void(ask::QuestionId)> pour = [&](ask::QuestionId id) {
        if (!bench.service.open.contains(id) || pieces == pieces_max) return;
        ++pieces;
        bench.service.say(id, ask::Piece{std::string(64U * 1024, 'x')});
        bench.post([&pour, id] { pour(id); });
    };
    bench.service.on_ask = [&](ask::QuestionId id) { bench.post([&pour, id] { pour(id); }); };
    TestClient client(bench.port);
    client.send(bench.chat(ask_stream));
    CHECK(bench.question_is_cancelled());
    bench.on_loop([&] { CHECK(pieces < pieces_max); });
    CHECK(bench.healthy());
}

TEST_CASE(
    "S62: heads, bodies and silence have absolute deadlines that single bytes do not extend") {
    HttpServerOptions options;
    options.head_deadline = options.body_deadline = options.idle_deadline =
        std::chrono::milliseconds(200);
    Bench bench(options);
    auto const trickle = [&](std::string const& start, char const* byte) {
        TestClient client(bench.port);
        client.send(start);
        while (!client.has_news(10) && client.send(byte)) {
        }
        return client.receive_all();
    };
    CHECK(status_of(trickle("GET /", "a")) == 408);
    CHECK(status_of(trickle(bench.get("/health").substr(0, 30), "a")) == 408);
    CHECK(status_of(trickle(bench.post_head("Content-Length: 1000000"), " ")) == 408);
    CHECK(trickle("", "").empty());  // says nothing at all: closed without a word
    TestClient idle(bench.port);
    idle.send(bench.get("/health"));
    CHECK(status_of(idle.receive_response()) == 200);
    CHECK(idle.receive_all().empty());
    CHECK(bench.healthy());
}

TEST_CASE(
    "S62: an answer that is not a stream has a deadline; a stream is kept alive by comments") {
    HttpServerOptions options;
    options.answer_deadline = std::chrono::milliseconds(100);
    options.heartbeat_interval = std::chrono::milliseconds(30);
    Bench bench(options);
    CHECK(status_of(bench.first_response(bench.chat(ask_whole))) == 504);
    CHECK(bench.question_is_cancelled());
    TestClient client(bench.port);
    client.send(bench.chat(ask_stream));
    CHECK(client.receive_until(": waiting\n\n\r\n"));
    for (int beats = 0; beats < 8; ++beats) {
        client.received.clear();
        CHECK(client.receive_until(": waiting\n\n\r\n"));
    }
}

TEST_CASE("S60: connections are limited per client and in all, and room is made when one leaves") {
    for (auto const& options : rooms_for_three()) {
        Bench bench(options);
        std::vector<std::unique_ptr<TestClient>> clients;
        for (int i = 0; i < 3; ++i) {
            clients.push_back(std::make_unique<TestClient>(bench.port));
            clients.back()->send(bench.get("/v1/models", bearer));
            CHECK(status_of(clients.back()->receive_response()) == 200);
        }
        TestClient extra(bench.port);
        auto const response = extra.receive_response();
        CHECK(status_of(response) == 503);
        check_security_fields(response);
        clients.pop_back();
        bool served = false;
        for (int attempt = 0; attempt < 10'000 && !served; ++attempt) served = bench.healthy();
        CHECK(served);
    }
}

TEST_CASE("S60: connections without the key cannot keep out who has it") {
    for (auto const& options : rooms_for_three()) {
        Bench bench(options);
        TestClient owner(bench.port);
        owner.send(bench.get("/v1/models", bearer));
        REQUIRE(status_of(owner.receive_response()) == 200);
        std::vector<std::unique_ptr<TestClient>> squatters;
        for (int i = 0; i < 7; ++i) {
            squatters.push_back(std::make_unique<TestClient>(bench.port));
            squatters.back()->send(bench.get("/health"));
            CHECK(status_of(squatters.back()->receive_response()) == 200);
        }
        TestClient second(bench.port);
        second.send(bench.get("/v1/models", bearer));
        CHECK(status_of(second.receive_response()) == 200);
        // The oldest went first, and none that had shown the key.
        CHECK(squatters.front()->receive_all().empty());
        squatters.back()->send(bench.get("/health"));
        CHECK(status_of(squatters.back()->receive_response()) == 200);
        owner.send(bench.get("/v1/models", bearer));
        CHECK(status_of(owner.receive_response()) == 200);
    }
}

TEST_CASE("S61: a full queue answers 429 at once, and a slot that becomes free is used") {
    Bench bench;
    bench.service.queue_max = 1;
    std::promise<void> asked;
    bench.service.on_ask = [&](ask::QuestionId id) {
        if (id == 1) return asked.set_value();
        bench.service.say(id, ask::Finished{});
    };
    auto first = std::make_unique<TestClient>(bench.port);
    first->send(bench.chat(ask_whole));
    REQUIRE(asked.get_future().wait_for(patience) == std::future_status::ready);
    auto const full = bench.first_response(bench.chat(ask_whole));
    CHECK(status_of(full) == 429);
    CHECK(full.find("retry-after: 1\r\n") != std::string::npos);
    first.reset();
    REQUIRE(bench.question_is_cancelled());
    CHECK(status_of(bench.first_response(bench.chat(ask_whole))) == 200);
}

TEST_CASE("stopping closes every connection and cancels every question before it returns") {
    Bench bench;
    std::promise<void> asked;
    bench.service.on_ask = [&](ask::QuestionId) { asked.set_value(); };
    TestClient idle(bench.port);
    idle.send(bench.get("/health"));
    CHECK(status_of(idle.receive_response()) == 200);
    TestClient client(bench.port);
    client.send(bench.chat(ask_stream));
    REQUIRE(asked.get_future().wait_for(patience) == std::future_status::ready);
    bench.stop_server();
    bench.on_loop([&] { CHECK(bench.service.cancelled.size() == 1); });
    CHECK(client.receive_all().empty());
    CHECK(idle.receive_all().empty());
    CHECK_FALSE(TestClient(bench.port).connected());
}

TEST_CASE("the log holds method, path and status, and never a query, key or body") {
    Bench bench;
    CHECK(status_of(bench.first_response(bench.get("/health?secret=1"))) == 200);
    CHECK(status_of(bench.first_response("BAD\r\n\r\n")) == 400);
    CHECK(status_of(bench.first_response(bench.chat("{\"prompt\":\"private\"}"))) == 400);
    // A line is written after the last byte was sent, so it may come a turn of the loop later.
    std::vector<HttpLogLine> lines;
    for (int turn = 0; turn < 100'000 && lines.size() < 3; ++turn)
        bench.on_loop([&] { lines = bench.log; });
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].method == "GET");
    CHECK(lines[0].path == "/health");
    CHECK(lines[0].status == 200);
    CHECK(lines[1].method == "-");
    CHECK(lines[1].status == 400);
    CHECK(lines[2].path == "/v1/chat/completions");
}

}  // namespace kith::io
