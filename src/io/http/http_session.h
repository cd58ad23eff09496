// io/http/http_session.h: one accepted connection, as one coroutine that owns its socket.
//
//   read head --> admit --> read body --> answer --+--> (keep-alive) read head
//       |           |           |                  +--> drain, close
//       +-----------+-----------+--> refusal, drain, close
//
// The coroutine's frame owns the session, so nothing has to be shared: the server only keeps a list
// of pointers, in which sessions enter and leave themselves, and tells the sessions to forget it
// when it stops.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>

#include "api/http_door.h"
#include "api/http_parser.h"
#include "io/http/http_server.h"

namespace kith::io {

class HttpSession;

// What the sessions of one server have in common; owned by the server.
struct HttpSessions {
    api::HttpDoor& door;
    HttpServerOptions options;
    HttpLog log;
    std::uint64_t opened_count = 0;
    std::map<std::uint64_t, HttpSession*> open{};          // oldest first
    std::map<std::string, std::size_t> open_per_client{};  // no entry is 0
};

class HttpSession final : public api::HttpReply {
public:
    using Socket = boost::asio::ip::tcp::socket;
    template <class T>
    using Awaitable = boost::asio::awaitable<T>;
    using TimePoint = boost::asio::steady_timer::time_point;

    // `client` is what the limit per client counts. Enters `sessions`, and leaves it on
    // destruction.
    HttpSession(Socket socket, HttpSessions& sessions, std::string client);
    ~HttpSession() override;
    HttpSession(HttpSession const&) = delete;
    HttpSession& operator=(HttpSession const&) = delete;

    // Serves requests until either side closes.
    static Awaitable<void> run(std::unique_ptr<HttpSession> self);

    // The server stops: cancels the question, closes the socket and forgets the server. The
    // coroutine ends when the context next runs, or is destroyed with it.
    void abort();

    // Closes a connection that has not shown the key, for a newcomer's sake (S60).
    void give_way();
    [[nodiscard]] bool may_give_way() const { return !has_shown_key_; }
    [[nodiscard]] std::string const& client() const { return client_; }

    void respond(api::HttpResponse response) override;
    void start_stream(api::HttpResponse head) override;
    void stream(std::string_view bytes) override;
    void end_stream() override;

private:
    enum class Read { ok, closed, late };
    enum class Next { another_request, close_politely, close_now };

    Awaitable<Read> read_more(TimePoint deadline);
    Awaitable<Read> read_head();
    Awaitable<Read> read_body();
    Awaitable<Next> serve();
    Awaitable<Next> refuse(api::HttpResponse response);
    Awaitable<Next> answer(api::Admitted const& admitted, std::string body);
    Awaitable<void> drain();

    Awaitable<void> pump();        // writes what is queued until the answer is complete
    Awaitable<void> watch();       // returns when the client has gone away
    Awaitable<void> tick();        // heartbeats, and the end of patience
    Awaitable<bool> write_some();  // false: the client is gone or too slow
    Awaitable<void> sleep_until(TimePoint when);

    void leave();  // the server's books
    void begin_request();
    void wake_pump();
    void write_log_line(unsigned status);
    [[nodiscard]] bool aborted() const { return sessions_ == nullptr; }

    Socket socket_;
    HttpSessions* sessions_;  // null once the server has stopped
    HttpServerOptions const options_;
    std::string const client_;
    std::uint64_t const number_;
    bool has_shown_key_ = false;
    api::HttpPeer peer_;
    api::HttpParser parser_;
    bool served_one_ = false;

    std::array<char, 64U * 1024> in_;  // read and not yet parsed: [in_begin_, in_end_)
    std::size_t in_begin_ = 0;
    std::size_t in_end_ = 0;

    // Of the request being answered.
    enum class Answer { none, streaming, complete };
    Answer answer_ = Answer::none;
    api::BodyPart body_part_ = api::BodyPart::send;
    api::AfterAnswer after_ = api::AfterAnswer::keep;
    unsigned status_ = 0;
    TimePoint started_;
    bool logged_ = true;
    bool broken_ = false;  // the client is gone, or was dropped
    bool quiet_ = true;    // nothing was streamed since the last tick
    std::string out_;      // queued
    std::string sending_;  // handed to the socket from sent_ on
    std::size_t sent_ = 0;
    boost::asio::steady_timer wake_;  // cancelled when pump() should look again
    std::unique_ptr<api::HttpExchange> exchange_;
};

}  // namespace kith::io
