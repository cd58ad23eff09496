// io/http/http_test_bench.h: a real server on a free loopback port with a stand-in behind it, for
// tests only.
#pragma once

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/fake_service.h"
#include "api/http_door.h"
#include "io/http/http_server.h"
#include "io/http/http_test_client.h"

namespace kith::io {

namespace asio = boost::asio;

inline constexpr char const* key_text = "0123456789abcdef0123456789abcdef";
inline constexpr auto patience = std::chrono::seconds(TestClient::patience_s);

struct TestClock final : ports::Clock {
    base::Instant now() const override { return {}; }
    base::UnixTime unix_now() const override { return base::UnixTime{1'700'000'000}; }
};
struct TestRng final : ports::Rng {
    base::Status fill(base::MutableByteView out) override {
        for (auto& byte : out) byte = 7;
        return {};
    }
};

// A server with its loop on a thread of its own. The service is touched on that thread only.
class Bench {
public:
    explicit Bench(HttpServerOptions options = {}) {
        server_ = std::make_unique<HttpServer>(
            context_, door_, options, [this](HttpLogLine const& line) { log.push_back(line); });
        auto const bind = api::check_bind({.host = "127.0.0.1", .port = 0, .api_key_given = {}});
        auto const bound = server_->start(*bind);
        REQUIRE(bound.has_value());
        port = bound->port;
        service.on_cancel = [this](ask::QuestionId) {
            if (!cancelled_) cancel_promise_.set_value();
            cancelled_ = true;
        };
        loop_ = std::thread([this] { context_.run(); });
    }
    ~Bench() {
        on_loop([this] { server_.reset(); });
        work_.reset();
        loop_.join();
    }

    // Runs `act` on the loop thread and waits for it.
    void on_loop(std::function<void()> act) {
        std::promise<void> done;
        asio::post(context_, [&] {
            act();
            done.set_value();
        });
        done.get_future().wait();
    }
    bool question_is_cancelled() {
        return cancel_future_.wait_for(patience) == std::future_status::ready;
    }
    void stop_server() {
        on_loop([this] { server_->stop(); });
    }
    void post(std::function<void()> act) { asio::post(context_, std::move(act)); }
    [[nodiscard]] std::string host() const { return "localhost:" + std::to_string(port); }
    [[nodiscard]] std::string get(std::string const& target, std::string const& fields = {}) const {
        return "GET " + target + " HTTP/1.1\r\nHost: " + host() + "\r\n" + fields + "\r\n";
    }
    [[nodiscard]] std::string post_head(std::string const& fields) const {
        return "POST /v1/chat/completions HTTP/1.1\r\nHost: " + host() +
               "\r\nContent-Type: application/json\r\nAuthorization: Bearer " + key_text + "\r\n" +
               fields + "\r\n\r\n";
    }
    [[nodiscard]] std::string chat(std::string const& body, std::string const& fields = {}) const {
        return post_head(fields + "Content-Length: " + std::to_string(body.size())) + body;
    }
    // The first response to `bytes` on a connection of its own; empty if the server just closed.
    [[nodiscard]] std::string first_response(std::string const& bytes) const {
        TestClient client(port);
        REQUIRE(client.connected());
        client.send(bytes);
        return client.receive_response();
    }
    [[nodiscard]] bool healthy() const { return status_of(first_response(get("/health"))) == 200; }

    api::FakeService service;
    std::uint16_t port = 0;
    std::vector<HttpLogLine> log;

private:
    TestClock clock_;
    TestRng rng_;
    api::HttpDoor door_{*api::ApiKey::create(key_text), {}, service, clock_, rng_};
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::unique_ptr<HttpServer> server_;
    std::thread loop_;
    std::promise<void> cancel_promise_;
    std::future<void> cancel_future_ = cancel_promise_.get_future();
    bool cancelled_ = false;
};

}  // namespace kith::io
