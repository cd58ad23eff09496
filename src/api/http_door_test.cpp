#include "api/http_door.h"

#include <doctest/doctest.h>

#include "api/fake_service.h"
#include "api/http_chat.h"

namespace kith::api {
namespace {

constexpr char const* key_text = "0123456789abcdef0123456789abcdef";
constexpr char const* ask_stream =
    R"({"model":"guide","stream":true,"messages":[{"role":"user","content":"hi"}]})";
constexpr char const* ask_whole =
    R"({"model":"guide","messages":[{"role":"user","content":"hi"}]})";

struct FixedClock final : ports::Clock {
    base::Instant now() const override { return {}; }
    base::UnixTime unix_now() const override { return base::UnixTime{1'700'000'000}; }
};

struct CountingRng final : ports::Rng {
    std::uint8_t next = 0;
    bool broken = false;
    base::Status fill(base::MutableByteView out) override {
        if (broken) return base::fail(base::Code::io, "no randomness");
        for (auto& byte : out) byte = ++next;
        return {};
    }
};

struct RecordingReply final : HttpReply {
    std::vector<HttpResponse> responses;
    std::vector<HttpResponse> heads;
    std::string streamed;
    int ends = 0;
    void respond(HttpResponse response) override { responses.push_back(std::move(response)); }
    void start_stream(HttpResponse head) override { heads.push_back(std::move(head)); }
    void stream(std::string_view bytes) override { streamed += bytes; }
    void end_stream() override { ++ends; }
};

struct Bench {
    FakeService service;
    FixedClock clock;
    CountingRng rng;
    RecordingReply reply;
    HttpDoor door{*ApiKey::create(key_text), {}, service, clock, rng};

    static HttpHead head(std::string method, std::string target, std::vector<HeaderField> more) {
        HttpHead out{std::move(method), std::move(target), {{"host", "localhost:8800"}}};
        for (auto& field : more) out.fields.push_back(std::move(field));
        return out;
    }
    static std::vector<HeaderField> authorized() {
        return {{"authorization", std::string("Bearer ") + key_text},
                {"content-type", "application/json"}};
    }
    auto admit(HttpHead const& head) const {
        return door.admit(head, {"127.0.0.1", 8800, "127.0.0.1"});
    }
    unsigned status(HttpHead const& head) const {
        auto const admitted = admit(head);
        return admitted ? 200 : admitted.error().status;
    }
    std::unique_ptr<HttpExchange> chat(std::string body) {
        auto const admitted = admit(head("POST", "/v1/chat/completions", authorized()));
        REQUIRE(admitted.has_value());
        return door.handle(*admitted, std::move(body), reply);
    }
    unsigned answered() const {
        REQUIRE(reply.responses.size() == 1);
        return reply.responses[0].status;
    }
};

}  // namespace

TEST_CASE(
    "S44: each row of the table that needs the key refuses without one and with a wrong one") {
    Bench bench;
    for (auto const& route : routes()) {
        std::string const path =
            std::string(route.path) + (route.match == PathMatch::exact ? "" : "guide");
        INFO(std::string(path));
        unsigned const without = bench.status(Bench::head(std::string(route.method), path, {}));
        unsigned const wrong = bench.status(
            Bench::head(std::string(route.method), path, {{"authorization", "Bearer wrong"}}));
        unsigned const with =
            bench.status(Bench::head(std::string(route.method), path, Bench::authorized()));
        CHECK(without == (route.access == Access::key ? 401 : 200));
        CHECK(wrong == (route.access == Access::key ? 401 : 200));
        CHECK(with == 200);
    }
}

TEST_CASE("S44: below /v1 and /api a missing key is said before a missing path or a wrong method") {
    Bench bench;
    for (char const* path : {"/v1/nothing", "/v1", "/api/admin/shutdown", "/v1/chat/completions"})
        for (char const* method : {"GET", "POST", "HEAD", "OPTIONS", "TRACE", "PUT"}) {
            INFO((std::string(method) + " " + path));
            CHECK(bench.status(Bench::head(method, path, {})) == 401);
            CHECK(bench.status(Bench::head(method, path, {{"x-http-method-override", "GET"}})) ==
                  401);
        }
    CHECK(bench.status(Bench::head("GET", "/v1/nothing", Bench::authorized())) == 404);
    CHECK(bench.status(Bench::head("GET", "/v1/chat/completions", Bench::authorized())) == 405);
    CHECK(bench.status(Bench::head("GET", "//v1/models", {})) == 404);
    CHECK(bench.status(Bench::head("GET", "/v1/models?key=" + std::string(key_text), {})) == 401);
}

TEST_CASE("a foreign host or page is refused even with the key") {
    Bench bench;
    auto head = Bench::head("GET", "/v1/models", Bench::authorized());
    CHECK(bench.status(head) == 200);
    head.fields[0].value = "evil.example:8800";
    CHECK(bench.status(head) == 403);
    head.fields[0].value = "localhost:8800";
    head.fields.push_back({"origin", "http://evil.example"});
    CHECK(bench.status(head) == 403);
    CHECK(bench.status(Bench::head("GET", "/health", {{"origin", "null"}})) == 403);
}

TEST_CASE("only plain JSON bodies are read, and only where there is something to read") {
    Bench bench;
    auto const post = [&](std::vector<HeaderField> fields) {
        fields.push_back({"x-api-key", key_text});
        return bench.status(Bench::head("POST", "/v1/chat/completions", std::move(fields)));
    };
    CHECK(post({{"content-type", "application/json"}}) == 200);
    CHECK(post({{"content-type", "Application/JSON; charset=utf-8"}}) == 200);
    CHECK(post({}) == 415);
    CHECK(post({{"content-type", "text/plain"}}) == 415);
    CHECK(post({{"content-type", "application/x-www-form-urlencoded"}}) == 415);
    CHECK(post({{"content-type", "application/json"}, {"content-type", "text/plain"}}) == 415);
    CHECK(post({{"content-type", "application/json"}, {"content-encoding", "gzip"}}) == 415);
    CHECK(post({{"content-type", "application/json"}, {"expect", "100-continue"}}) == 200);
    CHECK(post({{"content-type", "application/json"}, {"expect", "magic"}}) == 417);
    CHECK(bench.status(Bench::head("GET", "/health", {{"content-length", "5"}})) == 400);
    CHECK(bench.status(Bench::head("GET", "/health", {{"transfer-encoding", "chunked"}})) == 400);
}

TEST_CASE("health and the shell page say nothing secret") {
    Bench bench;
    for (char const* path : {"/", "/health"}) {
        auto const admitted = bench.admit(Bench::head("GET", path, {}));
        REQUIRE(admitted.has_value());
        CHECK(bench.door.handle(*admitted, "", bench.reply) == nullptr);
        CHECK(bench.reply.responses.back().status == 200);
        CHECK(bench.reply.responses.back().body.find(key_text) == std::string::npos);
    }
    CHECK(bench.reply.responses.back().body == R"({"status":"ok"})");
}

TEST_CASE("a model is described by name, and an unknown one is 404") {
    Bench bench;
    auto const get = [&](std::string const& target) {
        auto const admitted = bench.admit(Bench::head("GET", target, Bench::authorized()));
        REQUIRE(admitted.has_value());
        CHECK(bench.door.handle(*admitted, "", bench.reply) == nullptr);
        return bench.reply.responses.back();
    };
    CHECK(get("/v1/models").body.find("\"guide\"") != std::string::npos);
    CHECK(get("/v1/models/guide").status == 200);
    CHECK(get("/v1/models/nobody").status == 404);
    CHECK(get("/v1/models/..%2f..%2fetc%2fpasswd").status == 404);
    CHECK(get("/v1/models/%ff%fe").status == 404);
}

TEST_CASE("a whole answer is sent once it is complete") {
    Bench bench;
    auto const exchange = bench.chat(ask_whole);
    REQUIRE(exchange != nullptr);
    bench.service.say(1, ask::Piece{"Hello, "});
    bench.service.say(1, ask::Piece{"you."});
    exchange->on_heartbeat();
    CHECK(bench.reply.responses.empty());
    bench.service.say(1, ask::Finished{ask::FinishReason::stop, 5, 2});
    CHECK(bench.answered() == 200);
    CHECK(bench.reply.responses[0].body.find("Hello, you.") != std::string::npos);
    CHECK(bench.reply.heads.empty());
}

TEST_CASE("a streamed answer starts with the first piece and ends with DONE") {
    Bench bench;
    auto const exchange = bench.chat(ask_stream);
    REQUIRE(exchange != nullptr);
    CHECK(bench.reply.heads.empty());
    bench.service.say(1, ask::Piece{"Hello"});
    REQUIRE(bench.reply.heads.size() == 1);
    CHECK(bench.reply.heads[0].fields[0].value == "text/event-stream; charset=utf-8");
    bench.service.say(1, ask::Finished{});
    CHECK(bench.reply.streamed.find(R"("role":"assistant")") != std::string::npos);
    CHECK(bench.reply.streamed.find(R"("content":"Hello")") != std::string::npos);
    CHECK(bench.reply.streamed.ends_with("data: [DONE]\n\n"));
    CHECK(bench.reply.ends == 1);
    CHECK(bench.service.cancelled.empty());
}

TEST_CASE("a heartbeat opens the stream, so that a client sees that its question is alive") {
    Bench bench;
    auto const exchange = bench.chat(ask_stream);
    exchange->on_heartbeat();
    CHECK(bench.reply.heads.size() == 1);
    CHECK(bench.reply.streamed.ends_with(chunk_heartbeat));
}

TEST_CASE("a failure before the first piece has a status, a later one is an event without DONE") {
    base::Error const lost{base::Code::unavailable, "a stage was lost"};
    {
        Bench bench;
        auto const exchange = bench.chat(ask_stream);
        bench.service.say(1, ask::Failed{lost});
        CHECK(bench.answered() == 503);
    }
    Bench bench;
    auto const exchange = bench.chat(ask_stream);
    bench.service.say(1, ask::Piece{"x"});
    bench.service.say(1, ask::Failed{lost});
    CHECK(bench.reply.responses.empty());
    CHECK(bench.reply.streamed.find(R"("message":"a stage was lost")") != std::string::npos);
    CHECK(bench.reply.streamed.find("[DONE]") == std::string::npos);
    CHECK(bench.reply.ends == 1);
}

TEST_CASE("destroying the exchange cancels the question, unless it was answered") {
    Bench bench;
    bench.chat(ask_stream).reset();
    CHECK(bench.service.cancelled == std::vector<ask::QuestionId>{1});
    auto exchange = bench.chat(ask_stream);
    bench.service.say(2, ask::Finished{});
    exchange.reset();
    CHECK(bench.service.cancelled.size() == 1);
}

TEST_CASE("an answer that is complete before ask() returns is sent") {
    Bench bench;
    bench.service.on_ask = [&](ask::QuestionId id) {
        bench.service.say(id, ask::Piece{"at once"});
        bench.service.say(id, ask::Finished{});
    };
    CHECK(bench.chat(ask_whole) == nullptr);
    CHECK(bench.answered() == 200);
}

TEST_CASE("S61: what the service refuses has the right status, and a retry hint where it helps") {
    struct Row {
        base::Code code;
        unsigned status;
        bool retry;
    };
    for (auto const& row :
         {Row{base::Code::too_large, 400, false}, Row{base::Code::unavailable, 503, true},
          Row{base::Code::forbidden, 403, false}, Row{base::Code::internal, 500, false}}) {
        Bench bench;
        bench.service.refusal = base::Error{row.code, "no"};
        CHECK(bench.chat(ask_whole) == nullptr);
        CHECK(bench.answered() == row.status);
        auto const& fields = bench.reply.responses[0].fields;
        bool const has = std::ranges::any_of(
            fields, [](HeaderField const& field) { return field.name == "retry-after"; });
        CHECK(has == row.retry);
    }
}

TEST_CASE("S61: a full queue is 429 with a retry hint, whatever the body says") {
    Bench bench;
    bench.service.queue_max = 0;
    CHECK(bench.chat("no json") == nullptr);
    CHECK(bench.answered() == 429);
    CHECK(bench.reply.responses[0].body.find("queue_full") != std::string::npos);
    CHECK(bench.service.open.empty());
}

TEST_CASE("a conversation that the model cannot read is told as OpenAI tells it, now or later") {
    auto const is_overflow = [](HttpResponse const& response) {
        CHECK(response.status == 400);
        CHECK(response.body.find(R"("type":"invalid_request_error")") != std::string::npos);
        CHECK(response.body.find(R"("param":"messages")") != std::string::npos);
        CHECK(response.body.find(R"("code":"context_length_exceeded")") != std::string::npos);
        CHECK(std::ranges::none_of(
            response.fields, [](HeaderField const& field) { return field.name == "retry-after"; }));
    };
    Bench bench;
    bench.service.refusal = base::Error{base::Code::too_large, "too long"};
    CHECK(bench.chat(ask_whole) == nullptr);
    REQUIRE(bench.reply.responses.size() == 1);
    is_overflow(bench.reply.responses[0]);
    bench.service.refusal.reset();
    auto const exchange = bench.chat(ask_stream);  // no byte of the stream is out yet
    bench.service.say(1, ask::Failed{{base::Code::too_large, "too long"}});
    REQUIRE(bench.reply.responses.size() == 2);
    is_overflow(bench.reply.responses[1]);
}

TEST_CASE("an unknown model is 404 and named in the sentence") {
    Bench bench;
    CHECK(bench.chat(R"({"model":"nobody","messages":[{"role":"user","content":"x"}]})") ==
          nullptr);
    CHECK(bench.answered() == 404);
    CHECK(bench.reply.responses[0].body.find("model_not_found") != std::string::npos);
    CHECK(bench.reply.responses[0].body.find("nobody") != std::string::npos);
}

TEST_CASE("an answer sent whole is bounded, and its question is cancelled beyond") {
    Bench bench;
    auto const exchange = bench.chat(ask_whole);
    bench.service.say(1, ask::Piece{std::string(answer_bytes_max, 'x')});
    CHECK(bench.reply.responses.empty());
    bench.service.say(1, ask::Piece{"y"});
    CHECK(bench.answered() == 500);
    CHECK(bench.service.cancelled.size() == 1);
}

TEST_CASE("without randomness there is no answer, and no question is asked") {
    Bench bench;
    bench.rng.broken = true;
    CHECK(bench.chat(ask_whole) == nullptr);
    CHECK(bench.answered() == 500);
    CHECK(bench.service.open.empty());
}

}  // namespace kith::api
