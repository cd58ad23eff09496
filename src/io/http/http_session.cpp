#include "io/http/http_session.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <utility>

#include "base/sabotage.h"

namespace kith::io {
namespace {

namespace asio = boost::asio;
using asio::experimental::awaitable_operators::operator||;  // NOLINT(misc-unused-using-decls)
using Clock = std::chrono::steady_clock;
using ErrorCode = boost::system::error_code;

constexpr auto no_throw = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t log_path_bytes_max = 256;
constexpr std::string_view continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

std::string address_text(asio::ip::address const& address) {
    // A client of a dual-stack listener is the same client as over IPv4.
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    return address.to_string();
}

api::HttpPeer peer_of(asio::ip::tcp::socket const& socket) {
    ErrorCode error;
    auto const local = socket.local_endpoint(error);
    auto const remote = socket.remote_endpoint(error);
    return {address_text(local.address()), local.port(), address_text(remote.address())};
}

bool wants_close(api::HttpHead const& head) {
    auto const value = api::lower_ascii(head.find("connection").value_or(""));
    return value.find("close") != std::string::npos;
}

}  // namespace

HttpSession::HttpSession(Socket socket, HttpSessions& sessions, std::string client)
    : socket_(std::move(socket)),
      sessions_(&sessions),
      options_(sessions.options),
      client_(std::move(client)),
      number_(sessions.opened_count++),
      peer_(peer_of(socket_)),
      started_(Clock::now()),
      wake_(socket_.get_executor()) {
    sessions_->open.emplace(number_, this);
    ++sessions_->open_per_client[client_];
}

HttpSession::~HttpSession() {
    exchange_.reset();
    if (!aborted()) leave();
}

void HttpSession::leave() {
    sessions_->open.erase(number_);
    auto const found = sessions_->open_per_client.find(client_);
    if (--found->second == 0) sessions_->open_per_client.erase(found);
}

HttpSession::Awaitable<void> HttpSession::run(std::unique_ptr<HttpSession> self) {
    Next next = Next::another_request;
    while (next == Next::another_request && !self->aborted()) next = co_await self->serve();
    if (next == Next::close_politely && !self->aborted()) co_await self->drain();
}

void HttpSession::abort() {
    exchange_.reset();
    sessions_ = nullptr;
    ErrorCode ignored;
    socket_.close(ignored);
    wake_.cancel();
}

void HttpSession::give_way() {
    leave();
    abort();
}

HttpSession::Awaitable<HttpSession::Next> HttpSession::serve() {
    Read const head_read = co_await read_head();
    if (aborted() || head_read == Read::closed) co_return Next::close_now;
    if (head_read == Read::late) {
        if (parser_.untouched()) co_return Next::close_politely;
        co_return co_await refuse(api::refusal_response(408, "The request took too long."));
    }
    if (parser_.state() == api::HttpParser::State::refused)
        co_return co_await refuse(
            api::refusal_response(parser_.refusal().status, parser_.refusal().message));
    auto const admitted = sessions_->door.admit(parser_.head(), peer_);
    if (!admitted) co_return co_await refuse(admitted.error());
    if (admitted->has_shown_key()) has_shown_key_ = true;
    parser_.accept_body(admitted->body_bytes_max());
    Read const body_read = co_await read_body();
    if (aborted() || body_read == Read::closed) co_return Next::close_now;
    if (body_read == Read::late)
        co_return co_await refuse(api::refusal_response(408, "The body took too long."));
    if (parser_.state() == api::HttpParser::State::refused)
        co_return co_await refuse(
            api::refusal_response(parser_.refusal().status, parser_.refusal().message));
    if (wants_close(parser_.head())) after_ = api::AfterAnswer::close;
    co_return co_await answer(*admitted, parser_.take_body());
}

HttpSession::Awaitable<HttpSession::Read> HttpSession::read_head() {
    using State = api::HttpParser::State;
    auto deadline = Clock::now() + (served_one_ ? options_.idle_deadline : options_.head_deadline);
    bool begun = false;
    while (parser_.state() == State::head) {
        if (in_begin_ == in_end_) {
            if (Read const read = co_await read_more(deadline); read != Read::ok) co_return read;
        }
        if (!begun) {
            // Absolute: a client that sends one byte now and then gains nothing by it.
            deadline = Clock::now() + options_.head_deadline;
            begin_request();
            begun = true;
        }
        in_begin_ += parser_.feed({in_.data() + in_begin_, in_end_ - in_begin_});
    }
    co_return Read::ok;
}

HttpSession::Awaitable<HttpSession::Read> HttpSession::read_body() {
    using State = api::HttpParser::State;
    auto const deadline = Clock::now() + options_.body_deadline;
    if (parser_.state() == State::body && in_begin_ == in_end_ && parser_.head().find("expect")) {
        out_.append(continue_line);
        if (!co_await write_some()) co_return Read::closed;
    }
    while (parser_.state() == State::body) {
        if (in_begin_ == in_end_) {
            if (Read const read = co_await read_more(deadline); read != Read::ok) co_return read;
        }
        in_begin_ += parser_.feed({in_.data() + in_begin_, in_end_ - in_begin_});
    }
    co_return Read::ok;
}

// One parse buffer is all that is ever read ahead: pipelined requests wait in the kernel.
HttpSession::Awaitable<HttpSession::Read> HttpSession::read_more(TimePoint deadline) {
    in_begin_ = in_end_ = 0;
    auto const done =
        co_await (socket_.async_read_some(asio::buffer(in_), no_throw) || sleep_until(deadline));
    if (done.index() == 1) co_return Read::late;
    auto const [error, count] = std::get<0>(done);
    if (error) co_return Read::closed;
    in_end_ = count;
    co_return Read::ok;
}

void HttpSession::begin_request() {
    served_one_ = true;
    answer_ = Answer::none;
    body_part_ = api::BodyPart::send;
    after_ = api::AfterAnswer::keep;
    status_ = 0;
    started_ = Clock::now();
    logged_ = false;
    broken_ = false;
    quiet_ = true;
    out_.clear();
    sending_.clear();
    sent_ = 0;
}

HttpSession::Awaitable<HttpSession::Next> HttpSession::refuse(api::HttpResponse response) {
    if (parser_.state() != api::HttpParser::State::head && parser_.head().method == "HEAD")
        body_part_ = api::BodyPart::omit;
    after_ = api::AfterAnswer::close;
    respond(std::move(response));
    co_await pump();
    write_log_line(broken_ ? 499 : status_);
    co_return broken_ ? Next::close_now : Next::close_politely;
}

HttpSession::Awaitable<HttpSession::Next> HttpSession::answer(api::Admitted const& admitted,
                                                              std::string body) {
    if (parser_.head().method == "HEAD") body_part_ = api::BodyPart::omit;
    exchange_ = sessions_->door.handle(admitted, body, *this);
    if (exchange_ == nullptr) {
        co_await pump();
    } else {
        co_await (pump() || watch() || tick());
    }
    exchange_.reset();  // cancels the question if the answer was not complete
    if (answer_ != Answer::complete || !out_.empty() || sent_ != sending_.size()) broken_ = true;
    write_log_line(broken_ ? 499 : status_);
    if (broken_) co_return Next::close_now;
    co_return after_ == api::AfterAnswer::close ? Next::close_politely : Next::another_request;
}

HttpSession::Awaitable<void> HttpSession::pump() {
    while (!aborted() && !broken_) {
        bool const idle = out_.empty() && sent_ == sending_.size();
        if (!idle) {
            if (!co_await write_some()) broken_ = true;
        } else if (answer_ == Answer::complete) {
            co_return;
        } else {
            wake_.expires_at(TimePoint::max());
            co_await wake_.async_wait(no_throw);
        }
    }
}

HttpSession::Awaitable<bool> HttpSession::write_some() {
    if (sent_ == sending_.size()) {
        sending_ = std::exchange(out_, {});
        sent_ = 0;
    }
    auto const rest = std::string_view(sending_).substr(sent_);
    auto const done =
        co_await (socket_.async_write_some(asio::buffer(rest.data(), rest.size()), no_throw) ||
                  sleep_until(Clock::now() + options_.write_deadline));
    if (done.index() == 1) co_return false;
    auto const [error, count] = std::get<0>(done);
    if (error) co_return false;
    sent_ += count;
    co_return true;
}

HttpSession::Awaitable<void> HttpSession::watch() {
    while (true) {
        auto const [error] = co_await socket_.async_wait(Socket::wait_read, no_throw);
        if (error == asio::error::operation_aborted) co_return;  // the answer is out, or we stopped
        if (error) break;
        char byte = 0;
        auto const got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        // The next request is here already, or the answer is complete and only has to be written:
        // nothing to watch.
        if (got > 0 || (got == 0 && answer_ == Answer::complete))
            co_await sleep_until(TimePoint::max());
        break;
    }
    broken_ = true;
}

HttpSession::Awaitable<void> HttpSession::tick() {
    auto const give_up = Clock::now() + options_.answer_deadline;
    while (!aborted()) {
        quiet_ = true;
        auto const beat = Clock::now() + options_.heartbeat_interval;
        co_await sleep_until(answer_ == Answer::none ? std::min(beat, give_up) : beat);
        if (aborted()) co_return;
        if (answer_ == Answer::none && Clock::now() >= give_up) {
            exchange_.reset();
            respond(api::refusal_response(504, "The answer took too long; ask for a stream."));
        }
        if (exchange_ != nullptr && quiet_) exchange_->on_heartbeat();
    }
}

HttpSession::Awaitable<void> HttpSession::sleep_until(TimePoint when) {
    asio::steady_timer timer(socket_.get_executor(), when);
    co_await timer.async_wait(asio::use_awaitable);
}

// The status must reach the client before the reset that unread bytes would cause (a client that is
// still sending its body sees "connection reset" instead of 413 otherwise).
HttpSession::Awaitable<void> HttpSession::drain() {
    ErrorCode ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    auto const deadline = Clock::now() + options_.drain_deadline;
    while (!aborted() && co_await read_more(deadline) == Read::ok) {
    }
}

void HttpSession::respond(api::HttpResponse response) {
    if (answer_ != Answer::none) return;
    if (response.after == api::AfterAnswer::close) after_ = api::AfterAnswer::close;
    response.after = after_;
    status_ = response.status;
    out_.append(api::render_response(response, body_part_));
    answer_ = Answer::complete;
    wake_pump();
}

void HttpSession::start_stream(api::HttpResponse head) {
    if (answer_ != Answer::none) return;
    head.after = after_;
    status_ = head.status;
    out_.append(api::render_stream_head(head));
    answer_ = Answer::streaming;
    wake_pump();
}

void HttpSession::stream(std::string_view bytes) {
    if (answer_ != Answer::streaming || broken_) return;
    auto const chunk = api::render_chunk(bytes);
    auto const queued = out_.size() + (sending_.size() - sent_);
    if (!KITH_GUARD("S62.reader", queued + chunk.size() <= options_.stream_queue_bytes_max)) {
        // Closing ends the write that is waiting for this reader; the question is cancelled after
        // it.
        broken_ = true;
        ErrorCode ignored;
        socket_.close(ignored);
        return wake_pump();
    }
    quiet_ = false;
    out_.append(chunk);
    wake_pump();
}

void HttpSession::end_stream() {
    if (answer_ != Answer::streaming) return;
    out_.append(api::stream_end);
    answer_ = Answer::complete;
    wake_pump();
}

void HttpSession::wake_pump() {
    wake_.cancel();
}

void HttpSession::write_log_line(unsigned status) {
    if (aborted() || logged_ || !sessions_->log) return;
    logged_ = true;
    HttpLogLine line{.method = "-", .path = "-", .status = status};
    if (!parser_.head().method.empty()) {
        line.method = parser_.head().method;
        line.path = parser_.head().path().substr(0, log_path_bytes_max);
    }
    auto const took =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_);
    line.duration_ms = took.count();
    sessions_->log(line);
}

}  // namespace kith::io
