// tests/openai/http_fixture.cpp: the real HTTP door and server in front of a stand-in for the ask
// feature, for clients that are not written in C++. Prints one line of JSON {"base_url", "key",
// "model"} and serves on a free loopback port until its standard input ends.
//
// The stand-in answers one question at a time (a second one is refused), streams a fixed text word
// by word, and goes on for ever when the question contains the word "endless"; only cancelling ends
// that.
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "api/fake_service.h"
#include "api/http_bind.h"
#include "api/http_door.h"
#include "base/encoding.h"
#include "io/http/http_server.h"

namespace {

namespace asio = boost::asio;
using namespace kith;

class RandomDevice final : public ports::Rng {
public:
    base::Status fill(base::MutableByteView out) override {
        for (auto& byte : out) byte = static_cast<std::uint8_t>(device_());
        return {};
    }

private:
    std::random_device device_;
};

class SystemClock final : public ports::Clock {
public:
    base::Instant now() const override { return {}; }
    base::UnixTime unix_now() const override {
        return base::UnixTime{
            std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())};
    }
};

class Storyteller {
public:
    explicit Storyteller(asio::io_context& context) : timer_(context) {
        service.queue_max = 1;
        service.on_ask = [this](ask::QuestionId id) { tell(id, 0); };
    }

    api::FakeService service;

private:
    void tell(ask::QuestionId id, std::size_t word) {
        timer_.expires_after(std::chrono::milliseconds(2));
        timer_.async_wait([this, id, word](boost::system::error_code error) {
            if (!error) say_word(id, word);
        });
    }

    void say_word(ask::QuestionId id, std::size_t word) {
        auto const found = service.open.find(id);
        if (found == service.open.end()) return;
        auto const& question = found->second.question;
        bool const endless = question.messages.back().content.find("endless") != std::string::npos;
        if (!endless && word >= question.tokens_max)
            return service.say(id,
                               ask::Finished{ask::FinishReason::length, 7, question.tokens_max});
        if (!endless && word == words_.size()) {
            auto const count = static_cast<std::uint32_t>(word);
            return service.say(id, ask::Finished{ask::FinishReason::stop, 7, count});
        }
        service.say(id, ask::Piece{words_[word % words_.size()]});
        tell(id, word + 1);
    }

    std::vector<std::string> const words_{"Kith ",       "means ", "the ",          "people ",
                                          "you ",        "know ",  "\xe2\x80\x93 ", "na\xc3\xafve ",
                                          "\"quotes\" ", "too."};
    asio::steady_timer timer_;
};

int serve() {
    asio::io_context context;
    Storyteller storyteller(context);
    RandomDevice rng;
    SystemClock clock;
    base::ByteArray<32> random{};
    if (!rng.fill(random)) return 1;
    std::string const key = base::to_hex(random);
    api::HttpDoor door(*api::ApiKey::create(key), {}, storyteller.service, clock, rng);
    io::HttpServer server(context, door, {}, {});
    auto const bind = api::check_bind({.host = "127.0.0.1", .port = 0, .api_key_given = {}});
    auto const bound = server.start(*bind);
    if (!bound) {
        std::fprintf(stderr, "http_fixture: %s\n", bound.error().message.c_str());
        return 1;
    }
    std::printf("{\"base_url\":\"http://127.0.0.1:%u/v1\",\"key\":\"%s\",\"model\":\"guide\"}\n",
                static_cast<unsigned>(bound->port), key.c_str());
    std::fflush(stdout);
    asio::posix::stream_descriptor input(context, 0);
    std::array<char, 64> ignored{};
    std::function<void()> wait_for_end = [&] {
        input.async_read_some(asio::buffer(ignored),
                              [&](boost::system::error_code error, std::size_t) {
                                  if (!error) return wait_for_end();
                                  server.stop();
                                  context.stop();
                              });
    };
    wait_for_end();
    context.run();
    return 0;
}

}  // namespace

int main() {
    return serve();
}
